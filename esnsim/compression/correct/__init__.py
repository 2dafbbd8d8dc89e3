"""Statistics of channels measured and corrected."""
