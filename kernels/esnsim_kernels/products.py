"""Exact sums of products of 16-bit integers: what an array puts out, whatever its schedule.

Windows stand in panels, filters in quads, two neighbours of the reduction in a word (vectors.py).
"""

from typing import NamedTuple

import numpy as np
from numba import njit, uint32, uint64
from numpy.typing import NDArray

from esnsim_kernels.scatter import scatter
from esnsim_kernels.vectors import PANEL, QUAD, multiply

__all__ = ["Inputs", "Weights", "convolve"]


class Inputs(NamedTuple):
    """Activations, the first `channels` of values (G, C, pixels), none negative, below 2^15.

    `base` (windows,), which rises, and `offsets` (taps,) find a window's pixels: row k of the
    reduction is channel k % channels at tap k // channels. For pairs of 1 bits, those of
    `flipped` count as the others.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    channels: int
    base: NDArray[np.int64]
    offsets: NDArray[np.int64]
    flipped: int


class Weights(NamedTuple):
    """Filters in quads: words (G, Q, K/2, 4) int32, a word two rows, the first in its low half.

    A group has `filters`, whose outputs begin at constants (G, Q, 4) int32. How many weight bits
    of a group are 1 at row k is ones (G, K).
    """

    words: NDArray[np.int32]
    constants: NDArray[np.int32]
    ones: NDArray[np.int64]
    filters: int


@njit(nogil=True, error_model="numpy")
def fill(inputs, group, first, last, block):
    """block[panel, pair, v] = rows 2·pair and 2·pair + 1 of windows first to last, low and high.

    Windows that fill the last panel up have no 1 bit; a row past the last is any.
    """
    values, base, taps = inputs.values[group], inputs.base, len(inputs.offsets)
    blank = np.int32(inputs.flipped << 16 | inputs.flipped)
    for pair in range(block.shape[1]):
        tap, channel = divmod(2 * pair, inputs.channels)
        low, a = values[channel], uint64(inputs.offsets[tap])
        tap, channel = divmod(2 * pair + 1, inputs.channels)
        high, b = values[channel], uint64(inputs.offsets[min(tap, taps - 1)])
        start = uint64(first)
        for panel in range(uint64(len(block))):
            n = min(uint64(PANEL), uint64(last) - start)
            row, at = block[panel, pair], uint64(base[start])
            if n == PANEL and base[start + n - 1] == base[start] + PANEL - 1:
                for v in range(uint64(PANEL)):
                    row[v] = uint32(low[at + a + v]) | uint32(high[at + b + v]) << uint32(16)
            else:
                for v in range(n):
                    at = uint64(base[start + v])
                    row[v] = uint32(low[at + a]) | uint32(high[at + b]) << uint32(16)
                row[n:] = blank
            start += n


@njit(nogil=True, error_model="numpy")
def count_pairs(ones, flipped, block):
    """Pairs of a 1 bit of any weight and one of an activation: they are bilinear.

    Bits of both halves of a word are added side by side (Warren, Hacker's Delight, section 5-1).
    """
    flip, pairs, half = uint64(flipped) * uint64(0x0001000100010001), uint64(0), uint64(0xFFFF)
    words = block.view(np.uint64)
    for pair in range(block.shape[1]):
        low, high = uint64(0), uint64(0)
        for panel in range(uint64(len(block))):
            row, total = words[panel, pair], uint64(0)
            for v in range(uint64(PANEL // 2)):
                x = row[v] ^ flip
                x -= x >> uint64(1) & uint64(0x5555555555555555)
                x = (x & uint64(0x3333333333333333)) + (x >> uint64(2) & uint64(0x3333333333333333))
                x = (x + (x >> uint64(4))) & uint64(0x0F0F0F0F0F0F0F0F)
                total += (x + (x >> uint64(8))) & uint64(0x00FF00FF00FF00FF)
            total += total >> uint64(32)
            low += total & half
            high += total >> uint64(16) & half
        pairs += uint64(ones[2 * pair]) * low + uint64(ones[2 * pair + 1]) * high
    return np.int64(pairs)


@njit(cache=True, nogil=True, error_model="numpy")
def convolve(inputs, weights, windows, quads, block, sums, out):
    """Quads (first, last), counted through all groups, of windows (first, last), to out.

    out (batch, M, windows) int32 has room for all sums. block (panels, K/2, PANEL) and sums
    (4, panels·PANEL), both int32, are working memory. Returns the pairs of 1 bits of weights and
    activations of the groups that begin in these quads.
    """
    (first, last), (quad, end) = windows, quads
    n, per_group, pairs = last - first, weights.words.shape[1], 0
    used = block[: -(-n // PANEL)]
    while quad < end:
        group, start = divmod(quad, per_group)
        fill(inputs, group, first, last, used)
        if start == 0:
            pairs += count_pairs(weights.ones[group], inputs.flipped, used)
        for q in range(start, min(per_group, start + end - quad)):
            for panel in range(len(used)):
                constants = weights.constants[group, q]
                multiply(weights.words[group, q], used[panel], constants, sums, panel * PANEL)
            for i in range(min(QUAD, weights.filters - QUAD * q)):
                filter = group * weights.filters + QUAD * q + i
                scatter(sums[i], uint64(n), out, filter, uint64(first))
        quad += per_group - start
    return pairs
