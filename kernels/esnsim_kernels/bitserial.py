"""The variable-precision MAC array: bit planes of weights against bit planes of activations.

Up to four planes of a filter meet four of the activations at a time, and are summed by diagonals:
popcounts that weigh the same are added before they are shifted.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from esnsim_kernels.scatter import scatter

__all__ = ["Block", "Filters", "count_pairs", "multiply", "roofline", "roofline_bare"]


class Filters(NamedTuple):
    """Bit planes (P, W) of weights: filter f has those from starts[f] to starts[f + 1].

    A filter's planes weigh 2^exponents[f], and each twice as much as that before. Its outputs
    also get factors[f] times the sum of a window's activations. `groups` (M,) are the filters'.
    """

    words: NDArray[np.uint64]
    starts: NDArray[np.int64]
    exponents: NDArray[np.int64]
    factors: NDArray[np.int64]
    groups: NDArray[np.int64]


class Block(NamedTuple):
    """Activations, none negative: bits (G, A, W, n) of windows, and `totals` (G, n), their sums.

    Of the n windows, `windows` from `first` on are meant.
    """

    bits: NDArray[np.uint64]
    totals: NDArray[np.int64]
    first: int
    windows: int


@intrinsic
def ctpop(typing, word):
    """Number of 1 bits of a uint64; LLVM vectorises it (vpopcntq where the CPU has it)."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def adder(rows):
    """A kernel that adds up `rows` planes of a filter, a constant so that loops over it unroll."""
    last = rows - 1

    @njit(nogil=True, error_model="numpy")
    def add(words, p, exponent, bits, g, first, sums, n):
        """sums[v] += Σ_i Σ_j 2^(exponent+i+j) · popcount(words[p + i] & bits[g, j, :, first + v]).

        Of the planes j as many as there are fours.
        """
        for j in range(0, bits.shape[1] - 3, 4):
            shift = np.uint64(exponent + j)
            for k in range(bits.shape[2]):
                w = (
                    words[p, k], words[p + min(1, last), k], words[p + min(2, last), k],
                    words[p + last, k],
                )  # fmt: skip
                for v in range(n):
                    at = first + v
                    x = (
                        bits[g, j, k, at], bits[g, j + 1, k, at], bits[g, j + 2, k, at],
                        bits[g, j + 3, k, at],
                    )  # fmt: skip
                    total = np.uint64(0)
                    for diagonal in range(rows + 2, -1, -1):
                        total <<= np.uint64(1)
                        for i in range(rows):
                            if 0 <= diagonal - i <= 3:
                                total += ctpop(w[i] & x[diagonal - i])
                    sums[v] += total << shift

    return add


add_1, add_2, add_3, add_4 = (adder(rows) for rows in range(1, 5))


@njit(nogil=True, error_model="numpy")
def add_one(words, p, exponent, bits, g, j, first, sums, n):
    """sums[v] += 2^(exponent + j) · popcount(words[p] & bits[g, j, :, first + v])."""
    shift = np.uint64(exponent + j)
    for k in range(bits.shape[2]):
        w = words[p, k]
        for v in range(n):
            sums[v] += ctpop(w & bits[g, j, k, first + v]) << shift


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(planes, block, constants, filters, sums, out, at):
    """Filters (first, last) on a block: constants[f] + what the planes of filter f give, to out.

    out (batch, M, windows) is int64, or int32 where its values are known to fit: sums (n,) uint64,
    working memory, wrap around. The block's windows are those from `at` on of all images.
    """
    words, bits = planes.words, block.bits
    n, first = np.uint64(block.windows), np.uint64(block.first)  # unsigned: no index wraps around
    for f in range(filters[0], filters[1]):
        g = planes.groups[f]
        for v in range(n):
            total = planes.factors[f] * block.totals[g, first + v]
            sums[v] = np.uint64(constants[f] + total)
        p, exponent = planes.starts[f], planes.exponents[f]
        while p < planes.starts[f + 1]:
            left = planes.starts[f + 1] - p
            rows = left // ((left + 3) // 4)  # evenly: 5 as 2 + 3
            if rows == 4:
                add_4(words, p, exponent, bits, g, first, sums, n)
            elif rows == 3:
                add_3(words, p, exponent, bits, g, first, sums, n)
            elif rows == 2:
                add_2(words, p, exponent, bits, g, first, sums, n)
            else:
                add_1(words, p, exponent, bits, g, first, sums, n)
            for i in range(rows):
                for j in range(bits.shape[1] // 4 * 4, bits.shape[1]):
                    add_one(words, p + i, exponent + i, bits, g, j, first, sums, n)
            p, exponent = p + rows, exponent + rows
        scatter(sums, n, out, f, np.uint64(at))


@njit(cache=True, nogil=True, error_model="numpy")
def count_pairs(ones, block):
    """Pairs of a 1 bit of any weight and one of an activation, in each activation plane (A,).

    They are bilinear: ones (G, T, W) are the planes of how many weight bits are 1 at each place.
    """
    bits, n, first = block.bits, np.uint64(block.windows), np.uint64(block.first)
    found = np.zeros(bits.shape[1], np.int64)
    for g in range(ones.shape[0]):
        for t in range(ones.shape[1]):
            for j in range(bits.shape[1]):
                pairs = np.uint64(0)
                for k in range(bits.shape[2]):
                    w = ones[g, t, k]
                    for v in range(n):
                        pairs += ctpop(w & bits[g, j, k, first + v])
                found[j] += np.int64(pairs) << t
    return found


@njit(nogil=True, error_model="numpy")
def column(table, k):
    """Entries k of four rows."""
    return table[0, k], table[1, k], table[2, k], table[3, k]


@njit(cache=True, nogil=True, error_model="numpy")
def roofline(weights, bits, part, repeats):
    """AND, popcount and add alone: part[i, v] += popcount(weights[i, k] & bits[k, v]), each k.

    weights (4, W), W a multiple of 4, bits (W, n) and part (4, n), all uint64, stay in L1. Each
    repeat is 4 · 64 · W · n one-bit multiply–accumulates.
    """
    for _ in range(repeats):
        for k in range(0, weights.shape[1], 4):
            a, b = column(weights, k), column(weights, k + 1)
            c, d = column(weights, k + 2), column(weights, k + 3)
            for v in range(bits.shape[1]):
                x0, x1, x2, x3 = bits[k, v], bits[k + 1, v], bits[k + 2, v], bits[k + 3, v]
                for i in range(4):
                    low, high = (
                        ctpop(a[i] & x0) + ctpop(b[i] & x1),
                        ctpop(c[i] & x2) + ctpop(d[i] & x3),
                    )
                    part[i, v] += low + high


@njit(cache=True, nogil=True, error_model="numpy")
def roofline_bare(weights, bits, part, repeats):
    """As `roofline`, nothing added: part[i, v] = popcount(weights[i, k] & bits[k, v]), each k."""
    for _ in range(repeats):
        for k in range(weights.shape[1]):
            w = column(weights, k)
            for v in range(bits.shape[1]):
                for i in range(4):
                    part[i, v] = ctpop(w[i] & bits[k, v])
