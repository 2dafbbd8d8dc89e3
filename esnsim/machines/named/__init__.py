"""Accelerators by name, counted from two statistics of a layer's integers (docs/machines.md)."""
