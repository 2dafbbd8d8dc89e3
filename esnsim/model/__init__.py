"""A network as layers, and what is derived from it alone."""
