"""What layers read, here and in float: columns by batch, and their moments over some windows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from esnsim.compression.correct.moments import ByName
from esnsim.compression.journal import Journal
from esnsim.compression.round.moments import Moments, Sums, places_in
from esnsim.compression.round.walk import Walk
from esnsim.compression.round.windows import sampled
from esnsim.errors import ModelError
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, Slot, sites
from esnsim.images.sets import ImageSet
from esnsim.machines.activations import Calibration
from esnsim.machines.activations import quantize as to_integers
from esnsim.model.network import Array, Layer, Mask
from esnsim.quantization.filter_sums import Ints
from esnsim.run.macs import CannotCutError, MacNode, read_mac

WINDOWS, PER_INPUT = 1 << 13, 32  # windows of a layer: at most, or for each input of a filter
RANGES = 64  # images that the ranges of activations are read off, at most

Feed = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where layers are rounded: a `model`, which is `whole` without the filters not `kept` (M,).

    `images` are what layers read, labels unseen. With `targets`, the whole model's moments in
    float, statistics are corrected on the way; None leaves them. `activation_bits` quantise what
    layers read, None in float. The `journal` has layers that are rounded already.
    """

    whole: Model
    model: Model
    images: ImageSet
    kept: Sequence[Mask] | None = None
    targets: ByName | None = None
    activation_bits: int | None = None
    threads: int = 0
    journal: Journal | None = None


class Inputs:
    """What the layers of a model read as it is changed, and what those of the whole one read."""

    def __init__(self, setting: Setting, found: Sequence[Site], feeds: Sequence[Feed]) -> None:
        self._setting, self._feeds = setting, feeds
        self._macs = {site.index: mac_of(setting.model, site) for site in found}
        self._whole = {site.index: site for site in sites(setting.whole)}
        self._floats = self._float_walk()
        self._known: dict[tuple[str, object], list[Moments] | None] = {}
        self._first = _first_uses(found)
        self._later = self._in_float(self._first)

    def first_use(self, site: Site) -> int:
        """The layer that first uses a site's weight: the index of it, or of another before it."""
        return self._first[site.index]

    @property
    def slots(self) -> list[Slot]:
        """Where layers read activations that are quantised first."""
        if self._setting.activation_bits is None:
            return []
        macs = [(place, self._macs.get(i)) for place, i in self._setting.model.layer_at.items()]
        return [Slot(place, mac.activation) for place, mac in macs if mac and mac.own is None]

    def moments(self, site: Site, walk: Walk) -> list[Moments] | None:
        """Of each group of what a layer reads on a walk that is there, None where it isn't known.

        Layers that read the same value in the same way share them; those of all uses of a weight
        are summed up at its first, in float for what comes later.
        """
        mac, whole, kept = self._macs[site.index], self._whole[site.index], self._setting.kept
        if mac is None:
            return None
        name = mac.node.input[mac.activation]
        xs = walk.values(name)
        if self._setting.activation_bits is not None and mac.own is None:
            xs = in_integers(xs, self._setting.activation_bits)
            walk.spread(Slot(site.place, mac.activation), xs)
        self._floats.advance(whole.place)
        theirs = mac_of(self._setting.whole, whole)
        pairs = pairs_of(site.layer, whole.layer, None if kept is None else kept[site.index])
        if theirs is None or pairs is None:
            return None
        self._known = {key: value for key, value in self._known.items() if walk.holds(key[0])}
        alike = replace(site.layer.geometry, batch=1, images=1)
        key = name, (alike, site.layer.weight.shape[1:], tuple(pairs))
        if key not in self._known:
            vs = self._floats.values(theirs.node.input[theirs.activation])
            self._known[key] = moments_of(
                _columns(mac, xs), _columns(theirs, vs), site.layer, whole.layer, pairs
            )
        return _joined(self._known[key], self._later.get(site.index))

    def weights(self, site: Site) -> Array:
        """The float model's weights (M, …) of the filters that are left."""
        weights, kept = self._whole[site.index].layer.weight.load(), self._setting.kept
        return weights if kept is None else weights[kept[site.index]]

    def _float_walk(self) -> Walk:
        end = 1 + max((site.place for site in self._whole.values()), default=0)
        return Walk(self._setting.whole, self._feeds, end, threads=self._setting.threads)

    def _in_float(self, first: Mapping[int, int]) -> dict[int, list[Moments] | None]:
        """For weights that several layers use, moments in float of what all but the first read.

        A pruned model's layers don't read what the whole one's do: there the first use decides.
        """
        found: dict[int, list[Moments] | None] = {}
        later = [
            self._whole[i] for i, use in first.items() if use != i and self._setting.kept is None
        ]
        each = moments_in_float(self._setting.whole, later, self._feeds, self._setting.threads)
        for site, new in each:
            use = first[site.index]
            found[use] = _joined(new, found.get(use))
        return found


def moments_in_float(
    model: Model, found: Sequence[Site], feeds: Sequence[Feed], threads: int
) -> Iterator[tuple[Site, list[Moments]]]:
    """Moments of each group of what layers read in float, of those where that can be had."""
    end = 1 + max((site.place for site in found), default=0)
    walk = Walk(model, feeds, end, threads=threads)
    for site in sorted(found, key=lambda site: site.place):
        mac = mac_of(model, site)
        with suppress(ModelError):  # else its nodes run with those up to the next layer
            walk.advance(site.place)
            if mac is None:
                continue
            xs = _columns(mac, walk.values(mac.node.input[mac.activation]))
            groups = np.arange(site.layer.geometry.groups)
            moments = moments_of(xs, xs, site.layer, site.layer, groups)
            if moments:
                yield site, moments


def _joined(some: list[Moments] | None, more: list[Moments] | None) -> list[Moments] | None:
    """Moments of each group over the windows of both, where both are known."""
    if not some or not more:
        return some or more
    return [a + b for a, b in zip(some, more, strict=True)]


def _columns(mac: MacNode, batches: Iterable[Array]) -> list[Array]:
    return [mac.layout.to_columns(batch) for batch in batches]


def _first_uses(found: Sequence[Site]) -> dict[int, int]:
    """For each layer the first that has its weight in the same shape and groups: it, or another."""
    first: dict[object, int] = {}
    return {
        site.index: first.setdefault(
            (site.layer.weight.origin, site.shape, site.columns, site.layer.geometry.groups),
            site.index,
        )
        for site in found
    }


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
