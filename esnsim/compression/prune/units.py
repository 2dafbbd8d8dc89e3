"""Which filters go only together, and which can't go: read off the channel ids of the graph.

Every element of an activation carries the id of the filter that it comes from (importer.channels).
Where two meet element by element, their ids are tied: one leaves with the other. Grouped
convolutions and shared weights tie more. An operator that is not known to keep channels apart
keeps what it reads, and so does a value whose channels lie along more than one axis.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.prune.coupling import (
    filters_of,
    keep_shapes,
    tie_layer,
    tie_node,
    tie_shared,
)
from esnsim.compression.prune.shuffles import Shuffle, shuffles
from esnsim.compression.prune.ties import Ties, axes_of, ids_of
from esnsim.graph.graph import Graph
from esnsim.graph.sites import Site, left_alone, sites
from esnsim.model.network import CONSTANT, Ids, Layer, Network


@dataclass(frozen=True, slots=True)
class Unit:
    """Filters that go only together, as (layer, filter), both counted from 0.

    `stays` says why they can't go; it is empty where they can.
    """

    filters: tuple[tuple[int, int], ...]
    stays: str = ""


@dataclass(frozen=True, slots=True)
class Coupling:
    """Units by number: `unit` (ids,) gives that of every channel id, `stays` why some can't go.

    Each set in `values` holds the units of an activation, of which one has to stay.
    """

    unit: NDArray[np.int64]
    stays: dict[int, str]
    values: tuple[NDArray[np.int64], ...]
    sites: tuple[Site, ...]
    shuffles: tuple[Shuffle, ...]

    def of(self, layer: Layer) -> NDArray[np.int64]:
        """The unit of each filter (M,) of a layer."""
        return self.unit[layer.first_filter : layer.first_filter + layer.filters]


def units(graph: Graph, network: Network) -> tuple[Unit, ...]:
    """The units of a network in the order of their first filters; each filter is in one."""
    coupling = couple(graph, network)
    found: dict[int, list[tuple[int, int]]] = {}
    for index, layer in enumerate(network.layers):
        for position, unit in enumerate(coupling.of(layer).tolist()):
            found.setdefault(unit, []).append((index, position))
    return tuple(Unit(tuple(f), coupling.stays.get(u, "")) for u, f in found.items())


def whole(graph: Graph, network: Network) -> tuple[tuple[Layer, str], ...]:
    """The layers of which no filter can go, each with the reason, for a report."""
    coupling = couple(graph, network)
    reasons = ([coupling.stays.get(u) for u in coupling.of(x).tolist()] for x in network.layers)
    pairs = zip(network.layers, reasons, strict=True)
    return tuple((layer, found[0] or "") for layer, found in pairs if all(found))


def couple(graph: Graph, network: Network) -> Coupling:
    """Tie the channel ids of a graph; `network` is the one that it was made for."""
    ties = Ties(np.arange(network.channel_ids))
    found, moved = sites(graph, network), shuffles(graph)
    for layer, reason in left_alone(graph, network):
        ties.pin(filters_of(layer), reason)
    at = {site.place: site for site in found}
    for place, node in enumerate(graph.nodes):
        if place in at:
            tie_layer(graph, ties, at[place])
        else:
            tie_node(graph, ties, node)
    tie_shared(ties, found)
    keep_shapes(graph, ties)
    for output in graph.proto.graph.output:
        ties.pin(ids_of(graph, output.name), "the network gives what they make")
    inside = {name for shuffle in moved for name in shuffle.inside}
    activations = [(n, i) for n in graph.scope.values if (i := ids_of(graph, n)) is not None]
    for name, ids in activations:
        if len(axes_of(ids)) > 1 and name not in inside:
            ties.pin(ids, f"the channels of '{name}' lie along several axes")
    unit, stays = ties.settled()
    values = tuple(_apart(unit, stays, {n: i for n, i in activations if n not in inside}))
    return Coupling(unit, stays, values, found, moved)


def _apart(
    unit: NDArray[np.int64], stays: dict[int, str], activations: Mapping[str, Ids]
) -> Iterator[NDArray[np.int64]]:
    """The units of each activation that could lose all its channels; one of them has to stay."""
    seen: set[bytes] = set()
    for name, ids in activations.items():
        found = np.unique(unit[ids])
        if len(found) == 1:
            stays.setdefault(int(found[0]), f"all channels of '{name}' go only together")
        free = ids.min() > CONSTANT and stays.keys().isdisjoint(found.tolist())
        if free and found.tobytes() not in seen:
            seen.add(found.tobytes())
            yield found
