"""The variable-precision MAC array: bit planes of weights against bit planes of activations.

The walk goes over the tiles of the array: a pass (planes that hold the array's rows together) on
a tile of windows, for as many steps as the reduction needs lanes. The loop that accumulates a
tile also counts it.
"""

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["COUNTS", "roofline", "walk"]

#: What counts[...] holds, in order.
COUNTS = (
    "cycles", "active", "idle_width", "idle_rows", "idle_lanes", "idle_windows",
    "mask_cycles", "mask_active", "mask_idle", "essential_bits", "weight_bits", "activation_bits",
)  # fmt: skip


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
def accumulate(weights, p, plane, n, part):
    """part[i, v] += popcount(weights[p + i] & plane[:, v]) for i < 4, four words at a time."""
    words = len(plane)
    for k in range(0, words - 3, 4):
        a, b = column(weights, p, k), column(weights, p, k + 1)
        c, d = column(weights, p, k + 2), column(weights, p, k + 3)
        for v in range(n):
            x0, x1, x2, x3 = column(plane, k, v)
            for i in range(4):
                low, high = ctpop(a[i] & x0) + ctpop(b[i] & x1), ctpop(c[i] & x2) + ctpop(d[i] & x3)
                part[i, v] += low + high
    for k in range(words // 4 * 4, words):
        w = column(weights, p, k)
        for v in range(n):
            for i in range(4):
                part[i, v] += ctpop(w[i] & plane[k, v])


@njit(nogil=True, error_model="numpy")
def multiply_wide(weights, p, block, n, sums, part):
    """sums[i, v] = Σ_j 2^j · popcount(weights[p + i] & block[j, :, v]) for i < 4; all pairs of 1s.

    One activation plane after the other, the top one first.
    """
    ones = np.uint64(0)
    for j in range(len(block) - 1, -1, -1):
        clear(part, n)
        accumulate(weights, p, block[j], n, part)
        for i in range(4):
            for v in range(n):
                sums[i, v] = 2 * sums[i, v] + np.int64(part[i, v])
                ones += part[i, v]
    return ones


@njit(nogil=True, error_model="numpy")
def multiply_narrow(weights, p, block, n, sums):
    """As `multiply_wide` for few words: four activation planes at a time."""
    planes, words = block.shape[0], block.shape[1]
    ones = np.uint64(0)
    for k in range(words):
        w = column(weights, p, k)
        for j in range(0, planes - 3, 4):
            for v in range(n):
                x0, x1 = block[j, k, v], block[j + 1, k, v]
                x2, x3 = block[j + 2, k, v], block[j + 3, k, v]
                for i in range(4):
                    a, b = ctpop(w[i] & x0), ctpop(w[i] & x1)
                    c, d = ctpop(w[i] & x2), ctpop(w[i] & x3)
                    low, high = a + b, c + d
                    sums[i, v] += np.int64((low + b + 4 * (high + d)) << np.uint64(j))
                    ones += low + high
        for j in range(planes // 4 * 4, planes):
            for v in range(n):
                for i in range(4):
                    a = ctpop(w[i] & block[j, k, v])
                    sums[i, v] += np.int64(a << np.uint64(j))
                    ones += a
    return ones


@njit(nogil=True, error_model="numpy")
def subtract_sign(weights, p, block, n, sums):
    """Two's complement: the top activation plane counts −2^(A−1), not +2^(A−1)."""
    top = len(block) - 1
    for k in range(block.shape[1]):
        w = column(weights, p, k)
        for v in range(n):
            for i in range(4):
                sums[i, v] -= np.int64(ctpop(w[i] & block[top, k, v]) << np.uint64(top + 1))


@njit(nogil=True, error_model="numpy")
def count_tiles(counts, tiles, here, used, assigned, is_mask, reduction, array, bits):
    """Count one pass on `tiles` tiles of `here` windows each: see COUNTS."""
    rows, lanes, windows, _ = array
    steps = (reduction + lanes - 1) // lanes
    counts[10] += tiles * used * reduction
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
def walk(
    array, blocks, totals, signed, first, last, first_pass, last_pass, reductions,
    weights, plane_filter, plane_shift, plane_sign, plane_sum,
    pass_plane, pass_used, pass_assigned, pass_mask, pass_group, sums, part, out, counts,
):  # fmt: skip
    """Run passes first_pass to last_pass on windows `first` to `last`, whole tiles of the array.

    array = (rows, lanes, windows, words from which the wide kernel pays). blocks (G, A, words, n)
    uint64 hold the activations' bits, n a multiple of 8 so that vectors are whole; totals (G, n)
    int64 their sums; reductions (G,) are taps × live channels. weights (P, words) are the planes
    in the order of the passes, each pass filled up to a multiple of 4 with zeros; a plane adds
    ±sums·2^shift to out[filter, window] int64, and plane_sum times the activations' sum. Pass i
    holds planes pass_plane[i] on, pass_used[i] of them real, on pass_assigned[i] rows. sums (4, n)
    int64 and part (4, n) uint64 are working memory.
    """  # fmt: skip
    bits, words, n = blocks.shape[1:]
    for index in range(first_pass, last_pass):
        group = pass_group[index]
        block, total = blocks[group], totals[group]
        for p in range(pass_plane[index], pass_plane[index + 1], 4):
            clear(sums, n)
            if words >= array[3]:
                counts[9] += np.int64(multiply_wide(weights, p, block, n, sums, part))
            else:
                counts[9] += np.int64(multiply_narrow(weights, p, block, n, sums))
            if signed:
                subtract_sign(weights, p, block, n, sums)
            for i in range(4):
                f, scale = (
                    plane_filter[p + i],
                    plane_sign[p + i] * (np.int64(1) << plane_shift[p + i]),
                )
                shared, before = plane_sum[p + i], i > 0 and plane_filter[p + i - 1] == f
                for v in range(n):
                    sums[i, v] = scale * sums[i, v] + shared * total[v]
                if before:
                    for v in range(n):
                        sums[i, v] += sums[i - 1, v]
                if f >= 0 and (i == 3 or plane_filter[p + i + 1] != f):
                    for v in range(last - first):
                        out[f, first + v] += sums[i, v]
        tiles, rest = (last - first) // array[2], (last - first) % array[2]
        for count, here in ((tiles, array[2]), (int(rest > 0), rest)):
            count_tiles(
                counts, count, here, pass_used[index], pass_assigned[index], pass_mask[index],
                reductions[group], array, bits,
            )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def roofline(weights, plane, part, repeats):
    """AND, popcount and accumulate alone, on operands that stay in L1.

    Each repeat is 4 · 64 · words · n one-bit multiply–accumulates.
    """
    for _ in range(repeats):
        accumulate(weights, 0, plane, plane.shape[1], part)
