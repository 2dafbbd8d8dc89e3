"""Constant subgraphs: read lazily, moved as views where possible, bounded by what is declared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from esnsim.errors import ModelError
from esnsim.importer.scope import Scope
from esnsim.importer.values import SMALL, WIDEST, Coded, Constant, Value, known, width_of
from esnsim.model.network import Array

MOST_ELEMENTS = 1 << 28  # elements that may be computed; views (ConstantOfShape, Expand) need none
LARGEST_VIEW = 1 << 30
RESHAPES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}
GATHERS = {"Slice", "Gather", "Split", "Concat", "Tile", "DepthToSpace", "SpaceToDepth"}
NOT_CONSTANT = {
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
    "Multinomial", "If", "Loop", "Scan", "SequenceMap", "Dropout", "ImageDecoder",
}  # fmt: skip
ZERO = TensorProto(data_type=TensorProto.FLOAT, dims=[1], float_data=[0])
UNSHAPED = {"NonZero", "Compress", "Unique"}  # bounded by their input though shaped by its values

DType = np.dtype[np.generic]
Inputs = Sequence[Constant | None]


def fold(
    node: NodeProto, inputs: Inputs, outputs: Sequence[Value], scope: Scope
) -> list[Constant] | None:
    """The outputs of a node whose inputs are all constant; None where they can't be read."""
    if node.op_type in NOT_CONSTANT:
        return None
    view = _view(node, inputs[0], outputs[0], scope) if inputs and inputs[0] else None
    if view is not None:
        return [_settled(view)]
    shapes = [v.shape for v in outputs]
    given = sum(c.size for c in inputs if c is not None)
    if None in shapes or any(v.dtype is None for v in outputs):
        if given > (SMALL if node.op_type not in UNSHAPED else MOST_ELEMENTS):
            return None
        arrays = evaluate(node, [c.read() if c else None for c in inputs], scope.opsets)
        pairs = zip(arrays, node.output, strict=False)
        return [known(array, scope.path + name) for array, name in pairs] or None
    if given + sum(prod(shape or ()) for shape in shapes) > MOST_ELEMENTS:
        return None
    return [_settled(_computed(node, inputs, v, i, scope)) for i, v in enumerate(outputs)]


def evaluate(
    node: NodeProto, arrays: Sequence[Array | None], opsets: Mapping[str, int]
) -> list[Array]:
    """One node run by onnx's reference implementation; nothing where that can't run it."""
    from onnx.reference import ReferenceEvaluator

    feeds = {n: a for n, a in zip(node.input, arrays, strict=True) if n and a is not None}
    try:
        evaluator = ReferenceEvaluator(node, opsets=dict(opsets))
        outputs = evaluator.run(None, feeds)
    except Exception:  # the reference raises whatever NumPy and Python do
        return []
    return [o for o in outputs if isinstance(o, np.ndarray | np.generic)]  # type: ignore[misc]


def attribute(node: NodeProto, name: str, default: object = None) -> object:
    """The value of an attribute of a node."""
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return default


def _settled(constant: Constant) -> Constant:
    """A small constant with its values at hand: shapes depend on them."""
    if constant.size > SMALL:
        return constant
    array = constant.read()
    return replace(constant, read=lambda: array)


def _view(node: NodeProto, first: Constant, output: Value, scope: Scope) -> Constant | None:
    """The output of an operator that moves elements or repeats one, without a copy of them."""
    op, shape = node.op_type, output.shape
    if op == "Identity":
        return first
    if shape is None:
        return None
    if op in RESHAPES and prod(shape) == first.size:
        return first.moved(lambda a: a.reshape(shape), shape)
    if op == "Transpose":
        order = attribute(node, "perm")
        return first.moved(lambda a: a.transpose(order), shape)  # type: ignore[call-overload]
    if op == "Cast" and output.dtype is not None:
        return _cast(first, output.dtype)
    if op == "Expand" and prod(shape) <= LARGEST_VIEW:
        return first.moved(lambda a: np.broadcast_to(a, shape), shape)
    if op == "ConstantOfShape" and prod(shape) <= LARGEST_VIEW:
        value = attribute(node, "value")
        tensor = value if isinstance(value, TensorProto) else ZERO
        fill = numpy_helper.to_array(tensor).ravel()
        return known(np.broadcast_to(fill, shape), scope.path + node.output[0])
    return None


def _cast(first: Constant, dtype: DType) -> Constant:
    """A cast of integers of up to WIDEST bits to floats keeps them as codes of step 1."""
    coded, width = first.coded, width_of(dtype)
    if width is not None:
        coded = None
    elif first.bits is not None and first.bits <= WIDEST:
        coded = Coded(
            integers=lambda: first.read().astype(np.int32),
            scale=lambda: np.broadcast_to(np.float64(1), first.shape),
            bits=first.bits,
        )
    bits = None if width is None else min(first.bits or width, width)
    return Constant(
        shape=first.shape, dtype=dtype, origin=first.origin,
        read=lambda: first.read().astype(dtype), bits=bits, coded=coded,
        uncoded=first.uncoded,
    )  # fmt: skip


def _computed(node: NodeProto, inputs: Inputs, output: Value, index: int, scope: Scope) -> Constant:
    """An output that onnx's reference computes when it is read."""
    shape, dtype = output.shape, output.dtype
    if shape is None or dtype is None:
        raise ValueError(f"'{output.name}' has no known type")
    if node.op_type == "Concat":
        inputs = _with_zeros(inputs)

    def run(pick: Callable[[Constant], Array]) -> Array:
        arrays = [None if c is None else pick(c) for c in inputs]
        outputs = evaluate(node, arrays, scope.opsets)
        if len(outputs) <= index or outputs[index].shape != shape:
            raise ModelError(
                f"the constant '{output.name}' (operator {node.op_type}) cannot be "
                "evaluated: fold the model's constants with another tool first"
            )
        return outputs[index]

    whole = Constant(
        shape=shape,
        dtype=dtype,
        origin=scope.path + output.name,
        read=lambda: run(lambda c: c.read()),
        bits=width_of(dtype),
    )
    if node.op_type not in GATHERS:
        lost = next((c.coded for c in inputs if c is not None and c.coded is not None), None)
        return replace(whole, uncoded=f"int{lost.bits} after {node.op_type}") if lost else whole
    moved = inputs if node.op_type == "Concat" else inputs[:1]
    data = [c for c in moved if c is not None]
    bits = max((c.bits for c in data if c.bits is not None), default=whole.bits)
    uncoded = max((c.uncoded for c in data), default="")
    return replace(whole, bits=bits, coded=_gathered(data, run), uncoded=uncoded)


def _with_zeros(inputs: Inputs) -> Inputs:
    """Beside codes, floats that are all 0 (pruned filters) are codes too."""
    coded = next((c.coded for c in inputs if c is not None and c.coded is not None), None)
    if coded is None:
        return inputs
    return [
        replace(c, coded=_zeros(c.shape, coded.midrise))
        if c is not None and c.coded is None and c.bits is None and not c.read().any()
        else c
        for c in inputs
    ]


def _zeros(shape: tuple[int, ...], midrise: bool) -> Coded:
    return Coded(
        integers=lambda: np.zeros(shape, np.int32),
        scale=lambda: np.ones(shape, np.float32),
        bits=1,
        midrise=midrise,
    )


def _gathered(
    data: Sequence[Constant], run: Callable[[Callable[[Constant], Array]], Array]
) -> Coded | None:
    """The codes of elements taken from coded constants by an operator that only moves them."""
    coded = [c.coded for c in data if c.coded is not None]
    if len(coded) != len(data) or len({c.midrise for c in coded}) != 1:
        return None

    def pick(part: Callable[[Coded], Array]) -> Callable[[Constant], Array]:
        return lambda c: part(c.coded) if any(c is d for d in data) and c.coded else c.read()

    return Coded(
        integers=lambda: run(pick(lambda c: c.integers())),
        scale=lambda: run(pick(lambda c: c.scale())),
        bits=max(c.bits for c in coded),
        midrise=coded[0].midrise,
        asymmetric=any(c.asymmetric for c in coded),
    )
