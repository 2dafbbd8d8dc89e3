"""The report of machines by name."""
