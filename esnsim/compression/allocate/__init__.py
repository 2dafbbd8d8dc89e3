"""Widths under a budget."""
