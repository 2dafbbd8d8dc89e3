"""How many threads work: those that were asked for, at most a few for each core."""

import os

A_CORE = 4  # more of them only wait for each other, and each session and engine starts its own


def workers(asked: int) -> int:
    """Threads for `asked`, where 0 is one a core."""
    cores = os.cpu_count() or 1
    return min(asked, A_CORE * cores) or cores
