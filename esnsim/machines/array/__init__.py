"""The bit-serial MAC array."""
