"""The closed-form cost of a network."""
