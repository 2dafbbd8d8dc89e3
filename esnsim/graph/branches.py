"""The branches that the inputs' shapes and values choose, in place of the Ifs that hold them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, helper
from onnx.numpy_helper import to_array

from esnsim.errors import ModelError
from esnsim.graph.model import Model, Shapes, open_model
from esnsim.graph.substitute import copied, drop_unread, free_name, replace_nodes
from esnsim.importer.constants import attribute
from esnsim.importer.inputs import UNNAMED
from esnsim.importer.read import explore
from esnsim.importer.scope import first_output, label
from esnsim.onnxfile.load import Loaded
from esnsim.onnxfile.nodes import graphs_of, reads, stored_names

BRANCHES = ("then_branch", "else_branch")
INTEGERS = (TensorProto.INT32, TensorProto.INT64)
FEW_NUMBERS = 4  # numbers of a tensor that a size may be compared with
LARGEST_SIZE = 1 << 16  # size that is tried

#: Which branch an If takes, by the path of nodes that leads to it.
Chosen = Mapping[str, int]


def specialised(model: Model) -> Model:
    """The model for the inputs' shapes and values that it was opened with, each branch that they
    choose in place of its If; the model itself where they choose none.

    Free sizes that the choice depends on are fixed, and what only the choice, or the other branch,
    read is gone. Inputs stay, so that who runs the model feeds it as before.
    """
    if all(node.op_type != "If" for node in model.nodes):
        return model
    chosen, proto = _chosen(model, model.input_shapes) or {}, copied(model)
    work = _Inlining(proto.graph, chosen)
    if not work.taken:
        return model
    fixed = _fix_sizes(model, proto.graph, {at: chosen[at] for at in work.taken})
    unread = _drop_orphans(proto.graph, work.read)
    drop_unread(proto.graph)
    values = model.network.source.input_values
    fixed += [f"'{name}' of {value:g}" for name, value in values if name not in unread]
    edit = _told([*work.taken.values()], unread, fixed)
    return replace(_opened(model, proto), edits=(*model.edits, edit))


def _opened(model: Model, proto: ModelProto) -> Model:
    """The edited model, its tensors where they were."""
    source = model.network.source
    loaded = Loaded(proto, model.store, source.path, source.size_bytes)
    return open_model(loaded, dict(source.inputs), dict(source.input_values))


def _chosen(model: Model, shapes: Shapes) -> Chosen | None:
    """The branches that shapes choose, None where they do not fit."""
    try:
        values = dict(model.network.source.input_values)
        return explore(model.proto, model.store, shapes, values)[1].chosen
    except ModelError:
        return None


class _Inlining:
    """A graph in which chosen branches take the place of their Ifs, to any depth.

    `taken` are the names of the Ifs that are gone, by their path, `read` is what they read.
    """

    def __init__(self, graph: GraphProto, chosen: Chosen) -> None:
        self.taken: dict[str, str] = {}
        self.read: set[str] = set()
        self._chosen = chosen
        self._defined = Counter(_definitions(graph))
        self._names = {*self._defined, *(name for node in graph.node for name in reads(node))}
        self._labels = {node.name for node in graph.node}
        self._inline(graph, "")

    def _inline(self, graph: GraphProto, path: str) -> None:
        nodes = list[NodeProto]()
        for node in graph.node:
            at = path + first_output(node)
            if node.op_type != "If" or at not in self._chosen:
                nodes.append(node)
                continue
            branch = self._chosen[at]
            self.taken[at] = label(node)
            self.read |= reads(node)
            body, other = (_graph(node, BRANCHES[side]) for side in (branch, 1 - branch))
            self._defined -= Counter(_definitions(other))
            self._inline(body, f"{at}.{BRANCHES[branch]}/")
            nodes += self._moved(body, node.output)
            graph.initializer.extend(body.initializer)
            graph.sparse_initializer.extend(body.sparse_initializer)
            graph.value_info.extend(body.value_info)
        replace_nodes(graph, nodes)

    def _moved(self, body: GraphProto, outputs: Sequence[str]) -> Iterator[NodeProto]:
        """A branch's nodes, its values under names that nothing else has."""
        results = [result.name for result in body.output]
        made = {name for node in body.node for name in node.output if name}
        names = {name: self._name(name) for name in (*made, *stored_names(body))}
        for node in body.node:
            node.name = free_name(label(node), self._labels)  # its outputs may get other names
        for result, output in zip(results, outputs, strict=False):
            if output and result in made and results.count(result) == 1:
                names[result] = output
        _rename(body, names)
        yield from body.node
        for result, output in zip(results, outputs, strict=False):
            if output and names.get(result) != output:
                yield helper.make_node("Identity", [names.get(result, result)], [output])

    def _name(self, name: str) -> str:
        """The name where it has one definition, else a new one."""
        return name if self._defined[name] <= 1 else free_name(name, self._names)


def _graph(node: NodeProto, name: str) -> GraphProto:
    found = attribute(node, name)
    assert isinstance(found, GraphProto)  # the walk has seen both
    return found


def _definitions(graph: GraphProto) -> Iterator[str]:
    """The names that a graph defines, and the graphs inside it."""
    yield from {*(info.name for info in graph.input), *stored_names(graph)}
    for node in graph.node:
        yield from filter(None, node.output)
        for inner in graphs_of(node):
            yield from _definitions(inner)


def _rename(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Other names for values of a graph, in the graphs inside it too."""
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
        for inner in graphs_of(node):
            _rename(inner, names)
    stored = [*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)]
    for tensor in stored:
        tensor.name = names.get(tensor.name, tensor.name)
    for info in (*graph.value_info, *graph.output):
        info.name = names.get(info.name, info.name)


def _drop_orphans(graph: GraphProto, orphans: set[str]) -> set[str]:
    """Remove what gave only these values, where nothing reads them; inputs that nothing reads."""
    uses = Counter(name for node in graph.node for name in reads(node))
    uses.update(output.name for output in graph.output)
    orphans, kept = set(orphans), list[NodeProto]()
    for node in reversed(graph.node):
        outputs = set(filter(None, node.output))
        if outputs & orphans and not any(uses[name] for name in outputs):
            uses.subtract(reads(node))
            orphans |= reads(node)
        else:
            kept.append(node)
    replace_nodes(graph, kept[::-1])
    return {info.name for info in graph.input if info.name in orphans and not uses[info.name]}


def _fix_sizes(model: Model, graph: GraphProto, taken: Chosen) -> list[str]:
    """Fix each free size of which another would choose otherwise; which these are, in words.

    Tried are its double, and sizes at and beside the numbers that conditions are computed from.
    """
    tried = sorted({number + more for number in _numbers(model.proto.graph) for more in (-1, 0, 1)})
    tried = [size for size in tried if size > 0]
    free: dict[object, list[tuple[str, int, TensorShapeProto.Dimension]]] = {}
    for info in graph.input:
        for axis, dim in enumerate(info.type.tensor_type.shape.dim):
            if dim.dim_value <= 0:
                named = dim.dim_param if dim.dim_param not in UNNAMED else ""
                free.setdefault(named or (info.name, axis), []).append((info.name, axis, dim))
    fixed = list[str]()
    for places in free.values():
        places = [place for place in places if place[0] in model.input_shapes]
        double = 2 * max((model.input_shapes[name][axis] for name, axis, _ in places), default=1)

        def otherwise(size: int, unfit: Chosen, places: Sequence[Any] = places) -> bool:
            other = _chosen(model, _resized(model, places, size)) or unfit
            return any(other.get(at) != taken[at] for at in taken)

        if otherwise(double, {}) or any(otherwise(size, taken) for size in tried):
            for name, axis, dim in places:
                dim.dim_value = model.input_shapes[name][axis]
                fixed.append(f"'{name}' of {dim.dim_value} along axis {axis}")
    return fixed


def _resized(
    model: Model, places: Sequence[tuple[str, int, object]], size: int
) -> dict[str, tuple[int, ...]]:
    """The inputs' shapes with another size at some places."""
    shapes = {name: [*shape] for name, shape in model.input_shapes.items()}
    for name, axis, _ in places:
        shapes[name][axis] = size
    return {name: tuple(shape) for name, shape in shapes.items()}


def _numbers(graph: GraphProto) -> set[int]:
    """The integers from which the conditions of Ifs are computed, and 1."""
    graphs = [graph]
    for each in graphs:
        graphs += [inner for node in each.node for inner in graphs_of(node)]
    nodes = [node for each in graphs for node in each.node]
    makers = {name: node for node in nodes for name in node.output}
    stored = {tensor.name: tensor for each in graphs for tensor in each.initializer}
    names = [node.input[0] for node in nodes if node.op_type == "If"]
    seen, found = set(names), {1}
    for name in names:
        node, tensors = makers.get(name), [stored[name]] if name in stored else []
        for value in node.attribute if node and node.op_type == "Constant" else ():
            found.update((value.i, *value.ints))
            tensors += [value.t] if value.name == "value" else []
        for tensor in tensors:
            if tensor.data_type in INTEGERS and prod(tensor.dims) <= FEW_NUMBERS:
                found.update(_whole_numbers(tensor))
        names += (more := (reads(node) if node else set()) - seen)
        seen |= more
    return {number for number in found if 0 < number <= LARGEST_SIZE}


def _whole_numbers(tensor: TensorProto) -> list[int]:
    """The values of a tensor that lies in the model's file."""
    external = tensor.data_location == TensorProto.EXTERNAL
    return [] if external else [int(value) for value in to_array(tensor).ravel()]


def _told(taken: list[str], unread: set[str], sizes: list[str]) -> str:
    more = f" and {len(taken) - 1} more" if taken[1:] else ""
    inputs = f"; nothing reads input {', '.join(map(repr, sorted(unread)))}" if unread else ""
    fixed = f", for {', '.join(sizes)}" if sizes else ""
    return (
        f"If '{taken[0]}'{more}: the branch that the inputs' shapes and values choose is all "
        f"that is written{fixed}{inputs}"
    )
