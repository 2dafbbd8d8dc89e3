"""Channel ids tied into units, and what keeps a unit in the network."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esnsim.graph.model import Model
from esnsim.model.network import CONSTANT, Ids, Mask


@dataclass(slots=True)
class Ties:
    """A union-find over channel ids. `stays` says why an id's unit can't go."""

    parent: NDArray[np.int64]
    stays: dict[int, str] = field(default_factory=dict)

    def root(self, index: int) -> int:
        """The id that stands for a unit."""
        while self.parent[index] != index:
            self.parent[index] = index = self.parent[self.parent[index]]
        return index

    def tie(self, left: Ids, right: Ids, reason: str = "") -> None:
        """Tie ids in pairs; one whose partner is no filter's stays, for this reason."""
        apart = left != right
        pairs = np.stack([left[apart], right[apart]], axis=1)
        for a, b in np.unique(pairs, axis=0).tolist() if len(pairs) else ():
            if min(a, b) > CONSTANT:
                self.parent[self.root(a)] = self.root(b)
            else:
                self.pin(np.array([a, b]), reason)

    def together(self, rows: Ids, reason: str) -> None:
        """Tie all ids of each row (R, n)."""
        self.tie(np.broadcast_to(rows[:, :1], rows.shape), rows, reason)

    def pin(self, ids: Ids | None, reason: str) -> None:
        """Keep these ids, and so their units; None is no id."""
        for index in [] if ids is None else np.unique(ids).tolist():
            if index > CONSTANT:
                self.stays.setdefault(index, reason)

    def settled(self) -> tuple[NDArray[np.int64], dict[int, str]]:
        """The unit of each id, and the reasons by unit."""
        roots = np.array([self.root(i) for i in range(len(self.parent))])
        reasons: dict[int, str] = {}
        for index, reason in self.stays.items():
            reasons.setdefault(int(roots[index]), reason)
        return roots, reasons


def ids_of(graph: Model, name: str) -> Ids | None:
    """The channel ids of an activation, None where they are not known or it is constant."""
    value = graph.scope.get(name)
    return value.channels if value.constant is None else None


def axes_of(ids: Ids) -> list[int]:
    """The axes along which ids change."""
    return [axis for axis, size in enumerate(ids.shape) if size > 1]


class Along(NamedTuple):
    """What stays of an activation (a mask) along the one axis along which channels go."""

    axis: int
    mask: Mask

    @property
    def size(self) -> int:
        """How many channels stay."""
        return int(self.mask.sum())


def kept(graph: Model, name: str, alive: Mask) -> Along | None:
    """What stays of an activation where channels of it go, else None.

    `alive` says so for each channel id, in all heads alike where an activation has some.
    """
    ids = ids_of(graph, name)
    if ids is None or alive[ids].all():
        return None
    mask = alive[ids]
    (axis,) = (axis for axis in axes_of(ids) if (mask != mask.take([0], axis)).any())
    return Along(axis, np.moveaxis(mask, axis, -1).reshape(-1, mask.shape[axis])[0])


def shape_of(graph: Model, name: str, alive: Mask) -> tuple[int, ...] | None:
    """The shape of an activation after pruning, None where it was not known before."""
    shape, found = graph.scope.get(name).shape, kept(graph, name, alive)
    if shape is None or found is None:
        return shape
    return (*shape[: found.axis], found.size, *shape[found.axis + 1 :])
