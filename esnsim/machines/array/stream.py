"""Activations as the array reads them: pixels, and where each window finds its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.windows import addresses, padded_pixels
from esnsim.model.network import Geometry

Ints = NDArray[np.int64]
Range = tuple[int, int]
Together = Callable[[Callable[[], None], int], object]  # runs work in threads, at most so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Activations of `bits` bits, none negative: the first `channels` of values (G, C, pixels).

    `base` (windows,) and `offsets` (taps,) find a window's pixels. Where they were `signed`, they
    are lifted by half their range, and their top bit is the other one.
    """

    bits: int
    signed: bool
    values: NDArray[np.uint8] | NDArray[np.uint16]
    channels: int
    base: Ints
    offsets: Ints

    @property
    def windows(self) -> int:
        """Windows of all images."""
        return len(self.base)


@dataclass(frozen=True, slots=True)
class Job:
    """Windows times filters, to be parted: the filters' work begins at `starts`.

    `worker(size)` is what a thread calls with ranges of windows, at most `size`, and of filters, as
    `starts` has them; it returns pairs of 1 bits. `block` windows at a time are best.
    """

    starts: Ints
    block: int
    worker: Callable[[int], Callable[[Range, Range], int]]


def stream_of(
    geometry: Geometry,
    channels: tuple[Ints, ...],
    x: NDArray[Any],
    zero_point: int,
    bits: int,
    signed: bool,
) -> Stream:
    """Lay the live `channels` of each group of activations x (batch, C, *input_size) out."""
    if signed:
        x, zero_point = np.add(x, 1 << bits - 1, dtype=np.int32), zero_point + (1 << bits - 1)
    geometry, kept = _unstrided(geometry)
    kind = np.uint8 if bits <= 8 else np.uint16
    base, offsets = addresses(geometry, len(x))
    return Stream(
        bits=bits,
        signed=signed,
        values=padded_pixels(geometry, x[:, :, *kept], zero_point, channels, kind),
        channels=max(map(len, channels), default=0) or 1,
        base=base,
        offsets=offsets,
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
