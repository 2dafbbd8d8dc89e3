"""Sweeps of candidates, on one process or many, and the frontier of their points."""
