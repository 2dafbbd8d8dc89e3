"""The report of a cost."""
