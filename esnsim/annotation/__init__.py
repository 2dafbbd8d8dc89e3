"""Costs written into a model's own file, for viewers such as Netron."""
