"""A graph run up to each of some layers, that layer alone, and what lies behind it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper

from esnsim.errors import ModelError
from esnsim.evaluate.runtime import open_runtime, run
from esnsim.graph.model import Model
from esnsim.graph.nodes import reads
from esnsim.graph.sites import Site
from esnsim.model.network import Array
from esnsim.run.session import Session, Value, open_session, to_array, to_runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The graph run on one batch up to a layer's operator; `values` are what is read from there."""

    graph: Model
    site: Site
    values: Mapping[str, Value]
    threads: int
    output: str

    def operator(self) -> Callable[[Array], Array]:
        """From other weights (M, C/g, *kernel) to the operator's output on this batch."""
        node, site = self.graph.nodes[self.site.place], self.site
        feeds = {f"input{i}": self._value(name) for i, name in enumerate(node.input) if name}
        model = ModelProto(ir_version=max(4, self.graph.proto.ir_version))
        model.opset_import.extend(self.graph.proto.opset_import)
        model.graph.name = node.output[0]
        model.graph.node.add().CopyFrom(node)
        model.graph.node[0].input[:] = [f"input{i}" if n else "" for i, n in enumerate(node.input)]
        for name, array in feeds.items():
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            model.graph.input.append(helper.make_tensor_value_info(name, kind, None))
        model.graph.output.append(ValueInfoProto(name=node.output[0]))
        session, weight = open_runtime(model, self.threads), f"input{site.input}"
        dtype = feeds[weight].dtype

        def result(weights: Array) -> Array:
            operand = np.ascontiguousarray(site.to_operand(weights), dtype)
            return run(session, [node.output[0]], {**feeds, weight: operand})[0]

        return result

    def rest(self, result: Array) -> Callable[[Array], Array]:
        """From the operator's output on this batch, such as `result`, to the one asked for."""
        place, output = self.site.place, self.output
        name = self.graph.nodes[place].output[0]
        if output == name:
            return lambda result: result
        nodes = _nodes(self.graph, range(place + 1, len(self.graph.nodes)))
        sample = {**self.values, name: to_runtime(result)}
        session = _segment(self.graph, nodes, sample, [output], self.threads)

        def behind(result: Array) -> Array:
            return to_array(session.run({**self.values, name: result})[output])

        return behind

    def _value(self, name: str) -> Array:
        if name in self.values:
            return to_array(self.values[name])
        constant = self.graph.scope.get(name).constant
        assert constant is not None  # a site's other inputs are constant or computed
        return constant.read()


def stages(
    graph: Model, places: Sequence[Site], feed: Mapping[str, Array], threads: int, output: str
) -> Iterator[Stage]:
    """The graph before each of some layers in turn, every node run once, on the way to `output`.

    Layers that do not lead there are left out, those that lead there by several values, and those
    that ONNX Runtime does not get to.
    """
    wanted = {output}
    for node in reversed(graph.nodes):
        if wanted.intersection(node.output):
            wanted |= reads(node)
    places = [site for site in places if wanted.intersection(graph.nodes[site.place].output[:1])]
    places = [
        site for site in places if not wanted.intersection(graph.nodes[site.place].output[1:])
    ]
    values: dict[str, Value] = {name: to_runtime(array) for name, array in feed.items()}
    first = 0
    for site in sorted(places, key=lambda site: site.place):
        nodes = _nodes(graph, range(first, site.place))
        try:
            values = _advanced(graph, values, nodes, site.place, threads, output)
        except ModelError:  # they run with those up to the next layer, perhaps
            continue
        yield Stage(graph=graph, site=site, values=values, threads=threads, output=output)
        first = site.place


def _nodes(graph: Model, places: Iterable[int]) -> list[int]:
    """Those of the nodes that depend on the input."""
    return [place for place in places if not graph.constants.issuperset(graph.nodes[place].output)]


def _advanced(
    graph: Model,
    values: Mapping[str, Value],
    nodes: Sequence[int],
    place: int,
    threads: int,
    output: str,
) -> dict[str, Value]:
    """What is read from `place` on, after these nodes have run."""
    wanted = {name for node in graph.nodes[place:] for name in reads(node)}
    wanted.add(output)
    made = [n for each in nodes for n in graph.nodes[each].output if n in wanted]
    kept = {name: value for name, value in values.items() if name in wanted}
    if not made:
        return kept
    return kept | _segment(graph, nodes, values, made, threads).run(values)


def _segment(
    graph: Model, nodes: Sequence[int], values: Mapping[str, Value], outputs: Sequence[str],
    threads: int,
) -> Session:  # fmt: skip
    """A session of nodes that reads such values."""
    read = {name for place in nodes for name in reads(graph.nodes[place])}
    inputs = {name: to_runtime(v).data_type() for name, v in values.items() if name in read}
    return open_session(graph, nodes, inputs, outputs, threads, optimised=True)
