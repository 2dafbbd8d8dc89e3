"""Typed results -> terminal table, JSON, CSV."""
