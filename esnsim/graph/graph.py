"""The top level of a model as it is cut: its nodes in order, and which values are constant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, inliner

from esnsim.errors import UsageError
from esnsim.importer import Loaded, explore
from esnsim.importer.constants import NOT_CONSTANT
from esnsim.importer.record import Record
from esnsim.importer.scope import Scope
from esnsim.model.network import Layer, Network
from esnsim.onnxfile.tensors import Store


@dataclass(frozen=True, slots=True)
class Graph:
    """A model with its local functions inlined, and what the importer knows of its values.

    `producers` gives the place of the node that makes a value; `constants` are the names of
    what does not depend on the network's input, initialisers included.
    """

    proto: ModelProto
    store: Store
    scope: Scope
    producers: Mapping[str, int]
    constants: frozenset[str]

    @property
    def nodes(self) -> Sequence[NodeProto]:
        """The nodes by their place."""
        return self.proto.graph.node


def graph_of(loaded: Loaded, network: Network) -> Graph:
    """The graph that a network was read from.

    Raises UsageError where the network was read from another model.
    """
    proto = loaded.proto
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    scope, record, _ = explore(proto, loaded.store, dict(network.source.inputs))
    _check_same(loaded, record, network)
    nodes = proto.graph.node
    producers = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    return Graph(proto, loaded.store, scope, producers, frozenset(_constants(proto.graph)))


def reads(node: NodeProto) -> set[str]:
    """The names of the values that a node reads, in the graphs that it holds too."""
    names = {name for name in node.input if name}
    for graph in _graphs(node):
        inner = {name for child in graph.node for name in reads(child)}
        inner |= {output.name for output in graph.output}
        names |= inner - _defined(graph)
    return names


def tensors(node: NodeProto) -> Iterator[TensorProto]:
    """The tensors that a node holds, in the graphs that it holds too."""
    for item in node.attribute:
        sparse = [item.sparse_tensor] if item.type == AttributeProto.SPARSE_TENSOR else []
        yield from [item.t] if item.type == AttributeProto.TENSOR else []
        yield from item.tensors
        yield from (part for s in (*sparse, *item.sparse_tensors) for part in (s.values, s.indices))
    for graph in _graphs(node):
        yield from graph.initializer
        yield from (part for s in graph.sparse_initializer for part in (s.values, s.indices))
        for child in graph.node:
            yield from tensors(child)


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for item in node.attribute:
        yield from [item.g] if item.type == AttributeProto.GRAPH else []
        yield from item.graphs


def _defined(graph: GraphProto) -> set[str]:
    names = {name for node in graph.node for name in node.output}
    names |= {info.name for info in graph.input} | {t.name for t in graph.initializer}
    return names | {sparse.values.name for sparse in graph.sparse_initializer}


def _constants(graph: GraphProto) -> set[str]:
    """Initialisers, and outputs of nodes that read nothing else and do not draw at random."""
    names = {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    for node in graph.node:
        if node.op_type not in NOT_CONSTANT and reads(node) <= names:
            names.update(name for name in node.output if name)
    return names


def _check_same(loaded: Loaded, record: Record, network: Network) -> None:
    def key(layer: Layer) -> tuple[object, ...]:
        return layer.op, layer.weight.shape, layer.geometry

    if [*map(key, record.layers)] != [*map(key, network.layers)]:
        raise UsageError(
            f"the network was not read from {loaded.title}, whose layers differ: give the model "
            "that read_onnx was given"
        )
