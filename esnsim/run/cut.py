"""A graph cut at its MAC operators: ONNX Runtime for all between them, a function for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ValueInfoProto

from esnsim.errors import ModelError, UsageError
from esnsim.graph.model import Model
from esnsim.model.network import Array, Skipped
from esnsim.onnxfile.tensors import type_name
from esnsim.run.macs import PLACES, CannotCutError, MacNode, read_mac
from esnsim.run.plan import plan_of
from esnsim.run.session import Session, Value, open_session, to_array

#: Gives a MAC operator's output from its activation and its other inputs that are not constant,
#: by their place (see MacNode.dynamic).
Compute = Callable[[MacNode, Array, Mapping[int, Array]], Array]


@dataclass(frozen=True, slots=True)
class Level:
    """All that can run once the MAC operators before have: a segment, then MAC operators.

    `last` are the values that nothing reads afterwards.
    """

    segment: Session | None
    macs: tuple[MacNode, ...]
    last: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutGraph:
    """A graph in segments, and the MAC operators between them in the order in which they run.

    `sessions` are those of single MAC operators, by their index, which all runs share.
    """

    graph: Model
    levels: tuple[Level, ...]
    not_simulated: tuple[Skipped, ...]
    inputs: Mapping[str, str]  # ONNX Runtime's types by name
    threads: int
    sessions: dict[int, Session] = field(default_factory=dict, compare=False, repr=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return self.graph.outputs

    @property
    def macs(self) -> tuple[MacNode, ...]:
        """The MAC operators that are cut out."""
        return tuple(mac for level in self.levels for mac in level.macs)

    def run(self, feeds: Mapping[str, Array], compute: Compute) -> dict[str, Array]:
        """The outputs of the graph, where `compute` gives those of its MAC operators.

        Raises UsageError for inputs that do not fit, ModelError where ONNX Runtime stops.
        """
        values = self._checked(feeds)
        for level in self.levels:
            if level.segment is not None:
                values |= level.segment.run(values)
            for mac in level.macs:
                values[mac.result] = _called(mac, values, compute)
            for name in level.last:
                del values[name]
        return {name: to_array(values[name]) for name in self.outputs}

    def _checked(self, feeds: Mapping[str, Array]) -> dict[str, Value]:
        if feeds.keys() != self.inputs.keys():
            raise UsageError(
                f"the model's inputs are {', '.join(map(repr, self.inputs))}, but got "
                f"{', '.join(map(repr, feeds)) or 'none'}"
            )
        for info in self.graph.proto.graph.input:
            if info.name in feeds:
                _check_fits(info, feeds[info.name], self.graph.scope.get(info.name).dtype)
        return dict(feeds)


def cut(graph: Model, threads: int = 0) -> CutGraph:
    """Cut a model at the operators of its layers.

    `threads` run each operator of ONNX Runtime (0: one a core). Layers that can't be taken out
    are listed as not simulated. Raises ModelError where ONNX Runtime can't run the rest.
    """
    macs, not_simulated = _macs(graph)
    inputs = {name: _type_of_input(graph, name) for name, _ in graph.network.source.inputs}
    levels = _levels(graph, macs, inputs, threads)
    return CutGraph(
        graph=graph, levels=levels, not_simulated=not_simulated, inputs=inputs, threads=threads
    )


def _macs(graph: Model) -> tuple[dict[int, MacNode], tuple[Skipped, ...]]:
    """The MAC operators by the place of their node, and the layers that stay where they are."""
    macs: dict[int, MacNode] = {}
    layers = graph.network.layers
    reasons = {
        index: "it is inside an If, a Loop, a Scan or a function"
        if layer.op in PLACES
        else f"{layer.op} runs as a whole"
        for index, layer in enumerate(layers)
    }
    for place, index in graph.layer_at.items():
        if layers[index].op not in PLACES:
            continue
        try:
            macs[place] = read_mac(graph, graph.nodes[place], layers[index], index)
        except CannotCutError as reason:
            reasons[index] = str(reason)
    cut_out = {mac.index for mac in macs.values()}
    return macs, tuple(
        Skipped(layers[index], reason) for index, reason in reasons.items() if index not in cut_out
    )


def _levels(
    graph: Model, macs: Mapping[int, MacNode], inputs: Mapping[str, str], threads: int
) -> tuple[Level, ...]:
    """Open the segments in order: each learns the types of its inputs from those before."""
    types, levels = dict(inputs), []
    for step in plan_of(graph, macs, inputs):
        segment = None
        if step.outputs:
            needs = {name: types[name] for name in step.inputs}
            segment = open_session(graph, step.nodes, needs, step.outputs, threads, arena=False)
            types |= segment.types
        for place in step.macs:
            mac = macs[place]
            types[mac.result] = mac.result_type(types[mac.node.input[mac.activation]])
        levels.append(Level(segment, tuple(macs[place] for place in step.macs), step.last))
    return tuple(levels)


def _called(mac: MacNode, values: Mapping[str, Value], compute: Compute) -> Array:
    names = mac.node.input
    others = {place: to_array(values[names[place]]) for place in mac.dynamic}
    return compute(mac, to_array(values[names[mac.activation]]), others)


def _type_of_input(graph: Model, name: str) -> str:
    elem_type = graph.scope.get(name).elem_type
    if not elem_type:
        raise ModelError(f"input '{name}' is no tensor: esnsim runs models whose inputs are")
    return f"tensor({type_name(elem_type)})"


def _check_fits(info: ValueInfoProto, array: Array, dtype: np.dtype[Any] | None) -> None:
    """Raise UsageError where an input's type or shape is not the declared one."""
    dims = info.type.tensor_type.shape.dim
    sizes = [d.dim_value if d.dim_value > 0 else d.dim_param or "?" for d in dims]
    fit = len(sizes) == array.ndim and all(
        n == m for n, m in zip(sizes, array.shape, strict=False) if isinstance(n, int)
    )
    if array.dtype != dtype or not (fit or not info.type.tensor_type.HasField("shape")):
        raise UsageError(
            f"input '{info.name}' needs {dtype} of shape ({', '.join(map(str, sizes))}), but got "
            f"{array.dtype} of shape {array.shape}"
        )
