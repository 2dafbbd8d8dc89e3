"""A pruned model: masked, with zeros in place of what goes, or smaller, without it."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from esnsim.compression.prune.cuts import alive_ids, cuts
from esnsim.compression.prune.resize import Pick, picks, resized
from esnsim.compression.prune.shuffles import Shuffle
from esnsim.compression.prune.ties import kept as kept_of
from esnsim.compression.prune.ties import shape_of
from esnsim.compression.prune.units import couple
from esnsim.errors import ModelError
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.graph.nodes import reads
from esnsim.graph.sites import Slot
from esnsim.graph.substitute import Changes, complete, copied, renamed, replace_nodes
from esnsim.model.network import Array, Mask


def masked(graph: Model, kept: Sequence[Mask]) -> ModelProto:
    """The model with zeros in place of all that filters not `kept` (M,) would take with them.

    Their weights and biases, scale and shift of their BatchNormalization, the weights that read
    them. Raises UsageError for masks that tear a unit apart.
    """
    coupling = couple(graph)
    found = cuts(graph, coupling, alive_ids(graph.network, coupling, kept))
    zeroed = {c.slot: c.masked(_array(graph, c.slot)) for c in found if c.zero}
    return _finished(graph, *_changed(graph, zeroed))


def shrink(graph: Model, kept: Sequence[Mask]) -> Model:
    """The model without the filters not `kept` (M,), whose outputs are those of `masked`.

    Raises UsageError for masks that tear a unit apart, ModelError where a shape of the smaller
    model comes out wrong.
    """
    coupling = couple(graph)
    alive = alive_ids(graph.network, coupling, kept)
    found = [*resized(graph, coupling, alive)]
    arrays = {c.slot: c.taken(_array(graph, c.slot)) for c in cuts(graph, coupling, alive)}
    arrays |= {Slot(n.place, n.input): n.values for n in found if n.input is not None}
    model, origins = _changed(graph, arrays)
    for number in found:
        if number.input is None:
            _set(model.graph.node[number.place], number.name, number.values.tolist())
        elif number.name == "split":
            _set(model.graph.node[number.place], "num_outputs", None)
    cut_shuffles = [s for s in coupling.shuffles if kept_of(graph, s.source, alive)]
    _rebuild(model.graph, graph, alive, cut_shuffles, [*picks(graph, alive)])
    model = _finished(graph, model, origins)
    _declare(model.graph, graph, alive)
    smaller = graph.reopened(model)
    _check(graph, smaller, alive)
    return smaller


@accepts_pair
def shrunk(model: Model, kept: Sequence[Mask]) -> ModelProto:
    """What `shrink` gives, as ONNX."""
    return shrink(model, kept).proto


def _array(graph: Model, slot: Slot) -> Array:
    constant = graph.scope.get(graph.nodes[slot.place].input[slot.input]).constant
    assert constant is not None
    return constant.read()


def _changed(graph: Model, changes: Changes) -> tuple[ModelProto, dict[str, str]]:
    """The model with other constants, nodes in their places; which stored tensor each came from.

    What came from one tensor and is still alike is stored once.
    """
    model = copied(graph)
    stored: dict[tuple[object, ...], str] = {}
    origins: dict[str, str] = {}
    for slot, name in renamed(graph, model, changes).items():
        array = np.asarray(changes[slot], order="C")
        origin = _origin(graph, slot)
        key = (origin or slot, array.dtype.str, array.shape, sha256(array.tobytes()).digest())
        model.graph.node[slot.place].input[slot.input] = stored.setdefault(key, name)
        if stored[key] == name:
            origins[name] = origin
            model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model, origins


def _origin(graph: Model, slot: Slot) -> str:
    inputs = graph.nodes[slot.place].input
    name = inputs[slot.input] if slot.input < len(inputs) else ""
    constant = graph.scope.get(name).constant if name else None
    return "" if constant is None else constant.origin


def _finished(graph: Model, model: ModelProto, origins: Mapping[str, str]) -> ModelProto:
    """Without what nothing reads any more, and with the old names where they are free."""
    read_before = {name for node in graph.nodes for name in reads(node)}
    read_before |= {output.name for output in graph.proto.graph.output}
    _drop_dead(model.graph, read_before)
    complete(graph, model)
    taken = {t.name for t in model.graph.initializer} | {i.name for i in model.graph.input}
    taken |= {name for node in model.graph.node for name in node.output}
    new: dict[str, str] = {}
    for name, origin in origins.items():
        if origin and origin not in taken:
            new[name] = origin
            taken.add(origin)
    for tensor in model.graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    for node in model.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
    return model


def _drop_dead(graph: GraphProto, read_before: set[str]) -> None:
    """Remove nodes whose outputs were read, and are not any more."""
    used = {output.name for output in graph.output}
    alive: list[NodeProto] = []
    for node in reversed(graph.node):
        if used.isdisjoint(node.output) and not read_before.isdisjoint(node.output):
            continue
        used |= reads(node)
        alive.append(node)
    if len(alive) < len(graph.node):
        replace_nodes(graph, alive[::-1])


def _rebuild(
    target: GraphProto, graph: Model, alive: Mask, shuffles: Sequence[Shuffle], picked: list[Pick]
) -> None:
    """Gathers in place of shuffles, and before inputs that lose constant channels."""
    if not shuffles and not picked:
        return
    before: dict[int, list[NodeProto]] = {}
    instead = {s.place for s in shuffles}
    for s in shuffles:
        found = kept_of(graph, s.source, alive)
        assert found is not None
        stays = s.positions[found.mask[s.positions]]
        index = np.cumsum(found.mask)[stays] - 1
        before.setdefault(s.place, []).append(_gather(target, s.source, s.output, s.axis, index))
    for pick in picked:
        node = target.node[pick.place]
        name = f"{node.output[0]}.{pick.input}.kept"
        made = _gather(target, node.input[pick.input], name, pick.axis, pick.positions)
        before.setdefault(pick.place, []).append(made)
        node.input[pick.input] = name
    nodes: list[NodeProto] = []
    for place, node in enumerate(target.node):
        nodes += before.get(place, [])
        nodes += [] if place in instead else [node]
    replace_nodes(target, nodes)


def _gather(target: GraphProto, source: str, output: str, axis: int, index: Array) -> NodeProto:
    name = f"{output}.channels"
    target.initializer.append(numpy_helper.from_array(index.astype(np.int64), name))
    return helper.make_node("Gather", [source, name], [output], axis=axis)


def _set(node: NodeProto, name: str, value: object) -> None:
    """Set an attribute, or remove it where the value is None."""
    others = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(others)
    if value is not None:
        node.attribute.append(helper.make_attribute(name, value))


def _declare(target: GraphProto, graph: Model, alive: Mask) -> None:
    """Correct the shapes that the file declares, and drop those of what is gone or computed."""
    known = {name for node in target.node for name in node.output}
    infos = [i for i in target.value_info if i.name in known and _activation(graph, i.name)]
    del target.value_info[:]
    target.value_info.extend(infos)
    for info in target.value_info:
        found = kept_of(graph, info.name, alive)
        dims = info.type.tensor_type.shape.dim
        if found is not None and found.axis < len(dims):
            dims[found.axis].dim_value = found.size


def _activation(graph: Model, name: str) -> bool:
    return graph.scope.get(name).constant is None or name in graph.constants


def _check(graph: Model, smaller: Model, alive: Mask) -> None:
    """Every value has the shape that it should have."""
    for name, value in smaller.scope.values.items():
        if graph.scope.get(name).constant is not None:
            continue
        shape = shape_of(graph, name, alive)
        if shape not in (None, value.shape):
            raise ModelError(
                f"without these filters '{name}' would be of shape {value.shape} in place of "
                f"{shape}: use the masked model, and report this"
            )
