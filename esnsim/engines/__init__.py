"""The engines: a bit-serial MAC array and a crossbar, what they count and what that costs."""
