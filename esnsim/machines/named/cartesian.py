"""SCNN: each channel's non-zero activations by its non-zero weights, all with all."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import Clocked, Ints
from esnsim.machines.named.events import INPUTS, OUTPUTS, WEIGHTS, output_bits
from esnsim.machines.named.work import Groups, Work, window_sums
from esnsim.model.network import Geometry

Mask = NDArray[np.bool_]

FOLD = 16  # channels of a matrix product are laid out as planes of 16 × 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Cartesian(Clocked):
    """side × side processing elements that share the padded input plane, a tile each.

    An element pairs `activations` non-zero activations of its tile with `weights` non-zero weights
    of a channel in a cycle. Filters go in blocks whose outputs of a tile fit `accumulator`, and
    elements wait for the slowest at each channel of each block. With strides, taps and positions
    that meet are run class by class.

    With `banks` of the accumulator a pair of groups takes as long as the bank that most of its
    products fall into; 0 leaves these conflicts out, and counts much faster.
    """

    kind: ClassVar[str] = "cartesian"

    side: int = 8
    activations: int = 4
    weights: int = 4
    accumulator: int = 6144
    banks: int = 0

    def __post_init__(self) -> None:
        least = dict.fromkeys(("side", "activations", "weights", "accumulator"), 1)
        self.check_clocked(least | {"banks": 0})

    @property
    def multipliers(self) -> int:
        """One-bit multipliers of the machine."""
        return self.side**2 * self.activations * self.weights * self.bits**2

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.side}×{self.side} of {self.activations}×{self.weights}"

    def count(self, work: Work) -> Count:
        """Cycles of all images."""
        return sum((self._alike(work, alike) for alike in work.groups), Count())

    def _alike(self, work: Work, alike: Groups) -> Count:
        cycles = pairs = 0
        for planes, weights in _classes(work.geometry, alike):
            held, asked = _tiles(planes, self.side), self._blocks(work, weights)
            if self.banks:
                cycles += self._with_conflicts(work, planes, weights)
            else:
                slowest = (-(-held // self.activations)).max(axis=(2, 3)).sum(axis=1)
                cycles += int(((-(-asked // self.weights)).sum(axis=1) * slowest).sum())
            pairs += int((held.sum(axis=(1, 2, 3)) * asked.sum(axis=1)).sum())
        landed = _landed(work, alike)
        slots = self.side**2 * self.activations * self.weights * cycles
        idle = {"outside the output": pairs - landed, "elements wait": slots - pairs}
        return Count(
            cycles=cycles, slots=slots, active=landed, idle=idle, events=self._moved(work, alike)
        )

    def _moved(self, work: Work, alike: Groups) -> dict[str, int]:
        """Bits of the buffer: what is not zero, weights once, activations for each block."""
        blocks = -(-alike.widths.shape[1] // self._block(work))
        word = -(-work.width // self.bits) * self.bits
        return {
            WEIGHTS: work.images * word * int((alike.q != 0).sum()),
            INPUTS: blocks * work.activation_bits * int((alike.pixels != 0).sum()),
            OUTPUTS: output_bits(work, alike),
        }

    def _blocks(self, work: Work, weights: Mask) -> Ints:
        """Weights (groups, filters, taps, channels) that are there: of each block, by channel."""
        there, each = weights.sum(axis=2), self._block(work)
        starts = range(0, there.shape[1], each)
        return np.stack([there[:, at : at + each].sum(axis=1) for at in starts], axis=1)

    def _block(self, work: Work) -> int:
        """Filters whose outputs of a tile the accumulator holds."""
        outputs = prod(-(-n // self.side) for n in _plane(work.geometry.output_size))
        return max(1, self.accumulator // outputs)

    def _with_conflicts(self, work: Work, planes: Mask, weights: Mask) -> int:
        """Cycles of groups; activations are paired by column, then row, and so are taps."""
        from esnsim_kernels import cartesian as kernel

        kernel_size = work.geometry.kernel or (FOLD, FOLD)
        taps = np.moveaxis(np.arange(prod(kernel_size)).reshape(kernel_size), -1, 0).ravel()
        meets = _meets(work.geometry)[:, taps].reshape(*planes.shape[2:4], -1).swapaxes(0, 1)
        sizes = self.side, (self.activations, self.weights), self._block(work), self.banks
        return sum(
            kernel.cycles(plane.swapaxes(1, 2), weight[:, taps], meets, *sizes)
            for plane, weight in zip(planes, weights, strict=True)
        )


def _plane(size: tuple[int, ...]) -> tuple[int, int]:
    """The two axes of a plane: all but the last are one."""
    return prod(size[:-1]), prod(size[-1:])


def _classes(geometry: Geometry, alike: Groups) -> Iterator[tuple[Mask, Mask]]:
    """Where activations (groups, planes, rows, columns, channels) and weights (groups, filters,
    taps, channels) are not 0, by the remainders that the strides leave: only equal ones meet.
    """
    weights, x = alike.q != 0, alike.pixels != 0
    groups, pixels, channels = x.shape
    if not geometry.input_size:
        planes = _folded(x).reshape(groups, pixels, FOLD, FOLD, -1)
        yield planes, _folded(weights[:, :, 0])
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
            planes = x.reshape(groups, -1, here.size, channels) & here.reshape(-1, 1)
            shape = (groups, planes.shape[1], *_plane(tuple(size)), channels)
            yield planes.reshape(shape), weights & there.reshape(-1, 1)


def _meets(geometry: Geometry) -> NDArray[np.int8]:
    """Bank bits of the output in which a position and a tap meet (positions, taps), −1 outside."""
    if not geometry.input_size:
        return np.where(np.eye(FOLD**2, dtype=np.bool_), 0, -1).astype(np.int8)
    size = [n + sum(pads) for n, pads in zip(geometry.input_size, geometry.pads, strict=True)]
    inside, there = np.True_, []
    for place, tap, stride, dilation, last in zip(
        np.indices(size), np.indices(geometry.kernel), geometry.strides, geometry.dilations,
        geometry.output_size, strict=True,
    ):  # fmt: skip
        distance = place.reshape(-1, 1) - tap.ravel() * dilation
        inside = inside & (distance % stride == 0) & (distance >= 0) & (distance < last * stride)
        there.append(np.where(inside, distance // stride, 0))
    y = np.zeros_like(there[0])
    for axis, last in zip(there[:-1], geometry.output_size[:-1], strict=True):
        y = y * last + axis
    x = there[-1]
    bits = ((x & 2) ^ (y & 2)) << 3 | (x & 1) << 3 | (y & 1) << 2
    return np.where(inside, bits, -1).astype(np.int8)


def _folded(x: Mask) -> Mask:
    """(groups, n, channels) as (groups, n, 256, channels / 256): a matrix product as planes."""
    padded = np.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % FOLD**2)))
    return padded.reshape(*x.shape[:2], -1, FOLD**2).swapaxes(2, 3)


def _tiles(planes: Mask, side: int) -> Ints:
    """Activations that are there in each element's tile (groups, planes, side, side, channels)."""
    *outer, rows, columns, channels = planes.shape
    fill = [(0, 0)] * 2 + [(0, -rows % side), (0, -columns % side), (0, 0)]
    tiles = np.pad(planes, fill).reshape(
        *outer, side, -(-rows // side), side, -(-columns // side), channels
    )
    return np.asarray(tiles.sum(axis=(3, 5)))


def _landed(work: Work, alike: Groups) -> int:
    """Products of two that are not 0 that reach an output."""
    windows = window_sums(work, alike.pixels != 0)
    return int((windows * (alike.q != 0).sum(axis=1)).sum())
