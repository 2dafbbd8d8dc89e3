"""Second moments of what a layer reads: sums over windows, so that no images need be kept."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from esnsim.model.network import Array, Mask
from esnsim.quantization.filter_sums import Floats
from esnsim.threads import ahead

#: x (groups, n, K) and y (groups, n, R) beside it, None where it is x.
Part: TypeAlias = tuple[Array, Array | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Of one group of a layer: `gram` H = XᵀX/n (K, K), `pull` P = YᵀX/n (M, K).

    X are `count` windows of what the layer reads, Y (n, M) what its filters give in float at the
    same places. `mean` (K,) and `goal` (M,) are the means of both.
    """

    count: int
    gram: Floats
    pull: Floats
    mean: Floats
    goal: Floats

    @property
    def centred(self) -> "Moments":
        """Those about the means: what is left to a layer whose bias makes up for the means."""
        gram = self.gram - np.outer(self.mean, self.mean)
        return replace(self, gram=gram, pull=self.pull - np.outer(self.goal, self.mean))

    def __add__(self, other: "Moments") -> "Moments":
        """Those over the windows of both."""
        count = self.count + other.count
        share = self.count / count

        def mean(mine: Floats, theirs: Floats) -> Floats:
            return share * mine + (1 - share) * theirs

        return Moments(
            count=count, gram=mean(self.gram, other.gram), pull=mean(self.pull, other.pull),
            mean=mean(self.mean, other.mean), goal=mean(self.goal, other.goal),
        )  # fmt: skip

    def of(self, lanes: Mask) -> "Moments":
        """Those of some of the layer's inputs (K,)."""
        gram = self.gram[np.ix_(lanes, lanes)]
        return replace(self, gram=gram, pull=self.pull[:, lanes], mean=self.mean[lanes])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Of each group: `count` windows x, their `gram` (groups, K, K) and `mean` (groups, K), and of
    y beside them the `cross` (groups, R, K) and `other` (groups, R), None where y is x.
    """

    count: int
    gram: Floats
    mean: Floats
    cross: Floats | None
    other: Floats | None

    def moments(self, weights: Floats | None) -> list[Moments]:
        """Of each group, for float weights (M, K') of y; None where y is what they give."""
        cross = self.gram if self.cross is None else self.cross
        other = self.mean if self.other is None else self.other
        if weights is not None:
            rows = weights.reshape(len(cross), -1, cross.shape[1])
            cross, other = rows @ cross, (rows @ other[:, :, None])[:, :, 0]
        parts = zip(self.gram, cross, self.mean, other, strict=True)
        return [
            Moments(count=self.count, gram=gram, pull=pull, mean=mean, goal=goal)
            for gram, pull, mean, goal in parts
        ]


def summed(parts: Iterable[Part]) -> Sums:
    """The sums over parts.

    A part is summed up in its own type, and the parts in float64.
    """
    total, count = [np.zeros(())] * 4, 0
    for size, *found in ahead(_sums, parts):
        total = [before + new for before, new in zip(total, found, strict=False)]
        count += size
    gram, mean, *more = (part / max(1, count) for part in total)
    cross, other = more or (None, None)
    return Sums(count=count, gram=gram, mean=mean, cross=cross, other=other)


@np.errstate(over="ignore", invalid="ignore")  # sums that are not finite are told later
def _sums(part: Part) -> tuple[Any, ...]:
    x, y = part
    found = x.shape[1], x.swapaxes(1, 2) @ x, x.sum(axis=1, dtype=float)
    return found if y is None else (*found, y.swapaxes(1, 2) @ x, y.sum(axis=1, dtype=float))
