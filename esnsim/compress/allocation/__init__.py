"""Widths and steps under a budget: what filters cost, what their noise does, what to spend."""
