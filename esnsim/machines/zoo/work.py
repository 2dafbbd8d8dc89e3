"""A layer's integers as machines read them: filters and pixels of each group, in steps of lanes."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.base import Activations
from esnsim.machines.lowering import codes_of, lower
from esnsim.machines.windows import addresses, check_activations, padded_pixels
from esnsim.model.network import Geometry, Mask
from esnsim.quantization.quantizer import QuantizedLayer

Ints = NDArray[np.int64]
T = TypeVar("T")

BLOCK = 1 << 22  # integers of windows that are laid out at once


class Group(NamedTuple):
    """Live filters and channels of one convolution group, all (filters, taps, channels).

    `k` are two's complement integers of `widths` (filters,) bits, `q` the codes. `masks` say which
    weights are not kept zeros, of the filters that need it: a one-bit filter each.
    """

    k: NDArray[Any]
    q: NDArray[Any]
    masks: NDArray[Any]
    widths: Ints

    @property
    def reduction(self) -> int:
        """Weights of a filter."""
        return int(self.k.shape[1] * self.k.shape[2])


@dataclass(frozen=True, slots=True)
class Work:
    """A layer and the activations of some images, pruned filters and dead channels left out.

    `pixels` (pixels, channels) of each group have the padding, by its stored code; `base`
    (windows,) and `offsets` (taps,) find those of a window. `memo` keeps what machines share.
    """

    geometry: Geometry
    groups: tuple[Group, ...]
    pixels: tuple[NDArray[Any], ...]
    base: Ints
    offsets: Ints
    images: int
    activation_bits: int
    signed: bool
    memo: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def width(self) -> int:
        """The layer's widest filter."""
        return max((int(group.widths.max(initial=0)) for group in self.groups), default=0)

    @property
    def channels(self) -> int:
        """Channels that the layer reads."""
        return sum(group.k.shape[2] for group in self.groups)

    @property
    def mac_bits(self) -> int:
        """MAC×bit of all images: each MAC by the width of its filter (Eq. 7)."""
        windows = len(self.base)
        return sum(windows * g.reduction * int(g.widths.sum()) for g in self.groups)

    @property
    def macs(self) -> int:
        """Live multiply-accumulates of all images."""
        return sum(len(self.base) * g.reduction * len(g.widths) for g in self.groups)

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once."""
        if key not in self.memo:
            self.memo[key] = make()
        found: T = self.memo[key]
        return found


def work_of(layer: QuantizedLayer, activations: Activations, bits: int = 8) -> Work:
    """A quantised layer on integer activations (images·rows, C, *input_size) of `bits` bits.

    Raises UsageError for activations of another shape or out of range.
    """
    x, zero_point, signed = activations
    check_activations(layer, x, bits, signed, zero_point)
    lowered = lower(layer)
    geometry = lowered.geometry
    channels = tuple(np.flatnonzero(live) for live in lowered.live)
    pixels = padded_pixels(geometry, x, zero_point, channels)
    q, size = codes_of(lowered), lowered.filters_per_group
    ones = None if lowered.nonzero is None else lowered.nonzero
    groups = []
    for index, chosen in enumerate(channels):
        rows = np.arange(index * size, (index + 1) * size)
        alive = rows[(lowered.widths[rows] > 0) & bool(len(chosen))]
        masked = alive[lowered.masked[alive]]
        groups.append(
            Group(
                _laid(lowered.values, alive, chosen),
                _laid(q, alive, chosen),
                _laid(q if ones is None else ones, masked, chosen).astype(np.int8),
                lowered.widths[alive],
            )
        )
    base, offsets = addresses(geometry, len(x))
    planes = tuple(
        np.ascontiguousarray(p[: len(c)].T) for p, c in zip(pixels, channels, strict=True)
    )
    images = len(x) // layer.layer.geometry.rows
    return Work(geometry, tuple(groups), planes, base, offsets, images, bits, signed)


def _laid(values: NDArray[Any], filters: Ints, channels: Ints) -> NDArray[Any]:
    return np.ascontiguousarray(values[filters][:, channels].transpose(0, 2, 1))


def arrange(x: NDArray[Any], lanes: int, order: str) -> NDArray[Any]:
    """(n, taps, channels) as (n, steps, lanes), the last lanes of a run filled with zeros."""
    n, taps, channels = x.shape
    if order == "flat":
        x = x.reshape(n, 1, taps * channels)
    elif order == "channel" and taps > channels:
        x = x.transpose(0, 2, 1)
    inner = x.shape[2]
    short = -inner % lanes
    if short:
        x = np.pad(x, ((0, 0), (0, 0), (0, short)))
    return x.reshape(n, -1, lanes)


def present_lanes(group: Group, lanes: int, order: str) -> Mask:
    """(steps, lanes): where there is a weight."""
    return np.asarray(arrange(np.ones((1, *group.k.shape[1:]), np.bool_), lanes, order)[0])


def window_tiles(work: Work, windows: int, run: str) -> Ints:
    """(tiles, windows) of window indices, −1 where a tile is not full."""
    size = work.geometry.output_size
    length = work.geometry.windows if run == "image" or not size else size[-1]
    index = np.arange(len(work.base)).reshape(-1, length)
    padded = np.pad(index, ((0, 0), (0, -length % windows)), constant_values=-1)
    return np.asarray(padded.reshape(-1, windows))


def patches(work: Work, group: int, tiles: Ints) -> Iterator[tuple[Ints, NDArray[Any]]]:
    """Blocks of tiles and their activations (tiles · windows, taps, channels)."""
    pixels = work.pixels[group]
    each = max(1, tiles.shape[1] * len(work.offsets) * pixels.shape[1])
    step = max(1, BLOCK // each)
    for start in range(0, len(tiles), step):
        block = tiles[start : start + step]
        yield block, pixels[work.base[block.ravel()][:, None] + work.offsets]
