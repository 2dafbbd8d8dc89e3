"""BitTactical's front end: weights moved forward in time into lanes whose own weight is zero."""

from typing import Any

import numpy as np
from esnsim_kernels import lookahead as kernel
from numpy.typing import NDArray


def lines_kept(weights: NDArray[Any], ahead: int, aside: int) -> NDArray[np.bool_]:
    """Which steps (steps,) filters (filters, steps, lanes) side by side still take."""
    there = np.ascontiguousarray((weights != 0).transpose(1, 0, 2))
    kept = np.ones(len(there), np.bool_)
    kernel.schedule(there, search(ahead, aside), ahead, kept)
    return kept


def search(ahead: int, aside: int) -> NDArray[np.int64]:
    """Places (n, 2) from which a lane may take a weight: lines ahead, and lanes aside.

    The same lane of the next `ahead` lines, and `aside` neighbours in the shape of a T: one to
    either side in the next line, two in the one after it, and so on; by line, then lane.
    """
    places = [(line, 0) for line in range(1, ahead + 1)]
    for number in range(aside):
        line, lane = number // 2 % ahead + 1, number // 2 + 1
        places.append((line, -lane if number % 2 else lane))
    return np.array(sorted(places), np.int64).reshape(-1, 2)
