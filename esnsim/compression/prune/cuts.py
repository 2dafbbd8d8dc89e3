"""What each constant loses with the channels that go: weights, biases, constants of channels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from esnsim.compression.prune.coupling import (
    ALIGNED,
    PER_CHANNEL,
    channels_of,
    filters_of,
    whole_groups,
)
from esnsim.compression.prune.ties import ids_of, kept
from esnsim.compression.prune.units import Coupling
from esnsim.errors import UsageError
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, Slot
from esnsim.model.network import Array, Mask, Network

#: Operators whose constants a masked model sets to 0: scales, shifts and biases.
ZEROED = {"Add", "Conv", "ConvTranspose", "Gemm", "Mul", "Sub"}


@dataclass(frozen=True, slots=True)
class Cut:
    """What stays of a constant along some of its axes; `zero`: the rest is 0 in a masked model."""

    slot: Slot
    keep: Mapping[int, Mask]
    zero: bool = True

    def taken(self, array: Array) -> Array:
        """The part that stays."""
        for axis, mask in self.keep.items():
            array = np.compress(mask, array, axis)
        return array

    def masked(self, array: Array) -> Array:
        """The whole, 0 where it goes."""
        array = np.array(array)
        for axis, mask in self.keep.items():
            np.moveaxis(array, axis, 0)[~mask] = 0
        return array


def alive_ids(network: Network, coupling: Coupling, kept: Sequence[Mask]) -> Mask:
    """Whether each channel id (ids,) stays, for the filters (M,) that stay in each layer.

    Raises UsageError for masks that do not fit the network or tear a unit apart.
    """
    if len(kept) != len(network.layers):
        raise UsageError(f"{len(kept)} masks for {len(network.layers)} layers: give one for each")
    gone, stay = set[int](), set(coupling.stays)
    for layer, mask in zip(network.layers, kept, strict=True):
        if mask.shape != (layer.filters,):
            raise UsageError(
                f"layer '{layer.name}' has {layer.filters} filters but its mask is {mask.shape}"
            )
        unit = coupling.of(layer)
        gone.update(unit[~mask].tolist())
        stay.update(unit[mask].tolist())
    torn = gone & stay
    if torn:
        layer = next(x for x in network.layers if torn & set(coupling.of(x).tolist()))
        why = next((coupling.stays[u] for u in torn if u in coupling.stays), "others stay")
        raise UsageError(
            f"filters of layer '{layer.name}' can't go alone ({why}): keep units whole, as "
            "esnsim.compression.prune.prune.choose does"
        )
    if any(gone.issuperset(value.tolist()) for value in coupling.values):
        raise UsageError("no channel of a layer would be left: keep at least one")
    return ~np.isin(coupling.unit, list(gone))


def cuts(graph: Model, coupling: Coupling, alive: Mask) -> Iterator[Cut]:
    """The constants that change."""
    at = {site.place: site for site in coupling.sites}
    for place, node in enumerate(graph.nodes):
        made = _layer(graph, at[place], alive) if place in at else _node(graph, place, node, alive)
        yield from (cut for cut in made if not all(mask.all() for mask in cut.keep.values()))


def _layer(graph: Model, site: Site, alive: Mask) -> Iterator[Cut]:
    channels = channels_of(graph, site)
    filters = alive[filters_of(site.layer)]
    reads = np.ones(len(site.layer.channels), np.bool_) if channels is None else alive[channels]
    if filters.all() and reads.all():
        return
    yield Cut(site.slot, _weight(site, filters, reads))
    if site.bias is not None:
        yield from _aligned(graph, Slot(site.place, site.bias), alive)


def _weight(site: Site, filters: Mask, reads: Mask) -> dict[int, Mask]:
    """What stays along the first two axes of a weight as its node reads it."""
    layer, groups = site.layer, site.layer.geometry.groups
    transposed = layer.op == "ConvTranspose"
    first, second = (reads, filters) if transposed or site.columns else (filters, reads)
    if groups == 1:
        return {0: first, 1: second}
    return {0: first} if whole_groups(layer) else {0: first, 1: second.reshape(groups, -1)[0]}


def _node(graph: Model, place: int, node: NodeProto, alive: Mask) -> Iterator[Cut]:
    if node.op_type in PER_CHANNEL:
        found = kept(graph, node.input[0], alive)
        if found is not None:
            for index in range(1, 1 + PER_CHANNEL[node.op_type]):
                yield Cut(Slot(place, index), {0: found.mask}, index < 3)
    elif node.op_type in ALIGNED:
        for index in range(len(node.input)):
            yield from _aligned(graph, Slot(place, index), alive)


def _aligned(graph: Model, slot: Slot, alive: Mask) -> Iterator[Cut]:
    """A constant that is broadcast against the output of its node."""
    node = graph.nodes[slot.place]
    found, name = kept(graph, node.output[0], alive), node.input[slot.input]
    constant = graph.scope.get(name).constant
    if found is None or constant is None or name not in graph.constants:
        return
    ids = ids_of(graph, node.output[0])
    assert ids is not None
    convolution = node.op_type in ("Conv", "ConvTranspose")
    axis = 0 if convolution else found.axis - ids.ndim + len(constant.shape)
    if axis >= 0 and constant.shape[axis] > 1:
        yield Cut(slot, {axis: found.mask}, node.op_type in ZEROED)
