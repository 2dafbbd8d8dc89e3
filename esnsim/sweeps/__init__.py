"""Candidates, their points, and the frontier."""
