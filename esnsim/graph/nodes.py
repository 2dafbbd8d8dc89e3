"""What nodes read and hold, in the graphs inside them too."""

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from esnsim.importer.constants import NOT_CONSTANT


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


def constant_names(graph: GraphProto) -> set[str]:
    """Initialisers, and outputs of nodes that read nothing else and do not draw at random."""
    names = {t.name for t in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    for node in graph.node:
        if node.op_type not in NOT_CONSTANT and reads(node) <= names:
            names.update(name for name in node.output if name)
    return names
