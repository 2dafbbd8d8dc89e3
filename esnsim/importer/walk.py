"""A graph walked once in order: constants folded, shapes inferred, layers and channels recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from math import prod

import numpy as np
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TypeProto,
    helper,
)  # fmt: skip

from esnsim.errors import ModelError
from esnsim.importer.affine import fold_affine
from esnsim.importer.channels import follow, sums_to_one
from esnsim.importer.constants import attribute, fold
from esnsim.importer.control import call, control
from esnsim.importer.fakequantize import fake_quantize
from esnsim.importer.inputs import bind
from esnsim.importer.midrise import halved
from esnsim.importer.operators import contributed, reader_of, why_uncounted
from esnsim.importer.products import CannotCountError, Inputs, ShapeUnknownError, Unweighted, by
from esnsim.importer.quantized import fold_quantized
from esnsim.importer.record import Record
from esnsim.importer.scope import (
    Scope,
    add_initializers,
    count_uses,
    dense,
    first_output,
    label,
    stored,
)
from esnsim.importer.sequences import SEQUENCES, concatenation, sequence_output
from esnsim.importer.shapes import STANDARD, check_arity, infer, standard
from esnsim.importer.values import Value, constant_value, known, type_shape
from esnsim.importer.widths import output_bits, read_bits
from esnsim.model.network import Product, Uncounted
from esnsim.onnxfile.damage import reading
from esnsim.onnxfile.nodes import check_names, stored_names
from esnsim.onnxfile.tensors import Store

MEND = "the model is damaged; export it again"
NODES = 100_000  # visited in functions and bodies, which a small file can multiply


@dataclass(slots=True, kw_only=True)
class Walker:
    """Visits nodes in order and records what they cost."""

    store: Store
    functions: Mapping[tuple[str, str, str], FunctionProto]
    dimensions: Mapping[str, int]
    record: Record = field(default_factory=Record)
    nodes: int = 0

    def graph(self, graph: GraphProto, scope: Scope) -> list[Value]:
        """Visit the nodes of a graph; the values of its outputs."""
        check_names((i.name for i in graph.input), stored_names(graph), graph.node)
        add_initializers(scope, graph, self.store)
        scope.uses = count_uses(graph.node, (o.name for o in graph.output))
        for info in graph.value_info:
            scope.declared[info.name] = info.type
        for node in graph.node:
            self.visit(node, scope)
        return self.outputs((output.name for output in graph.output), scope)

    def outputs(self, names: Iterable[str], scope: Scope) -> list[Value]:
        """The values of a graph's or function's outputs. Raises ModelError for undefined ones."""
        found = []
        for name in names:
            if not scope.defines(name):
                raise ModelError(f"output '{name}' is given by no operator: {MEND}")
            found.append(scope.get(name))
        return found

    def visit(self, node: NodeProto, scope: Scope) -> None:
        """Record a node and define its outputs."""
        self.nodes += scope.depth > 0
        if self.nodes > NODES:
            raise ModelError(
                f"functions and bodies unroll to more than {NODES:,} nodes: esnsim stops there"
            )
        with reading(f"operator {node.op_type} '{label(node)}'"):
            self._visit(scope.bound(node), scope)

    def _visit(self, node: NodeProto, scope: Scope) -> None:
        for name in filter(None, node.input):
            if not scope.defines(name):
                raise ModelError(
                    f"{node.op_type} '{label(node)}' reads '{name}', which nothing before it "
                    f"defines: {MEND}"
                )
        function = self.functions.get((node.domain, node.op_type, node.overload))
        if function is not None:
            outputs = call(self, node, function, scope)
        elif any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
            outputs = control(self, node, scope)
        elif node.op_type == "Constant" and node.domain in STANDARD:
            outputs = self._constant(node, scope)
        elif node.op_type in SEQUENCES and node.domain in STANDARD:
            outputs = self._sequence(node, scope)
        else:
            outputs = self._operator(node, scope.inputs(node), scope)
        for name, value in zip_longest(node.output, outputs[: len(node.output)]):
            if name:
                value = value or Value(name=name)
                scope.define(value if value.name == name else replace(value, name=name))

    def _constant(self, node: NodeProto, scope: Scope) -> list[Value]:
        output, name = node.output[0], scope.home + node.output[0]
        given = node.attribute[0] if node.attribute else AttributeProto()
        value = helper.get_attribute_value(given) if node.attribute else None
        if isinstance(value, TensorProto) and value.data_type != TensorProto.STRING:
            return [constant_value(stored(value, name, self.store), output)]
        if isinstance(value, SparseTensorProto):
            return [constant_value(dense(value, name, self.store), output)]
        if given.name.startswith(("value_int", "value_float")):
            dtype = np.int64 if given.name.startswith("value_int") else np.float32
            return [constant_value(known(np.array(value, dtype), name), output)]
        return [Value(name=output)]

    def _sequence(self, node: NodeProto, scope: Scope) -> list[Value]:
        """An operator on sequences; one that joins a known one is the Concat of its tensors."""
        check_arity(node, scope.opsets)
        given = scope.inputs(node)
        joined = concatenation(node, given)
        if joined is not None:
            return self._operator(*joined, scope)
        found = sequence_output(node, given)
        return [found] if found is not None else self._operator(node, given, scope)

    def _operator(self, original: NodeProto, given: Inputs, scope: Scope) -> list[Value]:
        check_arity(original, scope.opsets)
        node = standard(original)
        inputs = given if node is original else scope.inputs(node)
        types = infer(node, inputs, scope.opsets) or contributed(original, given)
        outputs = [
            Value(name=name, type=self._type(types.get(name), scope.declared.get(name)))
            for name in node.output
        ]
        outputs = [
            v if v.shape is not None else replace(v, cause=_cause(original, given, scope))
            for v in outputs
        ]
        folded = _folded(_held(original, self.store), given, outputs, scope)
        if folded is not None:
            return folded
        if node.op_type == "BatchNormalization" and len(inputs) >= 5 and inputs[0] is not None:
            producer = scope.sole_use(inputs[0]).producer
            name, version = scope.name(node), scope.opsets.get("", 0)
            self.record.batchnorm(node, name, inputs, producer, version)
        if self._counted(original, given, outputs, scope):
            return outputs
        ids = follow(node, inputs, [v.shape for v in outputs], self.record.channels, scope.opsets)
        bits = output_bits(original, given)
        sums = sums_to_one(node, inputs[0] if inputs else None, scope.opsets)
        return [
            replace(v, channels=i, bits=bits, sums_to_one=sums)
            for v, i in zip(outputs, ids, strict=True)
        ]

    def _counted(self, node: NodeProto, inputs: Inputs, outputs: list[Value], scope: Scope) -> bool:
        """Record an operator that multiplies and accumulates, and what its first output becomes;
        whether nothing more is to be known of that.
        """
        record, name, reason = self.record, scope.name(node), why_uncounted(node)
        reader, weighted = reader_of(node), True
        if reader is not None:
            try:
                for found in reader(node, inputs, name):
                    weighted = not isinstance(found, Unweighted)
                    if isinstance(found, Unweighted):
                        product = Product(
                            name, node.op_type, found.macs * scope.repeats, found.matrices
                        )
                        record.product(product, found.outer)
                    else:
                        outputs[0] = record.layer(
                            found, name, node.op_type, outputs[0], scope.repeats,
                            read_bits(node, inputs), scope.home + first_output(node),
                        )  # fmt: skip
            except (ShapeUnknownError, CannotCountError) as error:
                reason = str(error)
        if reason is not None:
            record.uncounted.append(Uncounted(name, node.op_type, reason))
        return reader is not None and weighted

    def _type(self, inferred: TypeProto | None, declared: TypeProto | None) -> TypeProto | None:
        """The inferred type, or the one that the file declares where inference found no shape."""
        if declared is not None and type_shape(inferred) is None:
            bound = bind(declared, self.dimensions)
            if type_shape(bound) is not None:
                return bound
        return inferred or declared


def _cause(node: NodeProto, inputs: Inputs, scope: Scope) -> str:
    """Why an output has no shape: an earlier operator, or this one where its inputs have theirs."""
    values = [value for value in inputs if value is not None]
    earlier = next((value.cause for value in values if value.cause), "")
    if earlier or any(value.shape is None for value in values):
        return earlier
    shapes = " and ".join(by(value.shape or ()) for value in values[:2]) or "no inputs"
    return f"{node.op_type} '{scope.name(node)}' gives none for {shapes}"


def _held(node: NodeProto, store: Store) -> NodeProto:
    """A node whose attributes hold their tensors, as the folder that they lie in is the model's."""
    if not any(item.t.external_data for item in node.attribute):
        return node
    copy = NodeProto()
    copy.CopyFrom(node)
    for item in copy.attribute:
        store.fill(item.t)
    return copy


def _folded(
    node: NodeProto, inputs: Inputs, outputs: Sequence[Value], scope: Scope
) -> list[Value] | None:
    """The outputs where they do not depend on the network's input; None for all others."""
    if node.op_type in ("Shape", "Size") and inputs and inputs[0] is not None:
        return _shape_of(node, inputs[0], scope)
    constants = [v.constant if v is not None else None for v in inputs]
    if any(v is not None and c is None for v, c in zip(inputs, constants, strict=True)):
        return None
    quantized = (
        fold_quantized(node, constants)
        or fold_affine(node, constants)
        or fake_quantize(node, constants)
    )
    if quantized is not None:
        name = node.output[0]
        found = halved(quantized, name) if name in scope.half_steps else quantized
        return [constant_value(found, name)]
    if node.domain not in STANDARD:
        return None
    folded = fold(node, constants, outputs, scope)
    if folded is None:
        return None
    return [constant_value(c, v.name) for c, v in zip(folded, outputs, strict=False)]


def _shape_of(node: NodeProto, x: Value, scope: Scope) -> list[Value] | None:
    """The output of Shape or Size: known where the shape is, whatever the values."""
    if x.shape is None:
        return None
    given = [attribute(node, name) for name in ("start", "end")]
    taken = slice(*(v if isinstance(v, int) else None for v in given))
    numbers = prod(x.shape) if node.op_type == "Size" else x.shape[taken]
    name = node.output[0]
    return [constant_value(known(np.array(numbers, np.int64), scope.path + name), name)]
