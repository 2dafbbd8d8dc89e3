"""A layer's integers as machines read them: filters and pixels of each group, in steps of lanes."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.base import Activations
from esnsim.machines.lowering import Lowered, codes_of, lower
from esnsim.machines.windows import addresses, check_activations, padded_pixels
from esnsim.model.network import Geometry
from esnsim.quantization.quantizer import QuantizedLayer

Ints = NDArray[np.int64]
T = TypeVar("T")

NARROW = 15  # bits of a filter from which its codes need 32
BLOCK = 1 << 22  # integers of windows that are laid out at once


class Groups(NamedTuple):
    """Convolution groups of one shape, of live filters and channels; at least one of each.

    `k` (groups, filters, taps, channels) are two's complement integers of `widths` (groups,
    filters) bits, `q` the codes. `masks` say which weights are not kept zeros, of the filters that
    need it: a one-bit filter each. `pixels` (groups, pixels, channels) are the activations with the
    padding, by its stored code.
    """

    k: NDArray[Any]
    q: NDArray[Any]
    masks: NDArray[Any]
    widths: Ints
    pixels: NDArray[Any]

    @property
    def reduction(self) -> int:
        """Weights of a filter."""
        return int(self.k.shape[2] * self.k.shape[3])


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A layer and the activations of some images, pruned filters and dead channels left out.

    Weights are odd multiples of half a step where they are `midrise`. `base` (windows,) and
    `offsets` (taps,) find the pixels of a window; `channels` are all that the layer reads. `memo`
    keeps what machines share.
    """

    geometry: Geometry
    groups: tuple[Groups, ...]
    channels: int
    base: Ints
    offsets: Ints
    images: int
    activation_bits: int
    signed: bool
    midrise: bool = False
    memo: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def width(self) -> int:
        """The layer's widest filter."""
        return max((int(alike.widths.max()) for alike in self.groups), default=0)

    @property
    def mac_bits(self) -> int:
        """MAC×bit of all images: each MAC by the width of its filter (Eq. 7)."""
        windows = len(self.base)
        return sum(windows * alike.reduction * int(alike.widths.sum()) for alike in self.groups)

    @property
    def macs(self) -> int:
        """Live multiply-accumulates of all images."""
        windows = len(self.base)
        return sum(windows * alike.reduction * alike.widths.size for alike in self.groups)

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
    channels = tuple(np.flatnonzero(live) for live in lowered.live)
    pixels = padded_pixels(lowered.geometry, x, zero_point, channels)
    q = codes_of(lowered)
    if lowered.widths.max(initial=0) < NARROW:
        q = q.astype(np.int16)
    alike: dict[tuple[int, ...], list[Groups]] = {}
    for index, chosen in enumerate(channels):
        group = _group(lowered, q, index, chosen, pixels[index])
        if group.k.size:
            alike.setdefault((*group.k.shape, len(group.masks)), []).append(group)
    base, offsets = addresses(lowered.geometry, len(x))
    return Work(
        geometry=lowered.geometry,
        groups=tuple(
            Groups(*(_stacked(parts) for parts in zip(*groups, strict=True)))
            for groups in alike.values()
        ),
        channels=sum(map(len, channels)),
        base=base,
        offsets=offsets,
        images=len(x) // layer.layer.geometry.rows,
        activation_bits=bits,
        signed=signed,
        midrise=lowered.shift == 1,
    )


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def _group(
    lowered: Lowered, q: NDArray[Any], index: int, channels: Ints, pixels: NDArray[Any]
) -> Groups:
    """One group, without the first axis of `Groups`."""
    size = lowered.filters_per_group
    rows = np.arange(index * size, (index + 1) * size)
    alive = rows[lowered.widths[rows] > 0]
    masked = alive[lowered.masked[alive]]

    def laid(values: NDArray[Any], filters: Ints) -> NDArray[Any]:
        return values[filters][:, channels].transpose(0, 2, 1)

    there = lowered.values if lowered.nonzero is None else lowered.nonzero
    return Groups(
        laid(lowered.values, alive), laid(q, alive),
        laid(there, masked).astype(np.int8), lowered.widths[alive], pixels[: len(channels)].T,
    )  # fmt: skip


def arrange(x: NDArray[Any], lanes: int, order: str) -> NDArray[Any]:
    """(…, taps, channels) as (…, steps, lanes), the last lanes of a run filled with zeros."""
    *outer, taps, channels = x.shape
    if order == "flat":
        x = x.reshape(*outer, 1, taps * channels)
    elif order == "channel" and taps > channels:
        x = x.swapaxes(-1, -2)
    short = -x.shape[-1] % lanes
    if short:
        x = np.pad(x, [(0, 0)] * (len(outer) + 1) + [(0, short)])
    return x.reshape(*outer, -1, lanes)


def window_tiles(work: Work, windows: int, run: str) -> Ints:
    """(tiles, windows) of window indices, −1 where a tile is not full."""
    size = work.geometry.output_size
    length = work.geometry.windows if run == "image" or not size else size[-1]
    index = np.arange(len(work.base)).reshape(-1, length)
    padded = np.pad(index, ((0, 0), (0, -length % windows)), constant_values=-1)
    return padded.reshape(-1, windows)


def patches(work: Work, values: NDArray[Any], tiles: Ints) -> Iterator[tuple[Ints, NDArray[Any]]]:
    """Blocks of tiles, and what lies there of values (groups, pixels, channels).

    That is (groups, tiles, windows, taps, channels), 0 where there is no window.
    """
    groups, _, channels = values.shape
    each = max(1, groups * tiles.shape[1] * len(work.offsets) * channels)
    step = max(1, BLOCK // each)
    for start in range(0, len(tiles), step):
        block = tiles[start : start + step]
        taken = np.take(values, work.base[block][..., None] + work.offsets, axis=1)
        taken[:, block < 0] = 0
        yield block, taken


def window_sums(work: Work, values: NDArray[Any]) -> Ints:
    """Σ over windows of values (groups, pixels, channels), as (groups, taps, channels)."""
    taps = (np.take(values, work.base + offset, axis=1) for offset in work.offsets)
    return np.stack([tap.sum(axis=1, dtype=np.int64) for tap in taps], axis=1)
