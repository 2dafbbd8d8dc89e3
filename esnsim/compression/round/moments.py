"""Second moments of what a layer reads: sums over windows, so that no images need be kept."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.round.windows import windows
from esnsim.model.network import Array, Geometry, Mask
from esnsim.quantization.filter_sums import Floats

AT_ONCE = 1 << 22  # elements of windows that are gathered at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Of one group of channels: `gram` H = XᵀX/n (K, K), `cross` C = VᵀX/n (K', K).

    X are `count` windows of what the layer reads, V the same windows of what the float model's
    layer reads, which may have more channels. `mean` (K,) and `float_mean` (K',) are theirs.
    """

    count: int
    gram: Floats
    cross: Floats
    mean: Floats
    float_mean: Floats

    @property
    def centred(self) -> "Moments":
        """Those about the means: what is left to a layer whose bias makes up for the means."""
        gram = self.gram - np.outer(self.mean, self.mean)
        return replace(self, gram=gram, cross=self.cross - np.outer(self.float_mean, self.mean))

    def __add__(self, other: "Moments") -> "Moments":
        """Those over the windows of both."""
        count = self.count + other.count
        share = self.count / count

        def mean(mine: Floats, theirs: Floats) -> Floats:
            return share * mine + (1 - share) * theirs

        return Moments(
            count=count, gram=mean(self.gram, other.gram), cross=mean(self.cross, other.cross),
            mean=mean(self.mean, other.mean), float_mean=mean(self.float_mean, other.float_mean),
        )  # fmt: skip

    def of(self, lanes: Mask) -> "Moments":
        """Those of some of the layer's inputs (K,), and all of the float model's."""
        gram = self.gram[np.ix_(lanes, lanes)]
        return replace(self, gram=gram, cross=self.cross[:, lanes], mean=self.mean[lanes])


class Sums:
    """The moments of each group of a layer, batch by batch."""

    def __init__(self, geometry: Geometry, floats: Geometry, pairs: NDArray[np.int64]) -> None:
        """Of a layer's geometry and of the same layer's in float.

        `pairs` (groups,) is the group in float of what each group does.
        """
        self._geometries, self._pairs = (geometry, floats), pairs
        self._sums: list[Array] = []
        self._count = 0

    def add(self, x: Array, v: Array, places: NDArray[np.int64]) -> None:
        """Add the windows at some places (of batch and output) of columns x and v (batch, C, …)."""
        own, other = (windows(a, g) for a, g in zip((x, v), self._geometries, strict=True))
        size = own.shape[-len(self._geometries[0].kernel) - 1 :]
        rows = max(1, AT_ONCE // int(np.prod(size)))
        for start in range(0, len(places), rows):
            chosen = places[start : start + rows]
            first = _rows(own, chosen, self._geometries[0])
            second = first if v is x else _rows(other, chosen, self._geometries[1])
            self._add(first, first if np.array_equal(first, second) else second)

    @np.errstate(over="ignore", invalid="ignore")  # sums that are not finite are told later
    def _add(self, x: Array, v: Array) -> None:
        gram = x.swapaxes(1, 2) @ x
        cross = gram if v is x else v[self._pairs].swapaxes(1, 2) @ x
        found = [gram, cross, x.sum(axis=1, dtype=float), v.sum(axis=1, dtype=float)]
        if not self._sums:
            self._sums = [np.zeros(part.shape) for part in found]
        for total, part in zip(self._sums, found, strict=True):
            total += part
        self._count += x.shape[1]

    def moments(self) -> list[Moments]:
        """Of each group of the layer."""
        gram, cross, mean, float_mean = (total / max(1, self._count) for total in self._sums)
        parts = zip(gram, cross, mean, float_mean[self._pairs], strict=True)
        return [
            Moments(count=self._count, gram=g, cross=c, mean=mean, float_mean=theirs)
            for g, c, mean, theirs in parts
        ]


def places_in(x: Array, geometry: Geometry) -> int:
    """How many windows columns (batch, C, …) have."""
    return int(np.prod(windows(x, geometry).shape[: 1 + len(geometry.kernel)]))


def _rows(view: Array, places: NDArray[np.int64], geometry: Geometry) -> Array:
    """Windows as (groups, n, K), in float32 or wider."""
    rank = len(geometry.kernel)
    chosen = view[np.unravel_index(places, view.shape[: 1 + rank])]
    kind = np.float64 if view.dtype == np.float64 else np.float32
    return chosen.reshape(len(places), geometry.groups, -1).swapaxes(0, 1).astype(kind, order="C")
