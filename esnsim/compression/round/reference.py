"""What the float model's layers give at some windows: found once for all that is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import accumulate

import numpy as np

from esnsim.compression.correct.moments import ByName
from esnsim.compression.correct.recalibrate import float_moments
from esnsim.compression.round.reading import reading
from esnsim.compression.round.walk import Walk
from esnsim.compression.round.windows import in_parts, places_in, sampled
from esnsim.evaluate.feeds import Feeds
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, sites
from esnsim.images.sets import ImageSet
from esnsim.model.network import Array, Layer
from esnsim.quantization.filter_sums import Ints

WINDOWS, PER_INPUT = 1 << 13, 32  # windows of a layer: at most, or for each input of a filter
ROOM = 1 << 28  # bytes that are kept of all layers; what has no room is found anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Of a layer, batch by batch: how many windows there are, the `places` of those chosen, there
    its inputs or what its filters `give` (groups, n, K or M/g), and the `digests` of its inputs.
    """

    counts: list[int]
    places: list[Ints]
    rows: list[Array]
    digests: list[bytes]
    gives: bool


class Reference:
    """A model in float on images, and what is known of its layers; asked in the graph's order it
    runs once.
    """

    def __init__(self, model: Model, images: ImageSet, threads: int = 0) -> None:
        self.sites = {site.index: site for site in sites(model)}
        self._model, self._images, self._threads = model, images, threads
        self._end = 1 + max((site.place for site in self.sites.values()), default=0)
        self._walk: Walk | None = None
        self._known: dict[int, Known | None] = {}
        self._room = ROOM

    @cached_property
    def feeds(self) -> list[dict[str, Array]]:
        """The images as the inputs take them, batch by batch."""
        return [feed for feed, _ in Feeds(self._model, self._images).whole()]

    @cached_property
    def moments(self) -> ByName:
        """The moments wherever statistics are corrected."""
        return float_moments(self._model, self._images, self._threads)

    def layer(self, index: int) -> Known | None:
        """Of a layer that `sites` names, None where its inputs can't be had.

        Raises ModelError where ONNX Runtime can't run what is before it.
        """
        if index in self._known:
            return self._known[index]
        found = self._found(self.sites[index])
        size = sum(rows.nbytes for rows in found.rows) if found else 0
        if size <= self._room:
            self._room -= size
            self._known[index] = found
        if len(self._known) == len(self.sites):
            self._walk = None
        return found

    def _found(self, site: Site) -> Known | None:
        read = reading(self._model, site)
        if read is None:
            return None
        if self._walk is None or self._walk.at > site.place:
            self._walk = Walk(self._model, self.feeds, self._end, threads=self._threads)
        self._walk.advance(site.place)
        values = read.on(self._walk)
        xs, layer = read.columns(values), site.layer
        weights = by_groups(layer)
        gives = 2 * weights.shape[1] < weights.shape[2]
        places = chosen(xs, layer)
        rows, digests = [], [digest(value) for value in values]
        for x, at in zip(xs, places, strict=True):
            parts = [part for _, part in in_parts(x, layer.geometry, at)]
            if gives:
                parts = [part @ weights.swapaxes(1, 2).astype(part.dtype) for part in parts]
            rows.append(np.concatenate(parts, axis=1))
        self._walk.rest()
        return Known(
            counts=[places_in(x, layer.geometry) for x in xs], places=places, rows=rows,
            digests=digests, gives=gives,
        )  # fmt: skip


def by_groups(layer: Layer) -> Array:
    """A layer's weights (groups, M/g, K)."""
    size = layer.weight.size // layer.filters
    return layer.weight.load().reshape(layer.geometry.groups, -1, size)


def chosen(xs: Sequence[Array], layer: Layer) -> list[Ints]:
    """The places of some windows of a layer's columns, batch by batch."""
    counts = [places_in(x, layer.geometry) for x in xs]
    most = max(WINDOWS, PER_INPUT * layer.weight.size // layer.filters)
    places = sampled(sum(counts), most)
    ends = list(accumulate(counts))
    cuts = np.searchsorted(places, [0, *ends])
    return [
        places[low:high] - (end - count)
        for low, high, end, count in zip(cuts, cuts[1:], ends, counts, strict=False)
    ]


def digest(value: Array) -> bytes:
    """A digest of a value."""
    return sha256(np.ascontiguousarray(value).view(np.uint8).data).digest()
