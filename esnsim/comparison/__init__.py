"""Models beside each other: which layers changed, and how."""
