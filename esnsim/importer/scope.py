"""The names that a node sees: the values of its graph, and of the graphs around it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    NodeProto,
    OperatorSetIdProto,
    SparseTensorProto,
    TensorProto,
    TypeProto,
)  # fmt: skip

from esnsim.errors import ModelError
from esnsim.importer.values import SMALL, Constant, Value, constant_value, known, width_of
from esnsim.model.network import Array
from esnsim.onnxfile.nodes import twice
from esnsim.onnxfile.tensors import Store, element_dtype, tensor_shape


@dataclass(slots=True, kw_only=True)
class Scope:
    """Values by name, in a graph or in one call of a function.

    `prefix` tells the layers of calls apart. `path` leads here through calls and bodies: what is
    computed here is named by it. `home` is the place in the file: what is stored here is named
    by it, alike in every call. `attributes` are those of the call, which nodes may refer to.
    """

    opsets: Mapping[str, int]
    parent: "Scope | None" = None
    prefix: str = ""
    path: str = ""
    home: str = ""
    repeats: int = 1
    depth: int = 0
    attributes: Mapping[str, AttributeProto] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    declared: dict[str, TypeProto] = field(default_factory=dict)
    half_steps: frozenset[str] = frozenset()

    def get(self, name: str) -> Value:
        """The value of a name, unknown where no graph defines it."""
        if name in self.values:
            return self.values[name]
        if self.parent is None:
            return Value(name=name)
        return replace(self.parent.get(name), producer=None)  # who else reads it is not known here

    def defines(self, name: str) -> bool:
        """Whether this graph or one around it defines a name; "" is an input that is left out."""
        if name in self.values or not name:
            return True
        return self.parent is not None and self.parent.defines(name)

    def define(self, value: Value) -> None:
        """Add a node's output. Raises ModelError where a graph around this one has its name."""
        if self.parent is not None and self.parent.defines(value.name):
            raise twice(value.name)
        self.values[value.name] = value

    def inputs(self, node: NodeProto) -> list[Value | None]:
        """The values of a node's inputs, None for one that is left out."""
        return [self.get(name) if name else None for name in node.input]

    def name(self, node: NodeProto) -> str:
        """A node's own name, or that of its first output, after the calls that lead to it."""
        return self.prefix + label(node)

    def call(self, node: NodeProto, function: FunctionProto) -> "Scope":
        """The scope of a function's body in a call: it sees no graph around it."""
        return Scope(
            opsets=opsets(function.opset_import) or self.opsets,
            prefix=f"{self.prefix}{label(node)}/",
            path=f"{self.path}{first_output(node)}/",
            home=f"{function.domain}:{function.name}:{function.overload}/",
            repeats=self.repeats,
            depth=self.depth + 1,
            attributes={a.name: a for a in (*function.attribute_proto, *node.attribute)},
        )

    def body(self, node: NodeProto, attribute: str, repeats: int) -> "Scope":
        """The scope of a graph that an attribute of a node holds."""
        at = f"{first_output(node)}.{attribute}/"
        return Scope(
            opsets=self.opsets,
            parent=self,
            prefix=self.prefix,
            path=self.path + at,
            home=self.home + at,
            repeats=self.repeats * repeats,
            depth=self.depth + 1,
            attributes=self.attributes,
        )

    def bound(self, node: NodeProto) -> NodeProto:
        """The node with the call's attributes in place of its references to them."""
        if not any(a.ref_attr_name for a in node.attribute):
            return node
        bound = NodeProto()
        bound.CopyFrom(node)
        del bound.attribute[:]
        for item in node.attribute:
            if not item.ref_attr_name:
                bound.attribute.append(item)
            elif item.ref_attr_name in self.attributes:
                bound.attribute.append(self.attributes[item.ref_attr_name])
                bound.attribute[-1].name = item.name
        return bound

    def sole_use(self, value: Value) -> Value:
        """The value, its producing layer forgotten where others read it too."""
        return value if self.uses[value.name] == 1 else replace(value, producer=None)


def opsets(imports: Iterable[OperatorSetIdProto]) -> dict[str, int]:
    """Version of each domain; that of ONNX itself is ""."""
    return {"" if o.domain == "ai.onnx" else o.domain: o.version for o in imports}


def label(node: NodeProto) -> str:
    """The name of a node, else that of its first output."""
    return node.name or first_output(node) or node.op_type


def first_output(node: NodeProto) -> str:
    """The name of its first output that is there, which no other node of the graph has."""
    return next(filter(None, node.output), "")


def count_uses(nodes: Iterable[NodeProto], outputs: Iterable[str]) -> Counter[str]:
    """How often each name is read by nodes, by graphs inside them, and as an output."""
    uses: Counter[str] = Counter(outputs)
    for node in nodes:
        uses.update(node.input)
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                uses += count_uses(graph.node, (o.name for o in graph.output))
    return uses


def add_initializers(scope: Scope, graph: GraphProto, store: Store) -> None:
    """Define the stored tensors of a graph."""
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.STRING:
            scope.values[tensor.name] = Value(name=tensor.name)
        else:
            scope.values[tensor.name] = constant_value(
                stored(tensor, scope.home + tensor.name, store), tensor.name
            )
    for sparse in graph.sparse_initializer:
        name = sparse.values.name
        scope.values[name] = constant_value(dense(sparse, scope.home + name, store), name)


def stored(tensor: TensorProto, name: str, store: Store) -> Constant:
    """A tensor of the file as a constant."""
    shape = tensor_shape(tensor, name)
    dtype = element_dtype(tensor.data_type, name)
    read = store.reader(tensor, name)
    if prod(shape) <= SMALL:
        array = read()
        if array.shape != shape:
            raise ModelError(
                f"tensor '{name}' holds {array.shape}, not {shape}: the file is damaged"
            )
        return known(array, name)
    return Constant(shape=shape, dtype=dtype, origin=name, read=read, bits=width_of(dtype))


def dense(sparse: SparseTensorProto, name: str, store: Store) -> Constant:
    """A sparse tensor as the dense one it stands for."""
    shape = tensor_shape(TensorProto(dims=sparse.dims), name)
    values = stored(sparse.values, name, store)
    indices = stored(sparse.indices, f"{name} (indices)", store)
    size = int(np.prod(shape, dtype=object))
    if size > 1 << 28:
        raise ModelError(f"sparse tensor '{name}' has {size:,} elements: too large to expand")

    def read() -> Array:
        out = np.zeros(size, values.dtype)
        at = indices.read()
        try:
            flat = at if at.ndim == 1 else np.ravel_multi_index(tuple(at.T), shape)
            out[flat] = values.read().ravel()
        except (IndexError, ValueError) as error:
            raise ModelError(
                f"sparse tensor '{name}' has indices outside its shape ({error}): "
                "the file is damaged"
            ) from None
        return out.reshape(shape)

    return Constant(shape=shape, dtype=values.dtype, origin=name, read=read, bits=values.bits)
