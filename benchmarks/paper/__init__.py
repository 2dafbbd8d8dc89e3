"""The paper's figures, trained and measured anew: `python -m benchmarks.paper fig4 --data DIR`."""
