"""Bit planes: integers cut into one-bit matrices, 64 bits to a word.

Eight bytes in a word are an 8×8 matrix of bits; its transpose holds one bit of each byte in each
byte (Warren, Hacker's Delight, section 7-3). That is done for all rows or pixels at once.
"""

import numpy as np
from numba import njit

__all__ = ["pack_pixels", "pack_rows"]


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
def pack_pixels(values, out):
    """out[j, c // 64, pixel] gets bit j of values[c, pixel] at position c % 64.

    values (C, pixels) int32, C a multiple of 8; out (A, ⌈C/64⌉, pixels) uint64.
    """
    bits, words, pixels = out.shape
    for word in range(words):
        out[:, word] = np.uint64(0)
        for c in range(word * 64, min(word * 64 + 64, values.shape[0]), 8):
            at = np.uint64(c - word * 64)
            for low in range(0, bits, 8):
                for pixel in range(pixels):
                    x = np.uint64(0)
                    for i in range(8):
                        byte = (values[c + i, pixel] >> low) & 255
                        x |= np.uint64(byte) << np.uint64(8 * i)
                    x = transpose(x)
                    for j in range(low, min(low + 8, bits)):
                        byte = (x >> np.uint64(8 * (j - low))) & np.uint64(255)
                        out[j, word, pixel] |= byte << at
