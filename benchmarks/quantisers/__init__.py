"""Other quantisers beside ours: `python -m benchmarks quantisers` (docs/quantisers.md)."""

from benchmarks.quantisers.paired import main

__all__ = ["main"]
