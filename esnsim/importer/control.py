"""Nodes that hold graphs: functions, If, Loop, Scan and the rest."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, helper

from esnsim.errors import MisfitError, ModelError
from esnsim.importer.constants import attribute
from esnsim.importer.record import Record
from esnsim.importer.scope import Scope, count_uses, first_output
from esnsim.importer.values import Value, constant_value, known
from esnsim.onnxfile.nodes import check_names

if TYPE_CHECKING:
    from esnsim.importer.walk import Walker

DEPTH = 64  # calls and graphs inside each other
MOST_TRIPS = 1 << 24  # trips that a Loop may be run for, unless its condition can end it
ENDLESS = 1 << 31  # exporters write a trip count of 2^63 − 1 for "until the condition fails"


def call(walker: "Walker", node: NodeProto, function: FunctionProto, scope: Scope) -> list[Value]:
    """A call of a model-local function: its body in a scope of its own."""
    inner = scope.call(node, function)
    _check_depth(inner)
    check_names(function.input, (), function.node)
    inner.uses = count_uses(function.node, function.output)
    inner.values.update((parameter, Value(name=parameter)) for parameter in function.input)
    for parameter, argument in zip(function.input, node.input, strict=False):
        if argument:
            inner.values[parameter] = replace(scope.sole_use(scope.get(argument)), name=parameter)
    for info in function.value_info:
        inner.declared[info.name] = info.type
    for body_node in function.node:
        walker.visit(body_node, inner)
    return [inner.sole_use(value) for value in walker.outputs(function.output, inner)]


def control(walker: "Walker", node: NodeProto, scope: Scope) -> list[Value]:
    """A node with graphs as attributes."""
    if node.op_type == "If":
        return _if(walker, node, scope)
    if node.op_type == "Loop":
        return _loop(walker, node, scope)
    if node.op_type == "Scan":
        return _scan(walker, node, scope)
    for item in node.attribute:
        for graph in (*item.graphs, *([item.g] if item.type == AttributeProto.GRAPH else [])):
            found, _ = _body(walker, node, item.name, graph, [], scope)
            _add(walker, node, scope, found, "once")
    return [Value(name=name) for name in node.output]


def _if(walker: "Walker", node: NodeProto, scope: Scope) -> list[Value]:
    """The branch that a constant condition takes, else the one with more MACs."""
    names = ("then_branch", "else_branch")
    graphs = [_graph(node, name, scope) for name in names]
    condition = scope.get(node.input[0]).constant if node.input else None
    if condition is not None and condition.size == 1:
        taken = 0 if condition.read().ravel()[0] else 1
        walker.record.chosen[scope.path + first_output(node)] = taken
        found, values = _body(walker, node, names[taken], graphs[taken], [], scope)
        walker.record.extend(found)
        return values
    branches = _fitting(walker, node, names, graphs, scope)
    if len(branches) == 1:
        walker.record.extend(branches[0][0])
        return branches[0][1]
    macs = [found.macs for found, _ in branches]
    best = macs.index(max(macs))
    counted, other = branches[best][0], branches[1 - best][0]
    if max(macs) or counted.uncounted or other.uncounted:
        walker.record.note(
            f"If '{scope.name(node)}': the {('then', 'else')[best]} branch is counted, "
            f"{macs[best]:,} MACs against {macs[1 - best]:,}"
        )
    walker.record.extend(counted)
    walker.record.uncounted += other.uncounted
    pairs = zip(branches[0][1], branches[1][1], strict=False)
    return [_outside(a) if a.shape == b.shape else Value(name=a.name) for a, b in pairs]


def _fitting(
    walker: "Walker",
    node: NodeProto,
    names: Sequence[str],
    graphs: Sequence[GraphProto],
    scope: Scope,
) -> list[tuple[Record, list[Value]]]:
    """Both branches of an If, or the one that the shapes fit: it is the one that will be taken.

    Raises the first branch's MisfitError where neither fits.
    """
    branches, errors = [], list[MisfitError]()
    for name, graph in zip(names, graphs, strict=True):
        try:
            branches.append(_body(walker, node, name, graph, [], scope))
        except MisfitError as error:
            errors.append(error)
            walker.record.note(
                f"If '{scope.name(node)}': the {name.partition('_')[0]} branch does not fit and is "
                f"taken not to run: {error} (or --input-value)"
            )
    if len(errors) == len(graphs):
        raise errors[0]
    return branches


def _loop(walker: "Walker", node: NodeProto, scope: Scope) -> list[Value]:
    """A Loop body, times its trip count where that is constant, else once."""
    body = _graph(node, "body", scope)
    count, condition, *initial = [*scope.inputs(node), None, None][: max(2, len(node.input))]
    trips = _number(count)
    if trips is not None and trips >= ENDLESS:
        trips = None
    if _number(condition) == 0:
        trips = 0
    carried = [_outside(v) if v is not None else None for v in initial]
    # Where the body runs its condition holds; one that it passes on unchanged never fails.
    holds = constant_value(known(np.array(True), ""), "")
    found, values = _body(walker, node, "body", body, [None, holds, *carried], scope, trips)
    goes_on, outputs = values[0] if values else None, values[1:]
    if _number(goes_on) == 1 and (condition is None or _number(condition) == 1):
        whole = None if count is None else _number(count)
        if count is None or (whole is not None and whole * scope.repeats > MOST_TRIPS):
            walker.record.endless = scope.name(node)
    early = ", though it may stop earlier" if _number(goes_on) != 1 and trips else ""
    times = "once, its trip count is not constant" if trips is None else f"{trips:,} times{early}"
    _add(walker, node, scope, found, times)
    states = [_outside(v) for v in outputs[: len(carried)]]
    return states + [_stacked(v, None if early else trips) for v in outputs[len(carried) :]]


def _scan(walker: "Walker", node: NodeProto, scope: Scope) -> list[Value]:
    """A Scan body, times the length of the axis that it scans."""
    body, scanned = _graph(node, "body", scope), attribute(node, "num_scan_inputs", 0)
    values = [v for v in scope.inputs(node) if v is not None]
    split = len(values) - scanned if isinstance(scanned, int) else 0
    states, inputs = values[:split], values[split:]
    given = attribute(node, "scan_input_axes")
    axes = list(given) if isinstance(given, list) else [0] * len(inputs)
    shape = inputs[0].shape if inputs else None
    trips = shape[axes[0]] if shape and -len(shape) <= axes[0] < len(shape) else None
    sliced = [_sliced(v, axis) for v, axis in zip(inputs, axes, strict=False)]
    found, outputs = _body(
        walker, node, "body", body, [*map(_outside, states), *sliced], scope, trips
    )
    times = "once, its length is not known" if trips is None else f"{trips:,} times"
    _add(walker, node, scope, found, times)
    given = attribute(node, "scan_output_axes")
    places = given if isinstance(given, list) else [0] * len(outputs)
    scanned_outputs = zip(outputs[len(states) :], places, strict=False)
    stacked = [_stacked(v, trips, axis) for v, axis in scanned_outputs]
    return [_outside(v) for v in outputs[: len(states)]] + stacked


def _body(
    walker: "Walker",
    node: NodeProto,
    name: str,
    graph: GraphProto,
    values: Sequence[Value | None],
    scope: Scope,
    repeats: int | None = None,
) -> tuple[Record, list[Value]]:
    """What a graph inside a node holds, recorded apart, and its outputs."""
    inner = scope.body(node, name, 1 if repeats is None else max(0, repeats))
    _check_depth(inner)
    for info, value in zip(graph.input, [*values, *[None] * len(graph.input)], strict=False):
        inner.values[info.name] = replace(
            value or Value(name=info.name, type=info.type), name=info.name
        )
    outer, found = walker.record, Record(channels=walker.record.channels)
    walker.record = found
    try:
        outputs = walker.graph(graph, inner)
    finally:
        walker.record = outer
    return found, [replace(v, producer=None) for v in outputs]


def _add(walker: "Walker", node: NodeProto, scope: Scope, found: Record, times: str) -> None:
    """Add what a body holds, and say how often it was counted."""
    if found.layers or found.products:
        walker.record.note(f"{node.op_type} '{scope.name(node)}': its body is counted {times}")
    walker.record.extend(found)


def _graph(node: NodeProto, name: str, scope: Scope) -> GraphProto:
    graph = attribute(node, name)
    if not isinstance(graph, GraphProto):
        raise ModelError(f"{node.op_type} '{scope.name(node)}' has no {name}: the model is damaged")
    return graph


def _number(value: Value | None) -> int | None:
    """The value of a constant of one element."""
    if value is None or value.constant is None or value.constant.size != 1:
        return None
    return int(value.constant.read().ravel()[0])


def _check_depth(scope: Scope) -> None:
    if scope.depth > DEPTH:
        raise ModelError(
            f"functions and graphs nest deeper than {DEPTH}: a function calls itself, or the "
            "file is damaged"
        )


def _outside(value: Value) -> Value:
    """A value as it is seen from another iteration or branch: its type alone is known."""
    return Value(name=value.name, type=value.type)


def _sliced(value: Value, axis: int) -> Value:
    shape = value.shape
    if shape is None or not -len(shape) <= axis < len(shape):
        return Value(name=value.name)
    axis %= len(shape)
    rest = shape[:axis] + shape[axis + 1 :]
    return Value(name=value.name, type=helper.make_tensor_type_proto(value.elem_type, rest))


def _stacked(value: Value, trips: int | None, axis: int = 0) -> Value:
    """The values of all iterations along an axis of their own."""
    if trips is None or value.shape is None:
        return Value(name=value.name)
    shape = list(value.shape)
    shape.insert(axis % (len(shape) + 1), max(0, trips))
    return Value(name=value.name, type=helper.make_tensor_type_proto(value.elem_type, shape))
