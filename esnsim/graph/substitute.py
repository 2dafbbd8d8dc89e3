"""Other constants in a model: weights, biases, statistics of BatchNormalization."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from esnsim.graph.model import Model
from esnsim.graph.nodes import reads, tensors
from esnsim.graph.sites import Site, Slot
from esnsim.model.network import Array
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork, codes

#: New values of constants by where they are read.
Changes = Mapping[Slot, Array]


def dequantized(layer: QuantizedLayer) -> Array:
    """Δ·W_int (M, C/g, *kernel) as float32; 0 in pruned filters.

    A folded BatchNormalization's gain is taken out again, as its node still stands in the graph.
    """
    steps = np.where(layer.steps > 0, layer.steps, 0.0)
    stored, gain = layer.layer.weight.codes, layer.layer.weight.gain
    if stored is None or stored.midrise:
        steps = 0.5 * steps  # the codes are q = 2·W_int
    if gain is not None:
        steps = np.divide(steps, gain, out=np.zeros_like(steps), where=gain != 0)
    q = codes(layer)
    return np.asarray((q * steps.reshape(-1, *[1] * (q.ndim - 1))).astype(np.float32))


def dequantized_at(sites: Iterable[Site], quantized: QuantizedNetwork) -> dict[Slot, Array]:
    """Δ·W_int of the layers at some sites, where and as their nodes read it."""
    return {s.slot: s.to_operand(dequantized(quantized.layers[s.index])) for s in sites}


def with_weights(graph: Model, changes: Changes) -> ModelProto:
    """The model with other constants, complete in memory; what nothing reads any more is gone.

    Arrays have the shape that the node reads and are cast to its type. A tensor that only the
    changed node reads keeps its name; else the node gets one of its own. An input that the node
    does not have yet (a convolution's bias) is added.
    """
    model = copied(graph)
    place(graph, model, changes)
    complete(graph, model)
    return model


def copied(graph: Model) -> ModelProto:
    """A copy of the graph's model whose nodes stand at the same places."""
    model = ModelProto()
    model.CopyFrom(graph.proto)
    model.ir_version = max(4, model.ir_version)  # before, initialisers had to be inputs
    return model


def replace_nodes(graph: GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Give a graph other nodes, of which some may be its own."""
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def place(graph: Model, model: ModelProto, changes: Changes) -> None:
    """Put constants into a `copied` model; its nodes stay at their places."""
    for slot, name in renamed(graph, model, changes).items():
        array = np.ascontiguousarray(changes[slot], dtype_of(graph, slot))
        model.graph.initializer.append(numpy_helper.from_array(array, name))


def renamed(graph: Model, model: ModelProto, changes: Changes) -> dict[Slot, str]:
    """Give each slot a name of its own in `model`, a copy of the graph's; no value yet."""
    taken = {name for node in graph.nodes for name in (*node.output, *node.input)}
    uses = Counter(name for node in graph.nodes for name in reads(node))
    uses.update(output.name for output in graph.proto.graph.output)
    stored = {tensor.name for tensor in graph.proto.graph.initializer}
    names: dict[Slot, str] = {}
    for slot in changes:
        node = model.graph.node[slot.place]
        node.input.extend([""] * (slot.input + 1 - len(node.input)))
        old = node.input[slot.input]
        alone = uses[old] == 1 and list(node.input).count(old) == 1 and old in stored
        names[slot] = old if alone else free_name(f"{node.output[0]}.{slot.input}", taken)
        node.input[slot.input] = names[slot]
    mine = set(names.values())
    _keep(model.graph.initializer, lambda tensor: tensor.name not in mine)
    _keep(model.graph.input, lambda info: info.name not in mine)
    return names


def complete(graph: Model, model: ModelProto) -> None:
    """Leave out of a changed copy of the graph's model what nothing reads, and fill in the rest."""
    drop_unread(model.graph)
    for tensor in _all_tensors(model):
        graph.store.fill(tensor)


def drop_unread(graph: GraphProto) -> None:
    """Remove constant nodes and stored tensors that nothing reads."""
    stored = {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    constant = set[int]()
    for place, node in enumerate(graph.node):
        if reads(node) <= stored:
            constant.add(place)
            stored.update(node.output)
    used = {output.name for output in graph.output}
    gone = set[int]()
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if place in constant and not used & set(node.output):
            gone.add(place)
        else:
            used |= reads(node)
    for place in sorted(gone, reverse=True):
        del graph.node[place]
    unread = {t.name for t in graph.initializer} - used
    _keep(graph.initializer, lambda tensor: tensor.name in used)
    _keep(graph.sparse_initializer, lambda sparse: sparse.values.name in used)
    _keep(graph.input, lambda info: info.name not in unread)


def dtype_of(graph: Model, slot: Slot) -> np.dtype[np.generic]:
    """The element type that a node reads there: its own, or for a new input that of the weight."""
    inputs = graph.nodes[slot.place].input
    names = [inputs[i] for i in (slot.input, 1, 0) if i < len(inputs) and inputs[i]]
    known = (graph.scope.get(name).dtype for name in names)
    return next((dtype for dtype in known if dtype is not None), np.dtype(np.float32))


def _all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in model.graph.node:
        yield from tensors(node)


def _keep(items: Any, wanted: Callable[[Any], bool]) -> None:
    """Delete the other items of a repeated field."""
    for place in reversed(range(len(items))):
        if not wanted(items[place]):
            del items[place]


def free_name(name: str, taken: set[str]) -> str:
    """The name, or one like it that is not taken yet; then it is."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name
