"""A batch that is not full: which rows of a layer are of images that count."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from esnsim.evaluate.feeds import Feeds
from esnsim.model.network import Array
from esnsim.run.compute import float_compute, watched
from esnsim.run.cut import CutGraph
from esnsim.run.macs import MacNode


@dataclass(frozen=True, slots=True)
class Part:
    """The first `count` images of a batch of `size`; copies of the last fill it.

    `steps` are how many blocks of a layer's rows hold all images each: 1 where images lead, in a
    sequence in which time leads as many as it has steps.
    """

    steps: Mapping[int, int]
    count: int
    size: int

    def of(self, index: int, x: Array) -> Array:
        """The rows (rows, …) of a layer that are of images that count."""
        if self.count == self.size or index not in self.steps:
            return x
        blocks = x.reshape(self.steps[index], self.size, -1, *x.shape[1:])
        return blocks[:, : self.count].reshape(-1, *x.shape[1:])

    def filled(self, index: int, y: Array) -> Array:
        """All rows of a layer, from those of images that count."""
        if self.count == self.size or index not in self.steps:
            return y
        blocks = y.reshape(self.steps[index], self.count, -1, *y.shape[1:])
        last = np.repeat(blocks[:, -1:], self.size - self.count, axis=1)
        return np.concatenate([blocks, last], axis=1).reshape(-1, *y.shape[1:])


def steps_of(graph: CutGraph, feeds: Feeds, images: int) -> dict[int, int]:
    """`Part.steps` where a batch is filled: the last image of one changes its own rows alone."""
    if not feeds.fixed or images % feeds.fixed == 0:
        return {}
    sums: list[dict[int, Array]] = []
    for feed in feeds.altered():
        found: dict[int, Array] = {}

        def see(mac: MacNode, x: Array, found: dict[int, Array] = found) -> None:
            rows = mac.layout.to_columns(x)
            found[mac.index] = rows.reshape(len(rows), -1).sum(axis=1, dtype=np.float64)

        graph.run(feed, watched(float_compute(graph), see))
        sums.append(found)
    return {
        index: _blocks(rows != sums[1][index], feeds.fixed)
        for index, rows in sums[0].items()
        if len(rows) % feeds.fixed == 0
    }


def _blocks(changed: Array, batch: int) -> int:
    """The least number of blocks of which each has all that changed (rows,) in its last image."""
    most = len(changed) // batch
    for blocks in (n for n in range(1, most + 1) if most % n == 0):
        if not changed.reshape(blocks, batch, -1)[:, :-1].any():
            return blocks
    return 1
