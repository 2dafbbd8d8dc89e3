"""Bit planes: integers cut into one-bit matrices, 64 bits to a word.

Eight bytes in a word are an 8×8 matrix of bits; its transpose holds one bit of each byte in each
byte (Warren, Hacker's Delight, section 7-3). That is done for all rows or pixels at once.
Sums of indices are unsigned: a signed one might wrap around, and its loop is not vectorised.
"""

import numpy as np
from numba import njit

__all__ = ["add_taps", "gather", "pack_patches", "pack_pixels", "pack_rows"]


@njit(nogil=True, error_model="numpy")
def transpose(x):
    """The transpose of the 8×8 bits of a uint64: bit i of byte j becomes bit j of byte i."""
    t = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    x = x ^ t ^ (t << np.uint64(7))
    t = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    x = x ^ t ^ (t << np.uint64(14))
    t = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    return x ^ t ^ (t << np.uint64(28))


@njit(cache=True, nogil=True, error_model="numpy")
def pack_rows(octets, out):
    """out[r, j, o] gets bit j of each of the eight bytes octets[r, o], the first in its bit 0.

    octets (R, O) uint64, eight consecutive values of a row each; out (R, 8, O) uint8, whose rows
    read as little-endian words are the planes.
    """
    for r in range(octets.shape[0]):
        for o in range(octets.shape[1]):
            x = transpose(octets[r, o])
            for j in range(8):
                out[r, j, o] = np.uint8(x >> np.uint64(8 * j))


@njit(cache=True, nogil=True, error_model="numpy")
def pack_pixels(values, start, end, octets, out, sums):
    """out[g, j, c // 64, pixel] gets bit j of values[g, c, pixel] at position c % 64.

    For pixels from start to end. values (G, C, pixels) integers, C a multiple of 8; out (G, A,
    ⌈C/64⌉, pixels) uint64; sums (G, pixels) int64 are over channels; octets (n,) uint64 is
    working memory for n pixels at a time.
    """
    groups, bits = out.shape[:2]
    size = np.uint64(len(octets))
    for g in range(groups):
        for first in range(np.uint64(start), np.uint64(end), size):
            n = min(size, np.uint64(end) - first)
            out[g, :, :, first : first + n] = np.uint64(0)
            sums[g, first : first + n] = 0
            for c in range(0, values.shape[1], 8):
                for v in range(n):
                    for i in range(8):
                        sums[g, first + v] += values[g, c + i, first + v]
                for low in range(0, bits, 8):
                    for v in range(n):
                        x = np.uint64(0)
                        for i in range(8):
                            byte = (values[g, c + i, first + v] >> low) & 255
                            x |= np.uint64(byte) << np.uint64(8 * i)
                        octets[v] = transpose(x)
                    for j in range(low, min(low + 8, bits)):
                        shift, at = np.uint64(8 * (j - low)), np.uint64(c % 64)
                        for v in range(n):
                            byte = octets[v] >> shift & np.uint64(255)
                            out[g, j, c // 64, first + v] |= byte << at


@njit(cache=True, nogil=True, error_model="numpy")
def gather(packed, base, offsets, out):
    """out[g, j, (tap, word), v] = the packed channels of group g that window v sees at each tap.

    packed (G, A, words, pixels) uint64; base (n,) and offsets (taps,) find a window's pixels.
    """
    groups, bits, words, _ = packed.shape
    for group in range(groups):
        for j in range(bits):
            for tap in range(len(offsets)):
                for word in range(words):
                    pixels, row = packed[group, j, word], out[group, j, tap * words + word]
                    for v in range(len(base)):
                        row[v] = pixels[np.uint64(base[v] + offsets[tap])]
                    row[len(base) :] = np.uint64(0)


@njit(nogil=True, error_model="numpy")
def runs_of(base):
    """Where runs of pixels side by side begin: run r has windows runs[r] to runs[r + 1]."""
    runs, number = np.empty(len(base) + 1, np.uint64), 0
    for v in range(len(base)):
        if v == 0 or base[v] != base[v - 1] + 1:
            runs[number] = v
            number += 1
    runs[number] = len(base)
    return runs[: number + 1]


@njit(nogil=True, error_model="numpy")
def add_byte(pixels, base, runs, offset, low, place, octet):
    """octet[v] gets the byte at bit `low` of what window v sees, at byte `place`."""
    shift = np.uint64(8 * place)
    if 2 * len(runs) > len(base):
        for v in range(len(base)):
            byte = (pixels[np.uint64(base[v] + offset)] >> low) & 255
            octet[v] |= np.uint64(byte) << shift
        return
    for r in range(len(runs) - 1):
        first = runs[r]
        pixel = np.uint64(base[first] + offset)
        for v in range(runs[r + 1] - first):
            byte = (pixels[pixel + v] >> low) & 255
            octet[first + v] |= np.uint64(byte) << shift


@njit(cache=True, nogil=True, error_model="numpy")
def pack_patches(values, channels, base, offsets, octets, out):
    """As `gather` from the first `channels` of values (G, C, pixels), bit by bit.

    For few channels: words that hold one pixel's channels would be almost empty. The bit of (tap,
    channel) is at tap·channels + channel; octets (8, n) uint64 is working memory.
    """
    bits, n, size = out.shape[1], np.uint64(len(base)), len(offsets) * channels
    runs, ones = runs_of(base), np.uint64(255)
    for group in range(len(values)):
        for word in range(out.shape[2]):
            for low in range(0, bits, 8):
                for o in range(8):
                    octet, start = octets[o], 64 * word + 8 * o
                    for v in range(n):
                        octet[v] = 0
                    for i in range(min(8, size - start)):
                        tap, c = divmod(start + i, channels)
                        add_byte(values[group, c], base, runs, offsets[tap], low, i, octet)
                    if start < size:
                        for v in range(n):
                            octet[v] = transpose(octet[v])
                for j in range(low, min(low + 8, bits)):
                    row, shift = out[group, j, word], np.uint64(8 * (j - low))
                    for v in range(n):
                        x = np.uint64(0)
                        for o in range(8):
                            x |= (octets[o, v] >> shift & ones) << np.uint64(8 * o)
                        row[v] = x
                    row[n:] = np.uint64(0)


@njit(cache=True, nogil=True, error_model="numpy")
def add_taps(sums, base, offsets, out):
    """out[g, v] = Σ of sums[g] over the pixels of window v: (G, pixels) to (G, n) int64."""
    out[:] = 0
    for group in range(len(sums)):
        for tap in range(len(offsets)):
            for v in range(len(base)):
                out[group, v] += sums[group, np.uint64(base[v] + offsets[tap])]
