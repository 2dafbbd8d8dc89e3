"""Products of what is not zero (SCNN): cycles where several meet in one accumulator bank."""

import numpy as np
from numba import njit

__all__ = ["cycles"]


@njit(cache=True, nogil=True, error_model="numpy")
def cycles(planes, weights, meets, side, at_once, block, banks):
    """Σ over planes, blocks of filters and channels of what the slowest element takes.

    planes (planes, columns, rows, channels) and weights (filters, taps, channels): where they are
    not 0, in the order in which they are paired. meets (columns, rows, taps): the bank bits of the
    output that they meet in, −1 outside. at_once: activations and weights that are paired. An
    element takes for each pair of groups the most products of one bank, and at least 1.
    """
    count, columns, rows, channels = planes.shape
    filters, taps, _ = weights.shape
    wide, high = -(-columns // side), -(-rows // side)
    places = np.empty((wide * high, 2), np.int64)
    held = np.empty((block * taps, 2), np.int64)
    used = np.zeros(banks, np.int64)
    total = 0
    for c in range(channels):
        for first in range(0, filters, block):
            there = 0
            for t in range(taps):
                for m in range(first, min(first + block, filters)):
                    if weights[m, t, c]:
                        number = m - first
                        held[there] = t, (number & 4) << 2 | number & 3
                        there += 1
            for n in range(count):
                slowest = 0
                for x in range(0, columns, wide):
                    for y in range(0, rows, high):
                        found = 0
                        for i in range(x, min(x + wide, columns)):
                            for j in range(y, min(y + high, rows)):
                                if planes[n, i, j, c]:
                                    places[found] = i, j
                                    found += 1
                        taken = _pairs(places[:found], held[:there], meets, at_once, used)
                        slowest = max(slowest, taken)
                total += slowest
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _pairs(places, held, meets, at_once, used):
    """Cycles of an element: groups of activations by groups of weights."""
    total = 0
    for a in range(0, len(places), at_once[0]):
        for w in range(0, len(held), at_once[1]):
            most = 1
            used[:] = 0
            for i in range(a, min(a + at_once[0], len(places))):
                for j in range(w, min(w + at_once[1], len(held))):
                    bits = meets[places[i, 0], places[i, 1], held[j, 0]]
                    if bits >= 0:
                        bank = (bits ^ held[j, 1]) % len(used)
                        used[bank] += 1
                        most = max(most, used[bank])
            total += most
    return total
