"""Sums over the midrise codes of sorted weights: a bisection a level in place of a pass.

`positive` and `negative` are the magnitudes of a layer's weights above and below 0, ascending;
their tails, one longer, hold the sum of the magnitudes from each place on. A weight above 0 has
|q| ≥ 2t + 1 from w/Δ ≥ t on, one below 0 from |w|/Δ > t on (q = 2·floor(w/Δ) + 1).
"""

import numpy as np
from numba import njit

__all__ = ["filters", "sums"]


@njit(cache=True, nogil=True, error_model="numpy")
def _first(magnitudes, low, step, level, below_zero):
    """The first place, from `low` on, of a weight with |q| ≥ 2·level + 1."""
    high = len(magnitudes)
    while low < high:
        middle = (low + high) >> 1
        ratio = np.float64(magnitudes[middle]) / step
        if ratio > level or (ratio == level and not below_zero):
            high = middle
        else:
            low = middle + 1
    return low


@njit(cache=True, nogil=True, error_model="numpy")
def sums(positive, negative, positive_tails, negative_tails, steps, limit, counts, match):
    """counts[s] = Σ q², Σ bit_length |q|; match[s] = Σ w·q, of all weights but 0 and none pruned.

    `limit` is the largest |q|, the same for all steps.
    """
    top = (limit - 1) >> 1
    for s in range(len(steps)):
        squares = exponents = np.int64(len(positive) + len(negative))
        total = positive_tails[0] + negative_tails[0]
        for sign in range(2):
            magnitudes = positive if sign == 0 else negative
            tails = positive_tails if sign == 0 else negative_tails
            place = 0
            for level in range(1, top + 1):
                place = _first(magnitudes, place, steps[s], level, sign == 1)
                above = np.int64(len(magnitudes) - place)
                if above == 0:
                    break
                # Each level adds 2 to |q|, and (2t + 1)² − (2t − 1)² = 8t to q².
                squares += 8 * level * above
                total += 2 * tails[place]
                if level & (level - 1) == 0:  # bit_length grows by 1 at powers of two
                    exponents += above
        counts[s, 0] = squares
        counts[s, 1] = exponents
        match[s] = total


@njit(cache=True, nogil=True, error_model="numpy")
def filters(tops, steps, limit, widths):
    """widths[s, m] = bit_length of the largest |q| of a filter, 0 if it is pruned.

    tops[m] = its largest weight above 0 and its largest magnitude below 0, 0 where none is.
    """
    top = (limit - 1) >> 1
    for s in range(len(steps)):
        for m in range(len(tops)):
            if max(tops[m, 0], tops[m, 1]) < 0.5 * steps[s]:
                widths[s, m] = 0
                continue
            level = max(np.floor(tops[m, 0] / steps[s]), np.ceil(tops[m, 1] / steps[s]) - 1.0)
            bits = np.int64(1)
            whole = np.int64(min(level, np.float64(top)))
            while whole > 0:
                whole >>= 1
                bits += 1
            widths[s, m] = bits
