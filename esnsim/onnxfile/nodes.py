"""What nodes read, the graphs and tensors that they hold, and the order that they stand in."""

from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from esnsim.errors import ModelError


def graphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node holds as attributes."""
    for item in node.attribute:
        yield from [item.g] if item.type == AttributeProto.GRAPH else []
        yield from item.graphs


def reads(node: NodeProto) -> set[str]:
    """The names of the values that a node reads, in the graphs that it holds too."""
    names = {name for name in node.input if name}
    for graph in graphs_of(node):
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
    for graph in graphs_of(node):
        yield from graph.initializer
        yield from (part for s in graph.sparse_initializer for part in (s.values, s.indices))
        for child in graph.node:
            yield from tensors(child)


def check_names(inputs: Iterable[str], stored: Iterable[str], nodes: Iterable[NodeProto]) -> None:
    """Raise ModelError where two inputs or nodes, or one and a stored tensor, have one name."""
    seen = set[str]()
    given = list(inputs)
    for names in (given, {*stored}.difference(given), *(node.output for node in nodes)):
        for name in filter(None, names):
            if name in seen:
                raise twice(name)
            seen.add(name)


def twice(name: str) -> ModelError:
    """The error for a name that has two definitions."""
    return ModelError(
        f"'{name}' is defined twice: ONNX allows one definition of a name; export the model again"
    )


def repeated(graph: GraphProto) -> list[str]:
    """What a graph lists twice though one would do, in words: ONNX Runtime takes the last."""
    kinds = {"initialiser": stored_names(graph), "output": [o.name for o in graph.output]}
    return [
        f"the {kind} '{name}' is listed {count} times: the last one counts"
        for kind, names in kinds.items()
        for name, count in Counter(names).items()
        if count > 1
    ]


def stored_names(graph: GraphProto) -> list[str]:
    """The names of the tensors that a graph stores."""
    return [
        *(t.name for t in graph.initializer),
        *(s.values.name for s in graph.sparse_initializer),
    ]


def order_of(graph: GraphProto) -> list[int] | None:
    """Places of the nodes, each after those that it reads; None where they stand so already.

    Raises ModelError for a cycle.
    """
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    needs = {
        place: {makers[name] for name in reads(node) if name in makers}
        for place, node in enumerate(graph.node)
    }
    if all(max(before, default=-1) < place for place, before in needs.items()):
        return None
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        node = graph.node[error.args[1][0]]
        name = next(filter(None, node.output), "")
        raise ModelError(
            f"{node.op_type} gives '{name}' and reads what depends on it: the graph has a "
            "cycle; export the model again"
        ) from None


def _defined(graph: GraphProto) -> set[str]:
    names = {name for node in graph.node for name in node.output}
    return names | {info.name for info in graph.input} | {*stored_names(graph)}
