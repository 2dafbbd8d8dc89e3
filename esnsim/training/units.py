"""Which filters are pruned together, and which of them have the largest norm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.prune.coupling import filters_of
from esnsim.compression.prune.ties import Ties
from esnsim.errors import UsageError
from esnsim.model.network import CONSTANT, LIVE, Ids, Network

Alive = dict[str, NDArray[np.bool_]]
Norms = Mapping[str, NDArray[np.float64]]
NO_UNIT = -1


@dataclass(frozen=True, slots=True)
class Units:
    """A unit is the filters whose outputs are added: its channel dies when all of them do.

    `of` gives the unit of each filter (M,) by the name of the weight, −1 for filters that no
    layer reads, such as the classes. A space is the units of one layer, or of layers that are
    added to each other: widths are chosen for each space.
    """

    of: Mapping[str, NDArray[np.int64]]
    spaces: tuple[NDArray[np.int64], ...]

    def alive(self, squared_norms: Norms, keep: float) -> Alive:
        """The filters (M,) of the `keep` share of units with the largest norm in each space.

        `squared_norms` are those of each filter (M,) by the name of the weight; weights without
        stay. At least one unit of a space stays. Raises UsageError for a share outside 0 to 1.
        """
        if not 0 < keep <= 1:
            raise UsageError(f"keeping {keep} of the filters: give a share above 0, at most 1")
        total = np.zeros(1 + max((int(s.max()) for s in self.spaces), default=0))
        mine = {name: unit for name, unit in self.of.items() if name in squared_norms}
        for name, unit in mine.items():
            known = unit != NO_UNIT
            np.add.at(total, unit[known], np.asarray(squared_norms[name])[known])
        kept = np.zeros(len(total), np.bool_)
        for space in self.spaces:
            order = space[np.argsort(-total[space], kind="stable")]
            kept[order[: max(1, round(keep * len(space)))]] = True
        return {n: (unit == NO_UNIT) | kept[unit] for n, unit in mine.items()}


def units(network: Network) -> Units:
    """The units of a network: additions and depthwise convolutions tie filters together."""
    roots = unit_of_channels(network)
    read = np.unique([roots[c] for layer in network.layers for c in layer.channels])
    gates = [roots[c] for merge in network.merges if merge.gate for c in merge.right]
    found: dict[str, NDArray[np.int64]] = {}
    for layer in network.layers:
        mine = roots[layer.first_filter : layer.first_filter + layer.filters]
        unit = np.where(np.isin(mine, read) & ~np.isin(mine, gates), mine, NO_UNIT)
        if not (unit == NO_UNIT).all():
            found[layer.weight.name] = unit
    return Units(found, _spaces(list(found.values())))


def unit_of_channels(network: Network) -> NDArray[np.int64]:
    """What stands for the unit of each channel id."""
    ties = Ties(np.arange(network.channel_ids))
    for left, right in _tied(network):
        owned = ~np.isin(left, (LIVE, CONSTANT))
        ties.tie(left[owned], right[owned])
    return ties.settled()[0]


def _tied(network: Network) -> Iterator[tuple[Ids, Ids]]:
    """Channel ids in pairs of which one is dead only with the other."""
    for merge in network.merges:
        sums = np.arange(merge.first, merge.first + len(merge.left), dtype=np.int32)
        yield merge.left, sums
        if not merge.gate:
            yield merge.right, sums
    for layer in network.layers:
        repeat, rest = divmod(layer.filters, len(layer.channels))
        if layer.geometry.groups == len(layer.channels) > 1 and not rest:  # depthwise
            yield np.repeat(layer.channels, repeat), filters_of(layer)


def _spaces(layers: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], ...]:
    """Layers that share a unit make one space."""
    spaces: list[set[int]] = []
    for unit in layers:
        mine = set(unit[unit != NO_UNIT].tolist())
        for other in [s for s in spaces if s & mine]:
            spaces.remove(other)
            mine |= other
        spaces.append(mine)
    return tuple(np.array(sorted(space)) for space in spaces)
