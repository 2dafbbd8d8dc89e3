"""Activations as the array reads them: bit planes of pixels, and blocks of what windows see."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from esnsim_kernels import bitserial, planes
from numpy.typing import NDArray

from esnsim.machines.array.program import WORD, Program
from esnsim.machines.windows import addresses, padded_pixels
from esnsim.model.network import Geometry

Ints = NDArray[np.int64]

BLOCK = 512  # windows that a block holds at most
BLOCK_WORDS = 1 << 15  # words of a block that a filter reads, so that the second cache holds them
ALL_WORDS = 1 << 20  # words of a block
PART = 1 << 18  # activations that a thread packs at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Activations of `bits` bits, none negative.

    `packed` (G, A, words, pixels) are their bits, or where words of channels would be almost empty
    `values` (G, C, pixels) themselves; `sums` (G, pixels) are over channels. `base` (windows,) and
    `offsets` (taps,) find a window's pixels; where they are one by one the same, they are `alike`.
    A window has `words` words, of at most `channels` channels a group.
    """

    bits: int
    values: NDArray[Any]
    packed: NDArray[np.uint64] | None
    sums: Ints
    base: Ints
    offsets: Ints
    alike: bool
    words: int
    channels: int

    @property
    def windows(self) -> int:
        """Windows of all images."""
        return len(self.base)

    @property
    def block_size(self) -> int:
        """Windows of a block: whole vectors."""
        read, groups = self.bits * self.words, len(self.values)
        return max(8, min(BLOCK, BLOCK_WORDS // read, ALL_WORDS // (read * groups)) // 8 * 8)

    def blocks(self, size: int) -> Callable[[int, int], bitserial.Block]:
        """What windows first to last, at most `size`, see, in memory that the next call takes."""
        if self.alike and self.packed is not None:
            packed = self.packed
            return lambda first, last: bitserial.Block(packed, self.sums, first, last - first)
        bits = np.empty((len(self.values), self.bits, self.words, size), np.uint64)
        totals, octets = (
            np.empty((len(self.values), size), np.int64),
            np.empty((8, size), np.uint64),
        )

        def gathered(first: int, last: int) -> bitserial.Block:
            base = self.base[first:last]
            if self.packed is not None:
                planes.gather(self.packed, base, self.offsets, bits)
            else:
                planes.pack_patches(self.values, self.channels, base, self.offsets, octets, bits)
            planes.add_taps(self.sums, base, self.offsets, totals)
            return bitserial.Block(bits, totals, 0, last - first)

        return gathered


def stream_of(
    program: Program,
    x: NDArray[Any],
    zero_point: int,
    bits: int,
    together: Callable[[Callable[[], None], int], object],
) -> Stream:
    """Lay activations x (batch, C, *input_size) out, and pack the channels of each pixel once.

    `together(work, parts)` runs `work` in threads, of which each takes from what is left.
    """
    geometry, kept = _unstrided(program.geometry)
    x = x[:, :, *kept]
    kind = np.uint8 if bits <= 8 else np.uint16
    values = padded_pixels(geometry, x, zero_point, program.channels, kind)
    groups, channels, pixels = values.shape
    base, offsets = addresses(geometry, len(x))
    if program.packed:
        packed = np.empty((groups, bits, -(-channels // WORD), pixels), np.uint64)
        sums = np.empty((groups, pixels), np.int64)
        part = max(8, PART // (groups * channels) // 8 * 8)
        firsts = iter(range(0, pixels, part))

        def pack() -> None:
            octets = np.empty(min(BLOCK, part), np.uint64)
            for first in firsts:
                planes.pack_pixels(values, first, min(first + part, pixels), octets, packed, sums)

        together(pack, -(-pixels // part))
    else:
        packed, sums = None, values.sum(axis=1, dtype=np.int64)
    return Stream(
        bits=bits,
        values=values,
        packed=packed,
        sums=sums,
        base=base,
        offsets=offsets,
        alike=len(offsets) == 1 and len(base) == pixels,
        words=program.filters.words.shape[1],
        channels=max(map(len, program.channels), default=0) or 1,
    )


@lru_cache(maxsize=256)
def _unstrided(geometry: Geometry) -> tuple[Geometry, tuple[slice, ...]]:
    """A layer of one tap without pads reads each stride-th pixel only: that of these pixels."""
    if max(geometry.kernel, default=1) > 1 or any(map(any, geometry.pads)):
        return geometry, ()
    kept = tuple(
        slice(0, (n - 1) * s + 1, s)
        for n, s in zip(geometry.output_size, geometry.strides, strict=True)
    )
    return replace(geometry, input_size=geometry.output_size, strides=(1,) * len(kept)), kept
