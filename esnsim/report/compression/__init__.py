"""The report of a compressed model."""
