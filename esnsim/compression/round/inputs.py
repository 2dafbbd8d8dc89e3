"""What layers read, here and in float: columns by batch, and their moments over some windows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from esnsim.compression.correct.moments import ByName
from esnsim.compression.journal import Journal
from esnsim.compression.round.moments import Moments, Sums, summed
from esnsim.compression.round.reading import Reading, States, reading
from esnsim.compression.round.reference import Known, Reference, chosen, digest
from esnsim.compression.round.walk import Walk
from esnsim.compression.round.windows import in_parts, places_in
from esnsim.errors import ModelError
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, Slot, first_uses
from esnsim.images.sets import ImageSet
from esnsim.machines.activations import Calibration
from esnsim.machines.activations import quantize as to_integers
from esnsim.model.network import Array, Layer, Mask
from esnsim.quantization.filter_sums import Ints

RANGES = 64  # images that the ranges of activations are read off, at most

Feed = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where layers are rounded: a `model`, which is `whole` without the filters not `kept` (M,).

    `images` are what layers read, labels unseen. With `targets`, the whole model's moments in
    float, statistics are corrected on the way; None leaves them. `activation_bits` quantise what
    layers read, None in float. The `journal` has layers that are rounded already, the `reference`
    what the whole model's give on these images; without one it is found anew.
    """

    whole: Model
    model: Model
    images: ImageSet
    kept: Sequence[Mask] | None = None
    targets: ByName | None = None
    activation_bits: int | None = None
    threads: int = 0
    journal: Journal | None = None
    reference: Reference | None = None


class Inputs:
    """What the layers of a model read as it is changed, beside what the whole one's give."""

    def __init__(self, setting: Setting, found: Sequence[Site], reference: Reference) -> None:
        self._setting, self._reference = setting, reference
        self._reads = {site.index: reading(setting.model, site) for site in found}
        self._known: dict[tuple[str, object], Sums] = {}
        self._first = first_uses(found)
        self._later = self._in_float(self._first)

    def first_use(self, site: Site) -> int:
        """The layer that first uses a site's weight: the index of it, or of another before it."""
        return self._first[site.index]

    @property
    def slots(self) -> list[Slot]:
        """Where layers read activations that are quantised first."""
        if self._setting.activation_bits is None:
            return []
        at = self._setting.model.layer_at.items()
        macs = [(place, read.mac) for place, i in at if (read := self._reads.get(i))]
        return [Slot(place, mac.activation) for place, mac in macs if mac and mac.own is None]

    def moments(self, site: Site, walk: Walk) -> list[Moments] | None:
        """Of each group of what a layer reads on a walk that is there, None where it isn't known.

        Layers that read the same value in the same way share sums; those of all uses of a weight
        are added up at its first, in float for what comes later.
        """
        read, kept = self._reads[site.index], self._setting.kept
        if read is None:
            return None
        if isinstance(read, States):
            walk.put(site.slot, site.to_operand(site.layer.weight.load()))
        name, xs, mac = read.name, read.on(walk), read.mac
        bits = self._setting.activation_bits
        if bits is not None and mac and Slot(site.place, mac.activation) in self.slots:
            xs = in_integers(xs, bits)
            walk.spread(Slot(site.place, mac.activation), xs)
        known, whole = self._reference.layer(site.index), self._reference.sites[site.index].layer
        picked = _picked(site.layer, whole, None if kept is None else kept[site.index])
        if known is None or picked is None:
            return None
        self._known = {key: value for key, value in self._known.items() if walk.holds(key[0])}
        alike = replace(site.layer.geometry, batch=1, images=1)
        key = (
            name,
            (alike, site.layer.weight.shape[1:], tuple(picked[0]), known.gives and site.index),
        )
        if key not in self._known:
            found = _sums(read, xs, site.layer, known, picked)
            if found is None:
                return None
            self._known[key] = found
        sums = self._known[key]
        weights = None if known.gives and sums.cross is not None else self._weights(site)
        return _joined(sums.moments(weights), self._later.get(site.index))

    def _weights(self, site: Site) -> Array:
        """The float model's weights (M, …) of the filters that are left."""
        weights = self._reference.sites[site.index].layer.weight.load().astype(np.float64)
        kept = self._setting.kept
        return weights if kept is None else weights[kept[site.index]]

    def _in_float(self, first: Mapping[int, int]) -> dict[int, list[Moments]]:
        """For weights that several layers use, moments in float of what all but the first read.

        A pruned model's layers don't read what the whole one's do: there the first use decides.
        """
        found: dict[int, list[Moments]] = {}
        later = [
            self._reference.sites[i] for i, use in first.items()
            if use != i and self._setting.kept is None
        ]  # fmt: skip
        feeds, threads = self._reference.feeds, self._setting.threads
        for site, new in moments_in_float(self._setting.whole, later, feeds, threads):
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
        read, layer = reading(model, site), site.layer
        with suppress(ModelError):  # else its nodes run with those up to the next layer
            walk.advance(site.place)
            if read is None:
                continue
            xs = read.columns(read.on(walk))
            parts = (
                (part, None) for x, places in zip(xs, chosen(xs, layer), strict=True)
                for _, part in in_parts(x, layer.geometry, places)
            )  # fmt: skip
            sums = summed(parts)
            if sums.count:
                yield site, sums.moments(layer.weight.load().astype(np.float64))


def _joined(some: list[Moments], more: list[Moments] | None) -> list[Moments]:
    """Moments of each group over the windows of both, where there are more."""
    return some if more is None else [a + b for a, b in zip(some, more, strict=True)]


#: A group of the whole layer for each group, and filters in it.
Picked = tuple[Ints, Ints]


def _picked(layer: Layer, whole: Layer, kept: Mask | None) -> Picked | None:
    """The group of the whole layer that each group of filters is of, and which filters there
    (groups, M/g); None where some are of two groups.
    """
    rows = np.arange(whole.filters) if kept is None else np.flatnonzero(kept)
    groups, which = np.divmod(rows, whole.filters // whole.geometry.groups)
    groups = groups.reshape(layer.geometry.groups, -1)
    alike = (groups == groups[:, :1]).all()
    return (groups[:, 0], which.reshape(groups.shape)) if alike else None


def _sums(
    read: Reading, xs: Sequence[Array], layer: Layer, known: Known, picked: Picked
) -> Sums | None:
    """Of what a layer reads beside what is known of it in float; None without windows in common."""
    reads, geometry = read.columns(xs), layer.geometry
    if [places_in(x, geometry) for x in reads] != known.counts or not sum(known.counts):
        return None
    same = all(digest(x) == other for x, other in zip(xs, known.digests, strict=True))

    def parts() -> Iterator[tuple[Array, Array | None]]:
        for x, places, rows in zip(reads, known.places, known.rows, strict=True):
            for part, a in in_parts(x, geometry, places):
                if same:
                    yield a, None
                    continue
                b, which = rows[picked[0], part], picked[1][:, None]
                some = known.gives and which.shape[2] < b.shape[2]
                yield a, np.take_along_axis(b, which, axis=2) if some else b

    return summed(parts())


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
