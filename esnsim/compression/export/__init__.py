"""Codes in files."""
