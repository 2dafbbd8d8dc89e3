"""A layer on an array: the passes that stream it, what they take, and how it is multiplied."""

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import EsnsimError
from esnsim.machines.array.bitplanes import BitPlanes, bit_planes_of
from esnsim.machines.array.counts import Counts, count
from esnsim.machines.array.products import Products, products_of
from esnsim.machines.array.schedule import Passes, schedule
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.lowering import Lowered, lower, weight_sums
from esnsim.model.network import Geometry
from esnsim.quantization.quantizer import QuantizedLayer

Ints = NDArray[np.int64]

FEW_BITS = 4  # pairs of a weight bit and an activation bit a MAC, up to which planes are faster
NARROW = 15  # bits of activations that products take, and of the magnitude of codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A layer scheduled on an array, a row holding as many planes as its units multiply at once.

    `channels` are the live channels of each group. Outputs of `dtype` come of `weights`, whatever
    the schedule; `weight_sums` (M',) are of codes, in their units. `counts` are those of an image.
    """

    geometry: Geometry
    channels: tuple[Ints, ...]
    weights: BitPlanes | Products
    weight_sums: Ints
    dtype: type[np.int32] | type[np.int64]
    counts: Counts


def program_of(layer: QuantizedLayer, spec: ArraySpec, planes: bool = False) -> Program:
    """Schedule a layer, and lay its weights out: as planes if so asked, or if these are faster.

    Raises EsnsimError for a schedule that does not stream each plane once.
    """
    lowered = lower(layer, spec.width_step)
    channels = tuple(np.flatnonzero(mask) for mask in lowered.live)
    parts = _schedules(lowered, spec)
    reductions = [lowered.values.shape[2] * len(chosen) for chosen in channels]
    sizes = zip(parts, reductions, strict=True)
    counts = (count(part, spec, length, lowered.geometry.windows) for part, length in sizes)
    bits, largest = spec.activation_bits, layer.sums.largest_x2 >> 1 - lowered.shift
    highest = int((layer.sums.weights * largest).max(initial=0)) * ((1 << bits) - 1)
    narrow = highest < 1 << 31
    streamed = int(lowered.widths.sum() + lowered.masked.sum())
    planes = planes or streamed * bits <= FEW_BITS * len(lowered.values)
    fits = narrow and bits <= NARROW and int(largest.max(initial=0)) < 1 << NARROW
    return Program(
        geometry=lowered.geometry,
        channels=channels,
        weights=(products_of if fits and not planes else bit_planes_of)(lowered, channels),
        weight_sums=weight_sums(lowered),
        dtype=np.int32 if narrow else np.int64,
        counts=reduce(add, counts),
    )


def _schedules(lowered: Lowered, spec: ArraySpec) -> list[Passes]:
    """The passes of each group, whose filters are counted from 0."""
    widths = (lowered.widths // spec.width_step).reshape(len(lowered.live), -1)
    masked = lowered.masked.reshape(len(lowered.live), -1)
    found = []
    for group in zip(widths, masked, strict=True):
        found.append(schedule(spec.schedule, *group, spec.rows))
        _check_planes(spec.schedule, found[-1], *group)
    return found


def _check_planes(kind: str, passes: Passes, widths: Ints, masked: NDArray[np.bool_]) -> None:
    """Raise EsnsimError unless passes stream each slice of each filter once, and its mask.

    That is why outputs do not depend on a schedule.
    """
    slices = widths + masked
    wanted = np.arange(slices.sum()) - np.repeat(np.cumsum(slices) - widths, slices)
    order = np.lexsort((passes.bits, passes.filters))
    filters = np.repeat(np.arange(len(widths)), slices)
    right = len(order) == len(filters) and (passes.filters[order] == filters).all()
    if not right or (passes.bits[order] != wanted).any():
        raise EsnsimError(f"schedule '{kind}' does not stream each plane of a layer exactly once")
