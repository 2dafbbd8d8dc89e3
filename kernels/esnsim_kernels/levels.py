"""Sums over the midrise codes of sorted weights: a bisection a level in place of a pass.

`positive` and `negative` are the magnitudes of a layer's weights above and below 0, ascending;
`tails` of either hold the sum of the magnitudes from every BLOCK-th place on. A weight above 0 has
|q| ≥ 2t + 1 from w/Δ ≥ t on, one below 0 from |w|/Δ > t on, as q = 2·floor(w/Δ) + 1; both in
float64, so that thresholds are found by division and not by t·Δ.
"""

import numpy as np
from numba import njit

__all__ = ["describe", "filters", "sums", "tails"]

BLOCK = 32
LOOSE = {"reassoc", "nsz", "contract"}  # float sums may be regrouped: they only feed ratios


@njit(cache=True, nogil=True, error_model="numpy", fastmath=LOOSE)
def describe(weights, nonzero, energies, tops):
    """For each row: the number of w ≠ 0; Σ |w|, Σ w²; the largest w and the largest −w, or 0."""
    for m in range(weights.shape[0]):
        count = np.int64(0)
        total = squares = 0.0
        high = low = weights.dtype.type(0)
        for k in range(weights.shape[1]):
            w = weights[m, k]
            count += w != 0
            total += abs(np.float64(w))
            squares += np.float64(w) * np.float64(w)
            high = max(high, w)
            low = min(low, w)
        nonzero[m] = count
        energies[m, 0] = total
        energies[m, 1] = squares
        tops[0, m] = high
        tops[1, m] = -low


@njit(cache=True, nogil=True, error_model="numpy", fastmath=LOOSE)
def tails(magnitudes, out):
    """out[j] = Σ of the magnitudes from place j·BLOCK on."""
    for j in range(len(out)):
        block = magnitudes[j * BLOCK : (j + 1) * BLOCK]
        total = 0.0
        for i in range(len(block)):
            total += np.float64(block[i])
        out[j] = total
    for j in range(len(out) - 2, -1, -1):
        out[j] += out[j + 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _moved(x, by):
    """The float64 next above (`by` 1) or below (−1) x > 0."""
    return np.int64(np.float64(x).view(np.int64) + by).view(np.float64)


@njit(cache=True, nogil=True, error_model="numpy")
def _thresholds(level, step):
    """The least magnitudes of a weight above 0, and of one below, that have |q| ≥ 2·level + 1."""
    x = level * step
    while x / step >= level:
        x = _moved(x, -1)
    while x / step < level:
        x = _moved(x, 1)
    above = x
    while x / step <= level:
        x = _moved(x, 1)
    return above, x


@njit(cache=True, nogil=True, error_model="numpy")
def _first(magnitudes, x):
    """The first place of a magnitude that is not below x."""
    low, length = 0, len(magnitudes)  # always all of them: the places first looked at stay cached
    while length > 0:
        half = length >> 1
        if magnitudes[low + half] < x:
            low += half + 1
            length -= half + 1
        else:
            length = half
    return low


@njit(cache=True, nogil=True, error_model="numpy", fastmath=LOOSE)
def _tail(magnitudes, tails, place):
    """Σ of the magnitudes from a place on."""
    block = -(-place // BLOCK)
    total = tails[block] if block < len(tails) else 0.0
    part = magnitudes[place : block * BLOCK]
    for i in range(len(part)):
        total += np.float64(part[i])
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _highest(positive, negative):
    """The largest magnitude, or 0."""
    high = positive[-1] if len(positive) else positive.dtype.type(0)
    return np.float64(max(high, negative[-1]) if len(negative) else high)


@njit(cache=True, nogil=True, error_model="numpy")
def _passed(positive, negative, step, top):
    """Σ q², Σ bit_length |q|, Σ w·q of one step, weight by weight."""
    squares = exponents = np.int64(0)
    total = 0.0
    for magnitudes, below in ((positive, False), (negative, True)):
        for magnitude in magnitudes:
            x = magnitude / step
            level = np.int64(
                min(max(np.ceil(x) - 1, 0.0) if below else np.floor(x), np.float64(top))
            )
            q = 2 * level + 1
            squares += q * q
            total += magnitude * np.float64(q)
            while q > 0:
                exponents += 1
                q >>= 1
    return squares, exponents, total


@njit(cache=True, nogil=True, error_model="numpy")
def sums(positive, negative, positive_tails, negative_tails, steps, limit, counts, match):
    """counts[s] = Σ q², Σ bit_length |q|; match[s] = Σ w·q, of all weights but 0 and none pruned.

    `limit` is the largest |q|, the same for all steps.
    """
    top = (limit - 1) >> 1
    few = len(positive) + len(negative)
    for s in range(len(steps)):
        if top > few and _highest(positive, negative) / steps[s] > few:  # a pass takes less time
            counts[s, 0], counts[s, 1], match[s] = _passed(positive, negative, steps[s], top)
            continue
        squares = exponents = np.int64(len(positive) + len(negative))
        total = _tail(positive, positive_tails, 0) + _tail(negative, negative_tails, 0)
        for level in range(1, top + 1):
            above, below = _thresholds(level, steps[s])
            right = _first(positive, above)
            left = _first(negative, below)
            count = np.int64(len(positive) - right + len(negative) - left)
            if count == 0:
                break
            # Each level adds 2 to |q|, and (2t + 1)² − (2t − 1)² = 8t to q².
            squares += 8 * level * count
            both = _tail(positive, positive_tails, right) + _tail(negative, negative_tails, left)
            total += 2 * both
            if level & (level - 1) == 0:  # bit_length grows by 1 at powers of two
                exponents += count
        counts[s, 0] = squares
        counts[s, 1] = exponents
        match[s] = total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=LOOSE)
def filters(tops, weights, coded, magnitude, steps, limit, widths, counts, lost):
    """widths[s, m] = bit_length of the largest |q| of a filter, 0 if it is pruned.

    tops[0, m] is its largest weight above 0, tops[1, m] its largest magnitude below, or 0.
    counts[s] = Σ widths[s] · weights, and of pruned filters Σ coded; lost[s] = their Σ magnitude.
    """
    high, low = tops
    largest = max(high.max(), low.max()) if high.size else 0.0
    for s in range(len(steps)):
        row = widths[s]
        for m in range(len(row)):
            row[m] = max(high[m], low[m]) >= 0.5 * steps[s]
        level = np.int64(1)
        while 2 * level < limit and largest / steps[s] >= level:
            above, below = _thresholds(level, steps[s])
            for m in range(len(row)):
                row[m] += (high[m] >= above) | (low[m] >= below)
            level *= 2
        bits = gone = np.int64(0)
        total = 0.0
        for m in range(len(row)):
            bits += row[m] * weights[m]
            gone += coded[m] * (row[m] == 0)
            total += magnitude[m] * (row[m] == 0)
        counts[s, 0] = bits
        counts[s, 1] = gone
        lost[s] = total
