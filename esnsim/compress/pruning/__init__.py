"""Filters that leave the network: which go together, which stay, and the graph without them."""
