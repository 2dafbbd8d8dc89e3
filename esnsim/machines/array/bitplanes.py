"""A layer's outputs bit plane by bit plane, as an array comes by them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from esnsim_kernels import bitserial, planes
from numpy.typing import NDArray

from esnsim.machines.array.stream import Job, Range, Stream, Together
from esnsim.machines.lowering import Lowered, live_rows, ones_by_row

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

WASTE = 1.25  # how many times more words channel-wise packing may need than patch-wise
WORD = 64  # bits
BLOCK = 512  # windows that a block holds at most
BLOCK_WORDS = 1 << 15  # words of a block that a filter reads, so that the second cache holds them
ALL_WORDS = 1 << 20  # words of a block
PART = 1 << 18  # activations that a thread packs at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class BitPlanes:
    """Planes of filters, in words of the channels of a pixel if `packed`, else of a patch.

    `ones` (G, T, W) are the bit planes of how many weight bits of a group are 1 at each place, and
    `one_bits` how many in all.
    """

    filters: bitserial.Filters
    packed: bool
    ones: Words
    one_bits: int

    def on(self, stream: Stream, constants: Ints, outputs: NDArray[Any], together: Together) -> Job:
        """Multiply what windows see, from constants (M',) on, to outputs (batch, M', windows)."""
        windows = _windows_of(self, stream, together)

        def worker(size: int) -> Callable[[Range, Range], int]:
            block_of, sums = windows.blocks(size), np.empty(size, np.uint64)

            def multiply(seen: Range, filters: Range) -> int:
                block = block_of(*seen)
                bitserial.multiply(self.filters, block, constants, filters, sums, outputs, seen[0])
                if filters[0]:
                    return 0
                pairs = bitserial.count_pairs(self.ones, block)
                if stream.signed:
                    pairs[-1] = self.one_bits * block.windows - pairs[-1]
                return int(pairs.sum())

            return multiply

        return Job(self.filters.starts, windows.block_size, worker)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The bits of a stream's windows, `words` of them.

    `packed` (G, A, words, pixels) are those of pixels, or None where words of channels would be
    almost empty; `sums` (G, pixels) are over channels.
    """

    stream: Stream
    packed: Words | None
    sums: Ints
    words: int

    @property
    def block_size(self) -> int:
        """Windows of a block: whole vectors."""
        read, groups = self.stream.bits * self.words, len(self.sums)
        return max(8, min(BLOCK, BLOCK_WORDS // read, ALL_WORDS // (read * groups)) // 8 * 8)

    def blocks(self, size: int) -> Callable[[int, int], bitserial.Block]:
        """What windows first to last, at most `size`, see, in memory that the next call takes."""
        stream, packed, groups = self.stream, self.packed, len(self.sums)
        alike = len(stream.offsets) == 1 and stream.windows == self.sums.shape[1]
        if alike and packed is not None:  # pixels are windows
            return lambda first, last: bitserial.Block(packed, self.sums, first, last - first)
        bits = np.empty((groups, stream.bits, self.words, size), np.uint64)
        totals, octets = np.empty((groups, size), np.int64), np.empty((8, size), np.uint64)

        def gathered(first: int, last: int) -> bitserial.Block:
            base, offsets = stream.base[first:last], stream.offsets
            if packed is not None:
                planes.gather(packed, base, offsets, bits)
            else:
                values, channels = stream.values, stream.channels
                planes.pack_patches(values, channels, base, offsets, octets, bits)
            planes.add_taps(self.sums, base, offsets, totals)
            return bitserial.Block(bits, totals, 0, last - first)

        return gathered


def _windows_of(weights: BitPlanes, stream: Stream, together: Together) -> Windows:
    """Pack the channels of each pixel once, if they are packed so."""
    values, bits = stream.values, stream.bits
    groups, channels, pixels = values.shape
    words = weights.filters.words.shape[1]
    if not weights.packed:
        sums = values.sum(axis=1, dtype=np.int64)
        return Windows(stream=stream, packed=None, sums=sums, words=words)
    packed = np.empty((groups, bits, -(-channels // WORD), pixels), np.uint64)
    sums = np.empty((groups, pixels), np.int64)
    part = max(8, PART // (groups * channels) // 8 * 8)
    firsts = iter(range(0, pixels, part))

    def pack() -> None:
        octets = np.empty(min(BLOCK, part), np.uint64)
        for first in firsts:
            planes.pack_pixels(values, first, min(first + part, pixels), octets, packed, sums)

    together(pack, -(-pixels // part))
    return Windows(stream=stream, packed=packed, sums=sums, words=words)


def bit_planes_of(lowered: Lowered, channels: tuple[Ints, ...]) -> BitPlanes:
    """The planes of a layer, a filter's side by side, its mask below those of its code."""
    taps, widest = lowered.values.shape[2], max(map(len, channels), default=0) or 1
    packed = taps * -(-widest // WORD) <= WASTE * -(-taps * widest // WORD)
    streamed = lowered.widths + lowered.masked
    filters = np.repeat(np.arange(len(streamed)), streamed)
    bits = np.arange(len(filters)) - np.repeat(np.cumsum(streamed) - lowered.widths, streamed)
    words = _plane_words(lowered, channels, packed, filters, bits)
    groups = np.arange(len(lowered.values)) // lowered.filters_per_group
    ones = ones_by_row(lowered, channels)
    return BitPlanes(
        packed=packed,
        ones=cut(_padded(ones, packed)),
        one_bits=int(ones.sum()),
        filters=_offset(lowered, words, filters, bits, groups),
    )


def _offset(
    lowered: Lowered, words: Words, filters: Ints, bits: Ints, groups: Ints
) -> bitserial.Filters:
    """Planes that all add: without their top bits, values of b bits are 2^(b−1) more."""
    top = bits == lowered.widths[filters] - 1
    words[top] ^= ~np.uint64(0)  # bits where no activation is count for nothing
    starts = np.searchsorted(filters, np.arange(len(lowered.values) + 1))
    first = np.where(lowered.masked, 0, lowered.shift)
    half = np.where(lowered.widths, 1 << lowered.shift + lowered.widths >> 1, 0)
    return bitserial.Filters(words, starts, first, lowered.sums - half, groups)


def cut(sums: Ints) -> Words:
    """Bit planes (G, T, W) of numbers (G, bits of W words)."""
    bits = sums[:, None] >> np.arange(int(sums.max(initial=0)).bit_length())[:, None] & 1
    return np.packbits(bits, axis=2, bitorder="little").view(np.uint64)


def _plane_words(
    lowered: Lowered, channels: tuple[Ints, ...], packed: bool, filters: Ints, bits: Ints
) -> Words:
    """Words (P, W) of each plane: bit `bits` of a filter, or its mask where that is −1."""
    all_planes = _bit_planes(_padded(live_rows(lowered, lowered.values, channels), packed))
    words = all_planes[filters, np.maximum(bits, 0)]
    mask = bits < 0
    if lowered.nonzero is not None:
        ones = _bit_planes(
            _padded(live_rows(lowered, lowered.nonzero.view(np.int8), channels), packed)
        )
        words[mask] = ones[filters[mask], 0]
    return words


def _padded(rows: NDArray[Any], packed: bool) -> NDArray[Any]:
    """Values (M', taps, C) as (M', bits of the words), zeros between."""
    filters, taps, channels = rows.shape
    slots = -(-channels // WORD) * WORD if packed else channels
    out = np.zeros((filters, -(-taps * slots // WORD) * WORD), rows.dtype)
    out[:, : taps * slots].reshape(filters, taps, slots)[:, :, :channels] = rows
    return out


def _bit_planes(flat: NDArray[Any]) -> Words:
    """(M', bits, words) of integers (M', K) of 8, 16 or 32 bits."""
    filters = len(flat)
    octets = flat.view(np.uint8).reshape(filters, -1, flat.itemsize)
    parts = []
    for byte in range(flat.itemsize):
        rows = np.ascontiguousarray(octets[:, :, byte]).view(np.uint64)
        out = np.empty((filters, 8, rows.shape[1]), np.uint8)
        planes.pack_rows(rows, out)
        parts.append(out.view(np.uint64))
    return np.concatenate(parts, axis=1)
