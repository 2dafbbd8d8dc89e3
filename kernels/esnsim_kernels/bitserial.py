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
def gather(packed, base, offsets, first, last, block):
    """block[j, (tap, word), v] = the packed channels that window first + v sees at each tap."""
    words = packed.shape[1]
    for j in range(packed.shape[0]):
        for tap in range(len(offsets)):
            for word in range(words):
                row = tap * words + word
                for v in range(last - first):
                    block[j, row, v] = packed[j, word, base[first + v] + offsets[tap]]


@njit(nogil=True, error_model="numpy")
def pack_patches(values, channels, base, offsets, first, last, block):
    """As `gather` from values (C, pixels), with bit (tap, channel) at tap·channels + channel.

    For few channels: words that hold one pixel's channels would be almost empty.
    """
    for j in range(block.shape[0]):
        for row in range(block.shape[1]):
            for v in range(last - first):
                block[j, row, v] = np.uint64(0)
    for tap in range(len(offsets)):
        for c in range(channels):
            k = tap * channels + c
            row, at = k // 64, np.uint64(k % 64)
            for j in range(block.shape[0]):
                for v in range(last - first):
                    value = np.int64(values[c, base[first + v] + offsets[tap]])
                    block[j, row, v] |= np.uint64((value >> j) & 1) << at


@njit(nogil=True, error_model="numpy")
def multiply_wide(weights, p, block, n, sums, part):
    """sums[i, v] = Σ_j ±2^j · popcount(weights[p + i] & block[j, :, v]) for i < 4; all pairs of 1s.

    The words of a window are taken four at a time, for four planes at once.
    """
    planes, words = block.shape[0], block.shape[1]
    ones = np.uint64(0)
    for v in range(n):
        for i in range(4):
            sums[i, v] = 0
    for j in range(planes - 1, -1, -1):
        for v in range(n):
            part[0, v] = part[1, v] = part[2, v] = part[3, v] = np.uint64(0)
        k = 0
        while k + 4 <= words:
            a0, a1, a2, a3 = weights[p, k], weights[p, k + 1], weights[p, k + 2], weights[p, k + 3]
            b0, b1 = weights[p + 1, k], weights[p + 1, k + 1]
            b2, b3 = weights[p + 1, k + 2], weights[p + 1, k + 3]
            c0, c1 = weights[p + 2, k], weights[p + 2, k + 1]
            c2, c3 = weights[p + 2, k + 2], weights[p + 2, k + 3]
            d0, d1 = weights[p + 3, k], weights[p + 3, k + 1]
            d2, d3 = weights[p + 3, k + 2], weights[p + 3, k + 3]
            for v in range(n):
                x0, x1 = block[j, k, v], block[j, k + 1, v]
                x2, x3 = block[j, k + 2, v], block[j, k + 3, v]
                part[0, v] += (ctpop(a0 & x0) + ctpop(a1 & x1)) + (ctpop(a2 & x2) + ctpop(a3 & x3))
                part[1, v] += (ctpop(b0 & x0) + ctpop(b1 & x1)) + (ctpop(b2 & x2) + ctpop(b3 & x3))
                part[2, v] += (ctpop(c0 & x0) + ctpop(c1 & x1)) + (ctpop(c2 & x2) + ctpop(c3 & x3))
                part[3, v] += (ctpop(d0 & x0) + ctpop(d1 & x1)) + (ctpop(d2 & x2) + ctpop(d3 & x3))
            k += 4
        while k < words:
            a0, b0, c0, d0 = weights[p, k], weights[p + 1, k], weights[p + 2, k], weights[p + 3, k]
            for v in range(n):
                x0 = block[j, k, v]
                part[0, v] += ctpop(a0 & x0)
                part[1, v] += ctpop(b0 & x0)
                part[2, v] += ctpop(c0 & x0)
                part[3, v] += ctpop(d0 & x0)
            k += 1
        for i in range(4):
            for v in range(n):
                sums[i, v] = 2 * sums[i, v] + np.int64(part[i, v])
                ones += part[i, v]
    return ones


@njit(nogil=True, error_model="numpy")
def multiply_narrow(weights, p, block, n, sums):
    """As `multiply_wide` for few words: four activation planes at a time instead."""
    planes, words = block.shape[0], block.shape[1]
    ones = np.uint64(0)
    for v in range(n):
        for i in range(4):
            sums[i, v] = 0
    for k in range(words):
        a, b, c, d = weights[p, k], weights[p + 1, k], weights[p + 2, k], weights[p + 3, k]
        j = 0
        while j + 4 <= planes:
            shift = np.uint64(j)
            for v in range(n):
                x0, x1 = block[j, k, v], block[j + 1, k, v]
                x2, x3 = block[j + 2, k, v], block[j + 3, k, v]
                p0, p1, p2, p3 = ctpop(a & x0), ctpop(a & x1), ctpop(a & x2), ctpop(a & x3)
                q0, q1, q2, q3 = ctpop(b & x0), ctpop(b & x1), ctpop(b & x2), ctpop(b & x3)
                r0, r1, r2, r3 = ctpop(c & x0), ctpop(c & x1), ctpop(c & x2), ctpop(c & x3)
                s0, s1, s2, s3 = ctpop(d & x0), ctpop(d & x1), ctpop(d & x2), ctpop(d & x3)
                sums[0, v] += np.int64((2 * (2 * (2 * p3 + p2) + p1) + p0) << shift)
                sums[1, v] += np.int64((2 * (2 * (2 * q3 + q2) + q1) + q0) << shift)
                sums[2, v] += np.int64((2 * (2 * (2 * r3 + r2) + r1) + r0) << shift)
                sums[3, v] += np.int64((2 * (2 * (2 * s3 + s2) + s1) + s0) << shift)
                ones += ((p0 + p1) + (p2 + p3)) + ((q0 + q1) + (q2 + q3))
                ones += ((r0 + r1) + (r2 + r3)) + ((s0 + s1) + (s2 + s3))
            j += 4
        while j < planes:
            shift = np.uint64(j)
            for v in range(n):
                x0 = block[j, k, v]
                p0, q0, r0, s0 = ctpop(a & x0), ctpop(b & x0), ctpop(c & x0), ctpop(d & x0)
                sums[0, v] += np.int64(p0 << shift)
                sums[1, v] += np.int64(q0 << shift)
                sums[2, v] += np.int64(r0 << shift)
                sums[3, v] += np.int64(s0 << shift)
                ones += (p0 + q0) + (r0 + s0)
            j += 1
    return ones


@njit(nogil=True, error_model="numpy")
def subtract_sign(weights, p, block, n, sums):
    """Two's complement: the top activation plane counts −2^(A−1), not +2^(A−1)."""
    top = block.shape[0] - 1
    shift = np.uint64(top + 1)
    for i in range(4):
        for k in range(block.shape[1]):
            w = weights[p + i, k]
            for v in range(n):
                sums[i, v] -= np.int64(ctpop(w & block[top, k, v]) << shift)


@njit(nogil=True, error_model="numpy")
def sum_activations(block, n, signed, out):
    """out[v] = Σ of the activations that window v sees."""
    planes, words = block.shape[0], block.shape[1]
    for v in range(n):
        out[v] = 0
    for j in range(planes):
        shift = np.uint64(j)
        negative = signed and j == planes - 1
        for k in range(words):
            for v in range(n):
                term = np.int64(ctpop(block[j, k, v]) << shift)
                out[v] += -term if negative else term


@njit(nogil=True, error_model="numpy")
def count_tile(counts, used, assigned, is_mask, reduction, here, rows, lanes, windows, bits):
    """Count one pass on one tile of `here` windows: see COUNTS."""
    steps = (reduction + lanes - 1) // lanes
    active = used * reduction * here
    counts[10] += used * reduction
    counts[11] += reduction * here * bits
    if is_mask:
        counts[6] += steps
        counts[7] += active
        counts[8] += steps * rows * lanes * windows - active
        return
    counts[0] += steps
    counts[1] += active
    counts[2] += steps * (assigned - used) * lanes * windows
    counts[3] += steps * (rows - assigned) * lanes * windows
    counts[4] += used * (steps * lanes - reduction) * windows
    counts[5] += used * reduction * (windows - here)


@njit(cache=True, nogil=True, error_model="numpy")
def walk(
    array, packed, values, channels, signed, base, offsets, reductions,
    weights, plane_filter, plane_shift, plane_sign, plane_sum,
    pass_plane, pass_used, pass_assigned, pass_mask, pass_group,
    first_pass, last_pass, first_tile, last_tile, block, sums, part, total, out, counts,
):  # fmt: skip
    """Run passes first_pass to last_pass on window tiles first_tile to last_tile.

    array = (rows, lanes, windows) of the machine and the number of windows of a block, a multiple
    of the machine's. Activations are packed (G, A, words, pixels) uint64, or where that is empty
    the first `channels` of values (G, C, pixels) int32; base (windows,) and offsets (taps,) find
    a window's pixels; reductions (G,) are taps × live channels. weights (P, words) are the planes
    in the order of the passes, each pass filled up to a multiple of 4 with zeros; a plane adds
    ±sums·2^shift to out[filter, window] int64, and plane_sum times the sum of the activations.
    Pass i holds planes pass_plane[i] on, pass_used[i] of them real, on pass_assigned[i] rows.
    block (A, words, n), sums (4, n) int64, part (4, n) uint64 and total (n,) int64 are working
    memory.
    """  # fmt: skip
    rows, lanes, windows, stride = array
    bits = block.shape[0]
    last_window = min(last_tile * windows, len(base))
    first = first_tile * windows
    while first < last_window:
        last = min(first + stride, last_window)
        n = (last - first + 7) // 8 * 8  # whole vectors; what lies beyond `last` is not used
        group = -1
        for index in range(first_pass, last_pass):
            if pass_group[index] != group:
                group = pass_group[index]
                block[:, :, last - first : n] = np.uint64(0)
                if len(packed):
                    gather(packed[group], base, offsets, first, last, block)
                else:
                    pack_patches(values[group], channels, base, offsets, first, last, block)
                sum_activations(block, n, signed, total)
            for p in range(pass_plane[index], pass_plane[index + 1], 4):
                if block.shape[1] >= 4:
                    counts[9] += np.int64(multiply_wide(weights, p, block, n, sums, part))
                else:
                    counts[9] += np.int64(multiply_narrow(weights, p, block, n, sums))
                if signed:
                    subtract_sign(weights, p, block, n, sums)
                for i in range(4):
                    f = plane_filter[p + i]
                    if f < 0:
                        continue
                    scale = plane_sign[p + i] * (np.int64(1) << plane_shift[p + i])
                    shared = plane_sum[p + i]
                    for v in range(last - first):
                        out[f, first + v] += scale * sums[i, v] + shared * total[v]
            for at in range(first, last, windows):
                count_tile(
                    counts, pass_used[index], pass_assigned[index], pass_mask[index],
                    reductions[group], min(windows, len(base) - at), rows, lanes, windows, bits,
                )  # fmt: skip
        first = last


@njit(cache=True, nogil=True, error_model="numpy")
def roofline(weights, block, sums, part, repeats):
    """The inner loop alone, on operands that stay in L1: pairs of 1s, so that nothing is left out.

    Each repeat is 4 · words · 64 · planes · n one-bit multiply-accumulates.
    """
    ones = np.uint64(0)
    for _ in range(repeats):
        ones += multiply_wide(weights, 0, block, block.shape[2], sums, part)
        block[0, 0, 0] ^= ones  # a result that the next repeat needs
    return ones
