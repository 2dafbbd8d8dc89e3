"""Filters that leave the network."""
