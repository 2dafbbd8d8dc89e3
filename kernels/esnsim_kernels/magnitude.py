"""Magnitudes of filters, weights (M, K) floats: the largest, the sum, the sum of squares."""

import numpy as np
from numba import njit

__all__ = ["largest", "moments"]

LOOSE = {"reassoc", "nsz", "contract"}  # float sums may be regrouped: they only feed ratios


@njit(cache=True, nogil=True, error_model="numpy")
def largest(weights, out):
    """out[m] = max |weights[m, :]|, NaN where a weight is NaN."""
    for m in range(weights.shape[0]):
        top = np.int64(0)
        for k in range(weights.shape[1]):
            # Bit patterns of floats without sign compare as the floats do, and vectorise.
            top = max(top, np.float64(abs(weights[m, k])).view(np.int64))
        out[m] = np.int64(top).view(np.float64)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=LOOSE)
def moments(weights, out):
    """out[m] = Σ |w|, Σ w² in float64."""
    for m in range(weights.shape[0]):
        total = squares = 0.0
        for k in range(weights.shape[1]):
            w = np.float64(weights[m, k])
            total += abs(w)
            squares += w * w
        out[m, 0] = total
        out[m, 1] = squares
