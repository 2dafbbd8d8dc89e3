"""Layers on machines, bit for bit: outputs, counts, and what those cost."""
