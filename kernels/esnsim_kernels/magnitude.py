"""Magnitudes of filters, weights (M, K) floats: the largest, the sum, the sum of squares."""

import numpy as np
from numba import njit

__all__ = ["largest", "moments"]

LANES = 64  # running sums of a row, term k in sum k mod LANES: the order of NumPy's form too


@njit(cache=True, nogil=True, error_model="numpy")
def largest(weights, out):
    """out[m] = max |weights[m, :]|, NaN where a weight is NaN."""
    for m in range(weights.shape[0]):
        top = np.int64(0)
        for k in range(weights.shape[1]):
            # Bit patterns of floats without sign compare as the floats do, and vectorise.
            top = max(top, np.float64(abs(weights[m, k])).view(np.int64))
        out[m] = np.int64(top).view(np.float64)


@njit(cache=True, nogil=True, error_model="numpy")
def _fold(lanes, terms):
    """The running sums of so many terms added up by halves, into the first of each row."""
    half = LANES // 2
    while half:
        if half < terms:  # else the upper half is all 0
            for lane in range(half):
                lanes[0, lane] += lanes[0, lane + half]
                lanes[1, lane] += lanes[1, lane + half]
        half //= 2


@njit(cache=True, nogil=True, error_model="numpy")
def moments(weights, out):
    """out[m] = Σ |w|, Σ w² in float64, added up in LANES and these by halves."""
    lanes = np.empty((2, LANES))
    for m in range(weights.shape[0]):
        lanes[:] = 0.0
        for start in range(0, weights.shape[1], LANES):
            for lane in range(min(LANES, weights.shape[1] - start)):
                w = np.float64(weights[m, start + lane])
                lanes[0, lane] += abs(w)
                lanes[1, lane] += w * w
        _fold(lanes, weights.shape[1])
        out[m, 0] = lanes[0, 0]
        out[m, 1] = lanes[1, 0]
