"""The variable-precision MAC array: bit planes of weights against bit planes of activations.

The walk goes over the tiles of the array: a pass (planes that hold the array's rows together) on
a tile of windows, for as many steps as the reduction needs lanes. The loop that accumulates a
tile also counts it.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["COUNTS", "Block", "Schedule", "roofline", "walk"]

#: What counts[...] holds, in order.
COUNTS = (
    "cycles", "active", "idle_width", "idle_rows", "idle_lanes", "idle_windows",
    "mask_cycles", "mask_active", "mask_idle", "essential_bits", "weight_bits", "activation_bits",
)  # fmt: skip


class Schedule(NamedTuple):
    """Weights in the order of the passes: words (P, W) of each plane, a filter's side by side.

    `filters` (P,) are those of the planes, `scales` and `shared` (P,) see `walk`; each pass is
    filled up to a multiple of 4 planes with zeros (filter −1). Pass i has the planes from starts[i]
    to starts[i + 1], of used[i] rows, of the assigned[i] that have a filter; `mask` says that they
    are masks, `groups` which activations they read.
    """

    words: NDArray[np.uint64]
    filters: NDArray[np.int64]
    scales: NDArray[np.int64]
    shared: NDArray[np.int64]
    starts: NDArray[np.int64]
    used: NDArray[np.int64]
    assigned: NDArray[np.int64]
    mask: NDArray[np.bool_]
    groups: NDArray[np.int64]


class Block(NamedTuple):
    """Activations of some windows: bits (G, A, W, n), n a multiple of 8 so that vectors are whole.

    `totals` (G, n) are their sums, `reductions` (G,) taps × live channels.
    """

    bits: NDArray[np.uint64]
    totals: NDArray[np.int64]
    reductions: NDArray[np.int64]
    signed: bool


@intrinsic
def ctpop(typing, word):
    """Number of 1 bits of a uint64; LLVM vectorises it (vpopcntq where the CPU has it)."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(nogil=True, error_model="numpy")
def column(table, i, k):
    """Entries k of rows i to i + 3."""
    return table[i, k], table[i + 1, k], table[i + 2, k], table[i + 3, k]


@njit(nogil=True, error_model="numpy")
def clear(table, n):
    """Zeros in the first n columns of 4 rows; a slice would not be vectorised."""
    for i in range(4):
        for v in range(n):
            table[i, v] = 0


@njit(nogil=True, error_model="numpy")
def accumulate(weights, p, blocks, g, j, part):
    """part[i, v] += popcount(weights[p + i] & blocks[g, j, :, v]), i < 4, four words at a time."""
    words, n = blocks.shape[2:]
    for k in range(0, words - 3, 4):
        a, b = column(weights, p, k), column(weights, p, k + 1)
        c, d = column(weights, p, k + 2), column(weights, p, k + 3)
        for v in range(n):
            x0, x1 = blocks[g, j, k, v], blocks[g, j, k + 1, v]
            x2, x3 = blocks[g, j, k + 2, v], blocks[g, j, k + 3, v]
            for i in range(4):
                low, high = ctpop(a[i] & x0) + ctpop(b[i] & x1), ctpop(c[i] & x2) + ctpop(d[i] & x3)
                part[i, v] += low + high
    for k in range(words // 4 * 4, words):
        w = column(weights, p, k)
        for v in range(n):
            for i in range(4):
                part[i, v] += ctpop(w[i] & blocks[g, j, k, v])


@njit(nogil=True, error_model="numpy")
def nibble(w, x0, x1, x2, x3):
    """Popcounts of w with four activation planes: weighted 1, 2, 4 and 8, and their plain sum."""
    a, b, c, d = ctpop(w & x0), ctpop(w & x1), ctpop(w & x2), ctpop(w & x3)
    low, high = a + b, c + d
    return np.int64(low + b + ((high + d) << np.uint64(2))), low + high


@njit(nogil=True, error_model="numpy")
def multiply_planes(weights, p, blocks, g, sums):
    """sums[i, v] += Σ_j 2^j · popcount(weights[p + i] & blocks[g, j, :, v]), i < 4; pairs of 1s."""
    planes, words, n = blocks.shape[1:]
    ones = np.uint64(0)
    for k in range(words):
        w = column(weights, p, k)
        for j in range(0, planes - 3, 4):
            for v in range(n):
                x0, x1 = blocks[g, j, k, v], blocks[g, j + 1, k, v]
                x2, x3 = blocks[g, j + 2, k, v], blocks[g, j + 3, k, v]
                for i in range(4):
                    weighted, plain = nibble(w[i], x0, x1, x2, x3)
                    sums[i, v] += weighted << j
                    ones += plain
        for j in range(planes // 4 * 4, planes):
            for v in range(n):
                for i in range(4):
                    a = ctpop(w[i] & blocks[g, j, k, v])
                    sums[i, v] += np.int64(a) << j
                    ones += a
    return ones


@njit(nogil=True, error_model="numpy")
def multiply_filter(weights, p, scale, blocks, g, table, row, at):
    """table[row, at + v] += all four planes, of one filter, each times its scale; pairs of 1s."""
    planes, words, n = blocks.shape[1], blocks.shape[2], np.uint64(blocks.shape[3])
    ones = np.uint64(0)
    for k in range(words):
        w = column(weights, p, k)
        for j in range(0, planes - 3, 4):
            for v in range(n):
                x0, x1 = blocks[g, j, k, v], blocks[g, j + 1, k, v]
                x2, x3 = blocks[g, j + 2, k, v], blocks[g, j + 3, k, v]
                total = np.int64(0)
                for i in range(4):
                    weighted, plain = nibble(w[i], x0, x1, x2, x3)
                    total += scale[i] * weighted
                    ones += plain
                table[row, at + v] += total << j
        for j in range(planes // 4 * 4, planes):
            for v in range(n):
                for i in range(4):
                    a = ctpop(w[i] & blocks[g, j, k, v])
                    table[row, at + v] += scale[i] * (np.int64(a) << j)
                    ones += a
    return ones


@njit(nogil=True, error_model="numpy")
def subtract_sign(weights, p, scale, blocks, g, table, row, at):
    """Two's complement: the top activation plane of plane p counts −2^(A−1), not +2^(A−1)."""
    planes, words, n = blocks.shape[1], blocks.shape[2], np.uint64(blocks.shape[3])
    for k in range(words):
        for v in range(n):
            a = ctpop(weights[p, k] & blocks[g, planes - 1, k, v])
            table[row, at + v] -= scale * (np.int64(a) << planes)


@njit(nogil=True, error_model="numpy")
def add_filter(weights, p, scale, shared, blocks, totals, g, signed, table, row, at):
    """table[row, at + v] += what four planes of one filter give; pairs of 1s."""
    if shared:
        for v in range(np.uint64(totals.shape[1])):
            table[row, at + v] += shared * totals[g, v]
    if signed:
        for i in range(4):
            subtract_sign(weights, p + i, scale[i], blocks, g, table, row, at)
    return multiply_filter(weights, p, scale, blocks, g, table, row, at)


@njit(nogil=True, error_model="numpy")
def add_planes(weights, p, scale, shared, filters, blocks, totals, g, signed, sums):
    """sums[i, v] = what plane p + i and those of its filter just before it give; pairs of 1s."""
    n = sums.shape[1]
    clear(sums, n)
    ones = multiply_planes(weights, p, blocks, g, sums)
    for i in range(4):
        if signed:
            subtract_sign(weights, p + i, np.int64(1), blocks, g, sums, i, np.uint64(0))
        for v in range(n):
            sums[i, v] = scale[i] * sums[i, v] + shared[p + i] * totals[g, v]
        if i > 0 and filters[p + i - 1] == filters[p + i]:
            for v in range(n):
                sums[i, v] += sums[i - 1, v]
    return ones


@njit(nogil=True, error_model="numpy")
def tiles_of(first, last, per_image, windows):
    """Tiles of windows first to last that are full, and that are not: none holds two images."""
    images = last // per_image - first // per_image
    full = images * (per_image // windows)
    full += last % per_image // windows - first % per_image // windows
    return full, images if per_image % windows else 0


@njit(nogil=True, error_model="numpy")
def count_tiles(counts, tiles, here, used, assigned, is_mask, reduction, array, bits):
    """Count one pass on `tiles` tiles of `here` windows each: see COUNTS."""
    rows, lanes, windows, unit_bits = array
    steps = (reduction + lanes - 1) // lanes
    counts[10] += tiles * used * reduction * (1 if is_mask else unit_bits)
    counts[11] += tiles * reduction * here * bits
    active = tiles * used * reduction * here
    if is_mask:
        counts[6] += tiles * steps
        counts[7] += active
        counts[8] += tiles * steps * rows * lanes * windows - active
        return
    counts[0] += tiles * steps
    counts[1] += active
    counts[2] += tiles * steps * (assigned - used) * lanes * windows
    counts[3] += tiles * steps * (rows - assigned) * lanes * windows
    counts[4] += tiles * used * (steps * lanes - reduction) * windows
    counts[5] += tiles * used * reduction * (windows - here)


@njit(cache=True, nogil=True, error_model="numpy")
def walk(array, schedule, block, windows, passes, sums, out, counts):
    """Run the passes (first, last) of a schedule on the windows (first, last, of an image) of a
    block, whole tiles of the array.

    array = (rows, lanes, windows, weight bits of a unit); the tiles of an image are its own. A
    plane adds scales[p] times its sums to out[filter, window] int64, and shared[p] times the
    activations' sum. sums (4, n) int64 is working memory.
    """
    first, last, per_image = windows
    filters, scales, shares = schedule.filters, schedule.scales, schedule.shared
    words, bits, n = schedule.words, block.bits.shape[1], block.bits.shape[3]
    whole, start = last - first == n, np.uint64(first)  # unsigned: no index wraps around
    table = out if whole else sums
    full, others = tiles_of(first, last, per_image, array[2])
    rest = per_image % array[2]
    for index in range(passes[0], passes[1]):
        g = schedule.groups[index]
        for p in range(schedule.starts[index], schedule.starts[index + 1], 4):
            scale = scales[p], scales[p + 1], scales[p + 2], scales[p + 3]
            alone = filters[p] == filters[p + 3]
            if alone:
                shared = shares[p] + shares[p + 1] + shares[p + 2] + shares[p + 3]
                row, at = (filters[p], start) if whole else (3, np.uint64(0))
                if not whole:
                    clear(sums, n)
                counts[9] += np.int64(
                    add_filter(
                        words, p, scale, shared, block.bits, block.totals, g, block.signed, table,
                        row, at,
                    )
                )  # fmt: skip
            else:
                counts[9] += np.int64(
                    add_planes(
                        words, p, scale, shares, filters, block.bits, block.totals, g,
                        block.signed, sums,
                    )
                )  # fmt: skip
            if not (alone and whole):
                for i in range(4):
                    f = filters[p + i]
                    if f >= 0 and (i == 3 or filters[p + i + 1] != f):
                        for v in range(np.uint64(last - first)):
                            out[f, start + v] += sums[i, v]
        for count, here in ((full, array[2]), (others, rest)):
            count_tiles(
                counts, count, here, schedule.used[index], schedule.assigned[index],
                schedule.mask[index], block.reductions[g], array, bits,
            )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def roofline(weights, blocks, part, repeats):
    """AND, popcount and accumulate alone, on operands that stay in L1.

    Each repeat is 4 · 64 · words · n one-bit multiply–accumulates.
    """
    for _ in range(repeats):
        accumulate(weights, 0, blocks, 0, 0, part)
