"""What a layer reads, here and in float: columns by batch, and their moments over some windows."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from esnsim.compression.round.moments import Moments, Sums, places_in
from esnsim.compression.round.windows import sampled
from esnsim.graph.model import Model
from esnsim.graph.sites import Site
from esnsim.machines.activations import Calibration
from esnsim.machines.activations import quantize as to_integers
from esnsim.model.network import Array, Layer, Mask
from esnsim.quantization.filter_sums import Ints
from esnsim.run.macs import CannotCutError, MacNode, read_mac

WINDOWS, PER_INPUT = 1 << 13, 32  # windows of a layer: at most, or for each input of a filter
RANGES = 64  # images that the range of an activation is read off


def mac_of(model: Model, site: Site) -> MacNode | None:
    """How a layer's operator reads its activation, None where it can't be told."""
    try:
        return read_mac(model, model.nodes[site.place], site.layer, site.index)
    except CannotCutError:
        return None


def pairs_of(layer: Layer, whole: Layer, kept: Mask | None) -> Ints | None:
    """The group of the whole layer that each group of filters is of; None where some are of two."""
    groups = layer.geometry.groups
    if kept is None:
        return np.arange(groups)
    rows = np.flatnonzero(kept) // (whole.filters // whole.geometry.groups)
    found = rows.reshape(groups, -1)
    return found[:, 0] if (found == found[:, :1]).all() else None


def moments_of(
    xs: Sequence[Array], vs: Sequence[Array], layer: Layer, whole: Layer, pairs: Ints
) -> list[Moments] | None:
    """Of a layer's columns (batch, C, …), batch by batch, beside those of the whole layer in float.

    None where they have no windows in common.
    """
    counts = [places_in(x, layer.geometry) for x in xs]
    if counts != [places_in(v, whole.geometry) for v in vs] or not sum(counts):
        return None
    size = layer.weight.size // layer.filters
    places = sampled(sum(counts), max(WINDOWS, PER_INPUT * size))
    sums = Sums(layer.geometry, whole.geometry, pairs)
    for x, v, count, end in zip(xs, vs, counts, accumulate(counts), strict=True):
        low, high = np.searchsorted(places, [end - count, end])
        sums.add(x, v, places[low:high] - (end - count))
    return sums.moments()


def in_integers(batches: Sequence[Array], bits: int) -> list[Array]:
    """Activations quantised and dequantised again, their range that over the first images."""
    range_, seen = Calibration(), 0
    for batch in batches:
        if seen < RANGES:
            range_.add(batch[: RANGES - seen])
            seen += len(batch)
    scale = range_.scale(bits)
    step, zero = np.float32(scale.scale), np.int32(scale.zero_point)
    return [
        ((to_integers(x, scale).astype(np.int32) - zero) * step).astype(x.dtype) for x in batches
    ]
