"""Integer (midtread) codes of models that are quantised already."""

import numpy as np
from numba import njit

__all__ = ["statistics"]


@njit(cache=True, nogil=True, error_model="numpy")
def statistics(codes, stored_bits, counts):
    """Sum up what the metrics need of integer codes (M, K), zero point removed.

    counts[m] = max |v|, Σ v², Σ two's-complement width of v (at most stored_bits),
    Σ ⌈log2 |v| + 1⌉, number of v ≠ 0, min v, max v. Zeros have width 0.
    """
    for m in range(codes.shape[0]):
        low = np.int64(0)
        high = np.int64(0)
        squares = np.int64(0)
        streamed = np.int64(0)
        literal = np.int64(0)
        nonzero = np.int64(0)
        for k in range(codes.shape[1]):
            v = np.int64(codes[m, k])
            low = min(low, v)
            high = max(high, v)
            squares += v * v
            if v != 0:
                # bit_length(n) of n >= 0 is the exponent field of n + ½ less 1022, for n > 0.
                folded = v if v > 0 else -v - 1
                exponent = (np.float64(2 * folded + 1).view(np.int64) >> 52) - 1022
                streamed += min(exponent, stored_bits)
                literal += (np.float64(2 * (abs(v) - 1) + 1).view(np.int64) >> 52) - 1022
                nonzero += 1
        counts[m, 0] = max(high, -low)
        counts[m, 1] = squares
        counts[m, 2] = streamed
        counts[m, 3] = literal
        counts[m, 4] = nonzero
        counts[m, 5] = low
        counts[m, 6] = high
