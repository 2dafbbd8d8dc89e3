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
from esnsim.compression.prune.heads import by_channel, in_heads, met, zeros
from esnsim.compression.prune.shuffles import Shuffle, shuffles
from esnsim.compression.prune.ties import Ties, axes_of, ids_of
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.graph.sites import RECURRENT, Site, sites, unquantisable_layers
from esnsim.model.network import CONSTANT, Ids, Layer, Skipped


@dataclass(frozen=True, slots=True)
class Unit:
    """Filters that go only together, as (layer, filter), both counted from 0.

    `stays` says why they can't go; it is empty where they can.
    """

    filters: tuple[tuple[int, int], ...]
    stays: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupling:
    """Units by number: `unit` (ids,) gives that of every channel id, `stays` why some can't go.

    Each set in `values` holds the units of an activation, of which one has to stay; `met` holds
    those whose channels two activations sum over, as queries and keys.
    """

    unit: NDArray[np.int64]
    stays: dict[int, str]
    values: tuple[NDArray[np.int64], ...]
    met: frozenset[int]
    sites: tuple[Site, ...]
    shuffles: tuple[Shuffle, ...]

    def of(self, layer: Layer) -> NDArray[np.int64]:
        """The unit of each filter (M,) of a layer."""
        return self.unit[layer.first_filter : layer.first_filter + layer.filters]


def units(model: Model) -> tuple[Unit, ...]:
    """The units of a network in the order of their first filters; each filter is in one."""
    coupling = couple(model)
    found: dict[int, list[tuple[int, int]]] = {}
    for index, layer in enumerate(model.network.layers):
        for position, unit in enumerate(coupling.of(layer).tolist()):
            found.setdefault(unit, []).append((index, position))
    return tuple(Unit(tuple(f), coupling.stays.get(u, "")) for u, f in found.items())


@accepts_pair
def unprunable_layers(model: Model) -> tuple[Skipped, ...]:
    """The layers of which no filter can go, each with the reason, for a report."""
    coupling, layers = couple(model), model.network.layers
    reasons = ([coupling.stays.get(u) for u in coupling.of(layer).tolist()] for layer in layers)
    pairs = zip(layers, reasons, strict=True)
    return tuple(Skipped(layer, found[0] or "") for layer, found in pairs if all(found))


whole = unprunable_layers  # its name before 0.2


def couple(model: Model) -> Coupling:
    """Which filters go together: the channel ids of a model, tied."""
    ties = Ties(np.arange(model.network.channel_ids))
    found = tuple(site for site in sites(model) if site.layer.op not in RECURRENT)
    moved = shuffles(model)
    for layer, reason in unquantisable_layers(model):
        ties.pin(filters_of(layer), reason)
    for layer in model.network.layers:
        if layer.op in RECURRENT:
            ties.pin(filters_of(layer), f"the gates of {layer.op} belong together")
    at, zero = {site.place: site for site in found}, zeros(model)
    for place, node in enumerate(model.nodes):
        if place in at:
            tie_layer(model, ties, at[place])
        else:
            tie_node(model, ties, node, zero)
    tie_shared(ties, found)
    keep_shapes(model, ties)
    for output in model.proto.graph.output:
        ties.pin(ids_of(model, output.name), "the network gives what they make")
    inside = {name for shuffle in moved for name in shuffle.inside}
    activations = [(n, i) for n in model.scope.values if (i := ids_of(model, n)) is not None]
    heads = in_heads(model)
    for name, ids in activations:
        if name in heads:
            ties.together(by_channel(ids), f"the heads of '{name}' lose channels alike")
        elif len(axes_of(ids)) > 1 and name not in inside:
            ties.pin(ids, f"the channels of '{name}' lie along several axes")
    unit, stays = ties.settled()
    values = tuple(_apart(unit, stays, {n: i for n, i in activations if n not in inside}))
    return Coupling(
        unit=unit, stays=stays, values=values, met=frozenset(unit[met(model)].tolist()),
        sites=found, shuffles=moved,
    )  # fmt: skip


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
