"""How many threads work: those that were asked for, at most a few for each core."""

import os
from functools import cache

A_CORE = 4  # more of them only wait for each other, and each session and engine starts its own


def workers(asked: int) -> int:
    """Threads for `asked`, where 0 is one a core."""
    return min(asked, A_CORE * _cores()) or _cores()


@cache
def _cores() -> int:
    """Asked once: it takes as long as a small layer."""
    return os.cpu_count() or 1
