"""The numbers of channels that nodes name: groups, target shapes, sizes of parts, indices."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from esnsim.compression.prune.coupling import filters_of, slice_bounds, whole_groups
from esnsim.compression.prune.ties import kept, shape_of
from esnsim.compression.prune.units import Coupling
from esnsim.graph.model import Model
from esnsim.graph.sites import Site
from esnsim.importer.channels import ELEMENTWISE
from esnsim.importer.constants import attribute, evaluate
from esnsim.model.network import Array, Mask


@dataclass(frozen=True, slots=True)
class Number:
    """New values of an attribute of the node at `place`, or of its input `input` where given."""

    place: int
    name: str
    values: Array
    input: int | None = None


@dataclass(frozen=True, slots=True)
class Pick:
    """An input of a node that has to lose channels on the way: the positions that stay."""

    place: int
    input: int
    axis: int
    positions: Array


#: Values of a node's numbers by (input, attribute in older opsets).
Values = Mapping[tuple[int, str], Array | list[int]]
Rule = Callable[[Model, NodeProto, Mask], Values]


def resized(graph: Model, coupling: Coupling, alive: Mask) -> Iterator[Number]:
    """The numbers that change, outside of shuffles, which are replaced."""
    replaced = {name for s in coupling.shuffles for name in (s.output, *s.inside)}
    for site in coupling.sites:
        groups = _groups(graph, site, alive)
        if groups != site.layer.geometry.groups:
            yield Number(site.place, "group", np.array(groups))
    for place, node in enumerate(graph.nodes):
        if node.op_type not in RULES or not replaced.isdisjoint(node.output):
            continue
        if not any(kept(graph, name, alive) for name in (node.input[0], *node.output) if name):
            continue
        for (index, name), values in RULES[node.op_type](graph, node, alive).items():
            yield _number(graph, place, index, name, np.asarray(values, np.int64))


def picks(graph: Model, alive: Mask) -> Iterator[Pick]:
    """Inputs whose added constant channels meet channels that go (a padded shortcut)."""
    for place, node in enumerate(graph.nodes):
        found = kept(graph, node.output[0], alive) if node.op_type in ELEMENTWISE else None
        if found is None:
            continue
        rank = len(graph.scope.get(node.output[0]).shape or ())
        for index, name in enumerate(node.input):
            value = graph.scope.get(name)
            axis = found.axis + len(value.shape or ()) - rank
            if value.constant is not None or axis < 0 or value.shape is None:
                continue
            own = kept(graph, name, alive)
            has = own.mask if own else np.ones(value.shape[axis], np.bool_)
            if len(has) > 1 and not np.array_equal(has, found.mask):
                yield Pick(place, index, axis, np.flatnonzero(found.mask[has]))


def _number(graph: Model, place: int, index: int, name: str, values: Array) -> Number:
    node = graph.nodes[place]
    held = index < len(node.input) and node.input[index]
    if attribute(node, name) is not None or (not held and graph.scope.opsets.get("", 13) < 13):
        return Number(place, name, values)
    dtype = graph.scope.get(node.input[index]).dtype if held else None
    return Number(place, name, values.astype(dtype or np.int64), index)


def _groups(graph: Model, site: Site, alive: Mask) -> int:
    layer, groups = site.layer, site.layer.geometry.groups
    if not whole_groups(layer):
        return groups
    return int(alive[filters_of(layer)].reshape(groups, -1).any(axis=1).sum())


def _given(graph: Model, node: NodeProto, index: int, name: str) -> list[int]:
    """Integers that are an attribute in old opsets and an input in new ones."""
    given = attribute(node, name)
    if isinstance(given, list):
        return list(given)
    constant = graph.scope.get(node.input[index]).constant if index < len(node.input) else None
    return [] if constant is None else [int(n) for n in constant.read().ravel()]


def _reshape(graph: Model, node: NodeProto, alive: Mask) -> Values:
    """−1 and 0 stay where they fit, and so do sizes that the network computes as it runs.

    Of computed ones that don't, those that are the input's become 0, a copy, and one other −1.
    """
    found = kept(graph, node.output[0], alive)
    target = _given(graph, node, 1, "shape")
    x, source = graph.scope.get(node.input[0]).shape, kept(graph, node.input[0], alive)
    assert x is not None
    assert found is not None
    computed = len(node.input) > 1 and node.input[1] not in graph.constants
    if computed and _follows(graph, node, alive):
        return {}
    copies = not attribute(node, "allowzero", 0)
    for axis, size in enumerate(target):
        if axis == found.axis:
            copied = size == 0 and source is not None and source.axis == axis
            target[axis] = size if size == -1 or copied else found.size
        elif computed:
            same = copies and x[axis : axis + 1] == (size,)
            target[axis] = 0 if same else size if -1 in target else -1
    return {(1, "shape"): target}


def _follows(graph: Model, node: NodeProto, alive: Mask) -> bool:
    """Whether the computed sizes of a Reshape come out right after pruning."""
    target = _computed(graph, node.input[1], alive, {})
    x, y = (shape_of(graph, name, alive) or () for name in (node.input[0], node.output[0]))
    if target is None or len(target) != len(y):
        return False
    copied = [*x, *[-1] * len(y)]
    return all(
        t in (-1, size) or (t == 0 and copied[axis] == size)
        for axis, (t, size) in enumerate(zip(target.tolist(), y, strict=True))
    )


def _computed(graph: Model, name: str, alive: Mask, known: dict[str, Array | None]) -> Array | None:
    """A value that follows from shapes alone, after pruning; None where it is unknown."""
    if name not in known:
        constant, place = graph.scope.get(name).constant, graph.producers.get(name)
        known[name] = None
        if name in graph.constants and constant is not None:
            known[name] = constant.read()
        elif place is not None and constant is not None:
            node = graph.nodes[place]
            known[name] = _run(graph, node, [*node.output].index(name), alive, known)
    return known[name]


def _run(
    graph: Model, node: NodeProto, output: int, alive: Mask, known: dict[str, Array | None]
) -> Array | None:
    if node.op_type == "Shape":
        shape = shape_of(graph, node.input[0], alive)
        start, end = (attribute(node, name) for name in ("start", "end"))
        return None if shape is None else np.array(shape, np.int64)[start:end]
    arrays = [_computed(graph, name, alive, known) if name else None for name in node.input]
    if any(name and array is None for name, array in zip(node.input, arrays, strict=True)):
        return None
    results = evaluate(node, arrays, graph.scope.opsets)
    return results[output] if output < len(results) else None


def _expand(graph: Model, node: NodeProto, alive: Mask) -> Values:
    found, target = kept(graph, node.output[0], alive), _given(graph, node, 1, "shape")
    shape = graph.scope.get(node.output[0]).shape or ()
    if found is None or node.input[1] not in graph.constants:
        return {}
    axis = found.axis - len(shape) + len(target)
    if axis < 0 or target[axis] == 1:
        return {}
    target[axis] = found.size
    return {(1, "shape"): target}


def _resize(graph: Model, node: NodeProto, alive: Mask) -> Values:
    found, sizes = kept(graph, node.output[0], alive), _given(graph, node, 3, "sizes")
    axes = attribute(node, "axes")
    axes = axes if isinstance(axes, list) else list(range(len(sizes)))
    if found is None or not sizes or node.input[3] not in graph.constants or found.axis not in axes:
        return {}
    sizes[axes.index(found.axis)] = found.size
    return {(3, "sizes"): sizes}


def _split(graph: Model, node: NodeProto, alive: Mask) -> Values:
    shape = graph.scope.get(node.input[0]).shape or ()
    given = attribute(node, "axis", 0)
    axis = given % len(shape) if isinstance(given, int) else 0
    source = kept(graph, node.input[0], alive)
    if source is None or source.axis != axis:
        return {}
    sizes = [(graph.scope.get(name).shape or ())[axis] for name in node.output]
    parts = np.split(source.mask, np.cumsum(sizes)[:-1])
    return {(1, "split"): [int(part.sum()) for part in parts]}


def _slice(graph: Model, node: NodeProto, alive: Mask) -> Values:
    source, bounds = kept(graph, node.input[0], alive), slice_bounds(graph, node)
    if source is None or bounds is None or source.axis not in [b[0] for b in bounds]:
        return {}
    starts, ends = [b[1] for b in bounds], [b[2] for b in bounds]
    at, size = [b[0] for b in bounds].index(source.axis), len(source.mask)
    first, last, _ = slice(starts[at], ends[at]).indices(size)
    starts[at], ends[at] = int(source.mask[:first].sum()), int(source.mask[:last].sum())
    return {(1, "starts"): starts, (2, "ends"): ends}


def _gather(graph: Model, node: NodeProto, alive: Mask) -> Values:
    source, constant = kept(graph, node.input[0], alive), graph.scope.get(node.input[1]).constant
    given = attribute(node, "axis", 0)
    rank = len(graph.scope.get(node.input[0]).shape or ())
    if (
        source is None
        or constant is None
        or not isinstance(given, int)
        or source.axis != given % rank
    ):
        return {}
    index = constant.read() % len(source.mask)
    taken = index if index.ndim == 0 else index[source.mask[index]]
    return {(1, "indices"): np.cumsum(source.mask)[taken] - 1}


RULES: dict[str, Rule] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "Resize": _resize,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
}
