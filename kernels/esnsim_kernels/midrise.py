"""The midrise code of Appendix A: q = 2·floor(w/Δ) + 1, saturated, zeros kept or not.

weights (M, K) are floats; step (M,) float64 is Δ > 0; limit (M,) int64 is the largest |q|, 0 for
a filter of width 0.
"""

import numpy as np
from numba import njit

__all__ = ["codes", "correlation", "statistics"]

LANES = 64  # running sums of a row, term k in sum k mod LANES: the order of NumPy's form too
LOOSE = {"reassoc", "nsz", "contract"}  # float sums may be regrouped: the search compares them


@njit(cache=True, nogil=True, error_model="numpy")
def _code(w, delta, limit, keep_zeros):
    """The odd integer q of one weight as a float, 0 for a kept zero."""
    q = 2.0 * min(max(np.floor(w / delta), -0.5 * (limit + 1)), 0.5 * (limit - 1)) + 1.0
    if keep_zeros and w == 0.0:  # an early return would make it a branch and not vectorise
        q = 0.0
    return q


@njit(cache=True, nogil=True, error_model="numpy")
def _pruned(row, delta, limit):
    """Whether all |w| < Δ/2, or the width is 0."""
    if limit > 0:
        for w in row:
            if abs(np.float64(w)) >= 0.5 * delta:
                return False
    return True


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
def statistics(weights, step, limit, keep_zeros, counts, energies):
    """Quantise each row and sum up what the metrics need, in one pass.

    counts[m] = max |q|, Σ q², Σ bit_length |q|, number of |q| = 1, of q ≠ 0, of w ≠ 0;
    energies[m] = Σ w², Σ (w − Δ·q/2)², added up in LANES and these by halves. A row is pruned
    where all |w| < Δ/2.
    """
    lanes = np.empty((2, LANES))
    for m in range(weights.shape[0]):
        delta, half = step[m], 0.5 * step[m]
        top, squares, exponents = np.int32(0), np.int64(0), np.uint64(0)
        ones = nonzero = np.int64(0)
        lanes[:] = 0.0
        for start in range(0, weights.shape[1], LANES):
            for lane in range(min(LANES, weights.shape[1] - start)):
                w = np.float64(weights[m, start + lane])
                q = _code(w, delta, limit[m], keep_zeros)
                a = np.int32(abs(q))  # AVX2 has no vectors of int64: not their maximum or shift
                top = max(top, a)
                squares += np.int64(a) * np.int64(a)
                # The exponent field of a float64 is its bit length + 1022, and 0 for 0.
                exponents += np.float64(abs(q)).view(np.uint64) >> np.uint64(52)
                ones += abs(q) == 1.0
                nonzero += w != 0.0
                lanes[0, lane] += w * w
                error = w - half * q
                lanes[1, lane] += error * error
        _fold(lanes, weights.shape[1])
        coded = nonzero if keep_zeros else weights.shape[1]
        counts[m, 0] = top
        counts[m, 1] = squares
        counts[m, 2] = np.int64(exponents) - 1022 * coded
        counts[m, 3] = ones
        counts[m, 4] = coded
        counts[m, 5] = nonzero
        energies[m, 0] = lanes[0, 0]
        energies[m, 1] = lanes[1, 0]
        if top <= 1 and _pruned(weights[m], delta, limit[m]):  # such weights have |q| ≤ 1
            counts[m, :5] = 0
            energies[m, 1] = lanes[0, 0]


@njit(cache=True, nogil=True, error_model="numpy")
def codes(weights, step, limit, keep_zeros, out):
    """out[m, k] = the odd integer q of each weight (0 where kept or pruned), as `statistics`."""
    for m in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            out[m, k] = np.int64(_code(np.float64(weights[m, k]), step[m], limit[m], keep_zeros))
        if _pruned(weights[m], step[m], limit[m]):
            out[m, :] = 0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=LOOSE)
def correlation(weights, step, factors, limit, keep_zeros, out):
    """out[m, f] = Σ w·q, Σ q² of row m at the step Δ = step[m]·factors[f], nothing pruned."""
    for m in range(weights.shape[0]):
        for f in range(len(factors)):
            delta = step[m] * factors[f]
            match = squares = 0.0
            for k in range(weights.shape[1]):
                w = np.float64(weights[m, k])
                q = _code(w, delta, limit[m], keep_zeros)
                match += w * q
                squares += q * q
            out[m, f, 0] = match
            out[m, f, 1] = squares
