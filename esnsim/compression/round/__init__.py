"""Codes, and weights that are left after pruning, chosen for the error at a layer's output."""
