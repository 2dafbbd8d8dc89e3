"""SCNN: each channel's non-zero activations by its non-zero weights, all with all."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.zoo.description import About, Count, check_sizes
from esnsim.machines.zoo.work import Work, patches, window_tiles

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

FOLD = 16  # channels of a matrix product are laid out as planes of 16 × 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Cartesian(About):
    """side × side processing elements that share the padded input plane, a tile each.

    An element pairs `activations` non-zero activations of its tile with `weights` non-zero weights
    of a channel in a cycle. Filters go in blocks whose outputs of a tile fit `accumulator`, and
    elements wait for the slowest at each channel of each block. With strides, taps and positions
    that meet are run class by class.
    """

    kind: ClassVar[str] = "cartesian"

    side: int = 8
    activations: int = 4
    weights: int = 4
    accumulator: int = 6144
    bits: int = 8

    def __post_init__(self) -> None:
        least = dict.fromkeys(("side", "activations", "weights", "accumulator", "bits"), 1)
        check_sizes(self, least)

    @property
    def multipliers(self) -> int:
        """One-bit multipliers of the machine."""
        return self.side**2 * self.activations * self.weights * self.bits**2

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.side}×{self.side} of {self.activations}×{self.weights}"

    def count(self, work: Work) -> Count:
        """Cycles of all images, bank conflicts left out."""
        total = Count()
        for index, group in enumerate(work.groups):
            if len(group.widths):
                total += self._group(work, index)
        return total

    def _group(self, work: Work, index: int) -> Count:
        cycles = pairs = 0
        for planes, weights in _classes(work, index):
            held, asked = _tiles(planes, self.side), self._blocks(work, weights)
            slowest = (-(-held // self.activations)).max(axis=(1, 2)).sum(axis=0)
            cycles += int((-(-asked // self.weights)).sum(axis=0) @ slowest)
            pairs += int(held.sum(axis=(0, 1, 2)) @ asked.sum(axis=0))
        landed = _landed(work, index)
        slots = self.side**2 * self.activations * self.weights * cycles
        idle = {"outside the output": pairs - landed, "elements wait": slots - pairs}
        return Count(cycles, slots, landed, idle)

    def _blocks(self, work: Work, weights: Mask) -> Ints:
        """Weights (filters, taps, channels) that are there in each block of filters and channel."""
        outputs = prod(-(-n // self.side) for n in _plane(work.geometry.output_size))
        each = max(1, self.accumulator // outputs)
        there = weights.sum(axis=1)
        starts = range(0, len(there), each)
        return np.stack([there[start : start + each].sum(axis=0) for start in starts])


def _plane(size: tuple[int, ...]) -> tuple[int, int]:
    """The two axes of a plane: all but the last are one."""
    return prod(size[:-1]), prod(size[-1:])


def _classes(work: Work, index: int) -> Iterator[tuple[Mask, Mask]]:
    """Where activations (planes, rows, columns, channels) and weights (filters, taps, channels) are
    not 0, by the remainders that the strides leave: only equal ones meet.
    """
    geometry, weights = work.geometry, work.groups[index].q != 0
    x = work.pixels[index] != 0
    if not geometry.input_size:
        yield _folded(x).reshape(len(x), FOLD, FOLD, -1), _folded(weights[:, 0])
        return
    size = [n + sum(pads) for n, pads in zip(geometry.input_size, geometry.pads, strict=True)]
    places, taps = np.indices(size), np.indices(geometry.kernel)
    for remainder in np.ndindex(*geometry.strides):
        here, there = np.True_, np.True_
        axes = zip(places, taps, geometry.strides, geometry.dilations, remainder, strict=True)
        for place, tap, stride, dilation, rest in axes:
            here = here & (place % stride == rest)
            there = there & (tap * dilation % stride == rest)
        if there.any():
            planes = x.reshape(-1, here.size, x.shape[1]) & here.reshape(-1, 1)
            shape = (len(planes), *_plane(tuple(size)), x.shape[1])
            yield planes.reshape(shape), weights & there.reshape(-1, 1)


def _folded(x: Mask) -> Mask:
    """(n, channels) as (n, 256, channels / 256): a matrix product as planes."""
    padded = np.pad(x, ((0, 0), (0, -x.shape[1] % FOLD**2)))
    return padded.reshape(len(x), -1, FOLD**2).swapaxes(1, 2)


def _tiles(planes: Mask, side: int) -> Ints:
    """Activations that are there in the tile of each element (planes, side, side, channels)."""
    count, rows, columns, channels = planes.shape
    padded = np.pad(planes, ((0, 0), (0, -rows % side), (0, -columns % side), (0, 0)))
    tiles = padded.reshape(count, side, -(-rows // side), side, -(-columns // side), channels)
    return np.asarray(tiles.sum(axis=(2, 4)))


def _landed(work: Work, index: int) -> int:
    """Products of two that are not 0 that reach an output."""
    windows = np.zeros(work.groups[index].q.shape[1:], np.int64)
    for _, taken in patches(work, index, window_tiles(work, 1, "image")):
        windows += (taken != 0).sum(axis=0)
    return int((windows * (work.groups[index].q != 0).sum(axis=0)).sum())
