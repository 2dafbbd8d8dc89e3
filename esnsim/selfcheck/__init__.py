"""Published numbers and random cross-checks; the kernel's speed."""
