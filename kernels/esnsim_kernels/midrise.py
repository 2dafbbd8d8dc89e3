"""The midrise code of Appendix A: q = 2·floor(w/Δ) + 1, saturated, zeros kept or not.

weights (M, K) are floats; step (M,) float64 is Δ > 0; limit (M,) int64 is the largest |q|, 0 for
a filter of width 0.
"""

import numpy as np
from numba import njit

__all__ = ["codes", "correlation", "statistics", "sums"]

LANES = 64  # running sums of a row, term k in sum k mod LANES: the order of NumPy's form too
CHUNK = 8 * LANES  # weights whose codes wait in the first cache
FLOATS = 2 * LANES + CHUNK  # of working memory: the running sums and the magnitudes of a chunk
NEAR = 2.0**-28  # to the next level: a product by 1/Δ tells the level of quotients farther from it
WIDE = 1 << 18  # |q| from which it may not
FAINT = 2.0**-500  # Δ down to which, and 1/Δ up to which, it does
NARROW, NEAR_NARROW, FAINT_NARROW = 1 << 10, 2.0**-23, 2.0**-100  # the same in float32
LOOSE = {"reassoc", "nsz", "contract"}  # float sums may be regrouped: the search compares them


@njit(cache=True, nogil=True, error_model="numpy")
def _code(w, delta, limit, keep_zeros):
    """The odd integer q of one weight as a float, 0 for a kept zero."""
    q = 2.0 * min(max(np.floor(w / delta), -0.5 * (limit + 1)), 0.5 * (limit - 1)) + 1.0
    if keep_zeros and w == 0.0:  # an early return would make it a branch and not vectorise
        q = 0.0
    return q


@njit(cache=True, nogil=True, error_model="numpy")
def _pruned(weights, m, delta, limit):
    """Whether all |w| < Δ/2 in a row, or the width is 0."""
    if limit > 0:
        for k in range(weights.shape[1]):
            if abs(np.float64(weights[m, k])) >= 0.5 * delta:
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _fold(lanes, terms):
    """The running sums of so many terms added up by halves, into the first."""
    half = LANES // 2
    while half:
        if half < terms:  # else the upper half is all 0
            for lane in range(half):
                lanes[lane] += lanes[lane + half]
        half //= 2


@njit(cache=True, nogil=True, error_model="numpy")
def _widened(weights, m, start, size, length, magnitudes):
    """The magnitudes of so many weights of a row, and 0 up to a length; the number of w ≠ 0."""
    nonzero = np.int32(0)  # as sums of int32: AVX2 has few instructions for int64
    for k in range(size):
        w = weights[m, np.uint64(start + k)]  # a signed place might count from the end
        magnitudes[k] = np.float64(abs(w))
        nonzero = np.int32(nonzero + (w != 0))
    for k in range(size, length):
        magnitudes[k] = 0.0
    return nonzero


@njit(cache=True, nogil=True, error_model="numpy")
def _levels(magnitudes, length, inverse, limit, q):
    """|q| = 2·floor(|w|·(1/Δ)) + 1 up to the limit; whether that is sure to be |q| of w/Δ.

    w/Δ rounds once, |w|·(1/Δ) twice: below WIDE they differ by less than 2^-33. So where no level
    lies within NEAR of the product both have the same floor, and one below 0 the same |q|, as it
    differs at levels alone. Saturated weights end between two levels.
    """
    top, most, unsure = 0.5 * limit + 1.0, np.int32(limit), np.int32(0)
    for k in range(length):
        x = min(magnitudes[k] * inverse, top)
        level = np.int32(x + NEAR)
        unsure = np.int32(unsure | (level ^ np.int32(x - NEAR)))
        q[k] = min(np.int32(2 * level + 1), most)
    return unsure == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _levels_narrow(weights, m, start, size, inverse, limit, q):
    """As `_levels` in float32, for limits below NARROW: twice as many in a vector.

    A product x differs from w/Δ by less than x·2^-23, and x ± near from its sum by half of that.
    """
    top, most, unsure = np.float32(0.5 * limit + 1.0), np.int32(limit), np.int32(0)
    factor, near = np.float32(inverse), np.float32(NEAR_NARROW * (limit + 2))
    for k in range(size):
        x = min(np.float32(abs(weights[m, np.uint64(start + k)])) * factor, top)
        level = np.int32(x + near)
        unsure = np.int32(unsure | (level ^ np.int32(x - near)))
        q[k] = min(np.int32(2 * level + 1), most)
    return unsure == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _divided(weights, m, start, size, delta, limit, q):
    """|q| by division."""
    for k in range(size):
        q[k] = np.int32(abs(_code(np.float64(weights[m, start + k]), delta, limit, False)))


@njit(cache=True, nogil=True, error_model="numpy")
def _zeroed(magnitudes, size, q):
    """q is 0 where a weight is."""
    for k in range(size):
        q[k] = np.int32(0) if magnitudes[k] == 0.0 else q[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _counted(q, length):
    """max |q|, Σ of the exponent fields of |q| as float32, number of |q| = 1."""
    top, exponents, ones = np.int32(0), np.int32(0), np.int32(0)
    for k in range(length):
        top = np.int32(max(top, q[k]))
        exponents = np.int32(exponents + (np.float32(q[k]).view(np.int32) >> np.int32(23)))
        ones = np.int32(ones + (q[k] == 1))
    return top, exponents, ones


@njit(cache=True, nogil=True, error_model="numpy")
def _squares(q, length, limit):
    """Σ q²: in int32 where so many below NARROW fit."""
    if limit < NARROW:
        narrow = np.int32(0)
        for k in range(length):
            narrow = np.int32(
                narrow + (q[k] & np.int32(NARROW - 1)) * (q[k] & np.int32(NARROW - 1))
            )
        return np.int64(narrow)
    total = np.uint64(0)
    for k in range(length):
        total += np.uint64(np.uint32(q[k])) * np.uint64(np.uint32(q[k]))
    return np.int64(total)


@njit(cache=True, nogil=True, error_model="numpy")
def _energies(magnitudes, q, length, half, signal, noise):
    """Add w² and (|w| − Δ·|q|/2)² to the sums of their lanes."""
    for start in range(0, length, LANES):
        for lane in range(LANES):
            k = np.uint64(start + lane)  # else it might count from the end
            signal[lane] += magnitudes[k] * magnitudes[k]
        for lane in range(LANES):
            k = np.uint64(start + lane)
            error = magnitudes[k] - half * np.float64(q[k])
            noise[lane] += error * error


@njit(cache=True, nogil=True, error_model="numpy")
def sums(weights, step, limit, keep_zeros, counts, energies, floats, q):
    """`statistics` in the working memory of the caller: FLOATS numbers, and CHUNK for codes."""
    size, magnitudes = weights.shape[1], floats[2 * LANES :]
    signal, noise, float32 = floats[:LANES], floats[LANES : 2 * LANES], weights.itemsize == 4
    for m in range(weights.shape[0]):
        delta, easy = step[m], limit[m] < WIDE and FAINT < step[m] < 1 / FAINT
        narrow = limit[m] < NARROW and FAINT_NARROW < delta < 1 / FAINT_NARROW and float32
        top = squares = exponents = ones = nonzero = np.int64(0)
        signal[:] = noise[:] = 0.0
        for start in range(0, size, CHUNK):
            some = min(CHUNK, size - start)
            length = -(-some // LANES) * LANES
            live = _widened(weights, m, start, some, length, magnitudes)
            nonzero += live
            sure = narrow and _levels_narrow(weights, m, start, some, 1.0 / delta, limit[m], q)
            if not sure and not (easy and _levels(magnitudes, length, 1.0 / delta, limit[m], q)):
                _divided(weights, m, start, some, delta, limit[m], q)
            if keep_zeros and live < some:
                _zeroed(magnitudes, some, q)
            for k in range(some, length):
                q[k] = 0
            found = _counted(q, length)
            squares += _squares(q, length, limit[m])
            _energies(magnitudes, q, length, 0.5 * delta, signal, noise)
            top = max(top, np.int64(found[0]))
            exponents += found[1]
            ones += found[2]
        _fold(signal, size)
        _fold(noise, size)
        coded = nonzero if keep_zeros else size
        counts[m, 0] = top
        counts[m, 1] = squares
        counts[m, 2] = exponents - 126 * coded  # the field of a number is its bit length + 126
        counts[m, 3] = ones
        counts[m, 4] = coded
        counts[m, 5] = nonzero
        energies[m, 0] = signal[0]
        energies[m, 1] = noise[0]
        if top <= 1 and _pruned(weights, m, delta, limit[m]):  # such weights have |q| ≤ 1
            counts[m, :5] = 0
            energies[m, 1] = signal[0]


@njit(cache=True, nogil=True, error_model="numpy")
def statistics(weights, step, limit, keep_zeros, counts, energies):
    """Quantise each row and sum up what the metrics need, in one pass.

    counts[m] = max |q|, Σ q², Σ bit_length |q|, number of |q| = 1, of q ≠ 0, of w ≠ 0;
    energies[m] = Σ w², Σ (w − Δ·q/2)², added up in LANES and these by halves. A row is pruned
    where all |w| < Δ/2. Divisions are made in chunks alone where a product leaves a level open.
    """
    floats, q = np.empty(FLOATS), np.empty(CHUNK, np.int32)
    sums(weights, step, limit, keep_zeros, counts, energies, floats, q)


@njit(cache=True, nogil=True, error_model="numpy")
def codes(weights, step, limit, keep_zeros, out):
    """out[m, k] = the odd integer q of each weight (0 where kept or pruned), as `statistics`."""
    for m in range(weights.shape[0]):
        for k in range(weights.shape[1]):
            out[m, k] = np.int64(_code(np.float64(weights[m, k]), step[m], limit[m], keep_zeros))
        if _pruned(weights, m, step[m], limit[m]):
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
