"""Which filters each channel depends on, followed through the operators that keep channels apart.

Every element of an activation carries a channel id (LIVE, CONSTANT, a filter's, or that of a
merge of two others). Ids are stored broadcast: an axis along which they do not change has
size 1. Operators not named here mix channels, and what they give is live.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
from onnx import NodeProto

from esnsim.importer.constants import attribute, evaluate
from esnsim.importer.values import Value
from esnsim.model.network import CONSTANT, LIVE, Ids, Merge

LAST = 2**31 - 1  # an id that no filter has
ONE_AXIS_OPSET = 13  # from which a Softmax is along one axis alone
MOST_IDS = 1 << 23  # ids: moves of larger activations with uneven ids are taken as live

# Operators that move elements; for those of AXIS, along one axis at most.
AXIS = {"Concat": 1, "Split": 0, "Gather": 0}  # with the default of the attribute `axis`
RESHAPES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}
MOVES = {"Transpose", "Slice", "Expand", "Tile", "DepthToSpace", "SpaceToDepth", *AXIS, *RESHAPES}
ELEMENTWISE = {
    "Abs", "Add", "And", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast",
    "CastLike", "Ceil", "Celu", "Clip", "Cos", "DequantizeLinear", "Div", "Dropout", "Elu", "Equal",
    "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
    "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min",
    "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "QuantizeLinear", "Reciprocal",
    "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt",
    "Sub", "Sum", "Swish", "Tanh", "ThresholdedRelu", "Where", "Xor",
}  # fmt: skip
SPATIAL = {
    "AveragePool", "BatchNormalization", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool",
    "InstanceNormalization", "LpPool", "MaxPool", "Resize", "Upsample",
}  # fmt: skip
REDUCTIONS = {
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
}  # fmt: skip


@dataclass(slots=True)
class Channels:
    """Hands out channel ids and keeps the merges, in the order of the graph."""

    used: int = max(LIVE, CONSTANT) + 1
    merges: list[Merge] = field(default_factory=list)

    def filters(self, count: int) -> Ids:
        """Fresh ids for the filters of a layer."""
        first = self.used
        self.used += count
        return np.arange(first, self.used, dtype=np.int32)

    def merge(self, a: Ids, b: Ids, gate: bool = False) -> Ids:
        """Ids that are live where either of two (broadcast) ids is; b may be a gate (see Merge)."""
        a, b = np.broadcast_arrays(a, b)
        pairs, back = np.unique(a.astype(np.int64) << 32 | b, return_inverse=True)
        left, right = (pairs >> 32).astype(np.int32), pairs.astype(np.int32)
        merged = np.where(left == CONSTANT, right, left)
        merged[(left == LIVE) | (right == LIVE)] = LIVE
        new = (left != right) & (np.minimum(left, right) > max(LIVE, CONSTANT))
        if new.any():
            first = self.used
            merged[new] = self.filters(int(new.sum()))
            self.merges.append(Merge(first, left[new], right[new], gate))
        return np.asarray(merged[back].reshape(a.shape))


def follow(
    node: NodeProto,
    inputs: Sequence[Value | None],
    shapes: Sequence[tuple[int, ...] | None],
    channels: Channels,
    opsets: Mapping[str, int],
) -> list[Ids | None]:
    """Channel ids of the outputs (`shapes`) of a standard operator; None is live everywhere."""
    live: list[Ids | None] = [None] * len(shapes)
    data = [v for v in inputs if v is not None and v.constant is None]
    shape, op = shapes[0], node.op_type
    if all(v.channels is None for v in data) or shape is None:
        return live
    if op in ELEMENTWISE:
        return [_elementwise(data, len(shape), channels), *live[1:]]
    if op == "MatMul":
        return [_passed(data, len(shape), channels)]
    if op == "Concat":
        return _moved(node, inputs, len(inputs), shape, opsets) or live
    if len(data) != 1 or data[0] is not inputs[0]:
        return live  # a parameter depends on the input too
    if op in SPATIAL:
        return [_per_channel(data[0], shape), *live[1:]]
    if op in REDUCTIONS:
        return [_reduced(data[0], _numbers(node, inputs, "axes", 1), len(shape))]
    if op == "Pad":
        return [_padded(node, inputs, data[0])]
    return _moved(node, inputs, 1, shape, opsets) or live if op in MOVES else live


def channel_ids(value: Value, axes: Sequence[int], sizes: Sequence[int]) -> Ids:
    """The ids of the channels along some axes of a value, broadcast to `sizes` and flattened.

    A channel with elements of different filters is live; its constant elements do not count.
    """
    ids = value.channels
    if ids is None or prod(sizes) > MOST_IDS:
        return np.broadcast_to(np.int32(LIVE), prod(sizes))  # as a view: sizes may be absurd
    ids = np.moveaxis(ids, [axis % ids.ndim for axis in axes], range(len(axes)))
    kept = ids.shape[: len(axes)]
    found = _summary(ids.reshape(prod(kept), -1)).reshape(kept)
    return np.broadcast_to(found, tuple(sizes)).ravel()


def _summary(rows: Ids) -> Ids:
    """One id for each row: its own where it has one besides CONSTANT."""
    if rows.shape[1] == 1:
        return rows[:, 0]
    lowest = np.where(rows == CONSTANT, np.int32(LAST), rows).min(axis=1)
    highest = np.where(rows == CONSTANT, np.int32(-1), rows).max(axis=1)
    found = np.where(lowest == highest, highest, np.int32(LIVE))
    return np.where(highest == -1, np.int32(CONSTANT), found)


def _ids(value: Value) -> Ids:
    if value.channels is not None:
        return value.channels
    fill = LIVE if value.constant is None else CONSTANT
    return np.full((1,) * len(value.shape or ()), fill, np.int32)


def _numbers(
    node: NodeProto, inputs: Sequence[Value | None], name: str, index: int
) -> list[int] | None:
    """Integers that are an attribute in old opsets and a constant input in new ones."""
    given = attribute(node, name)
    if isinstance(given, list):
        return given
    value = inputs[index] if index < len(inputs) else None
    if value is None or value.constant is None:
        return None
    return [int(n) for n in value.constant.read().ravel()]


def _elementwise(data: Sequence[Value], rank: int, channels: Channels) -> Ids | None:
    if any(value.channels is None for value in data):
        return None
    several, *rest = sorted(data, key=lambda value: -_ids(value).size)
    merged = _ranked(_ids(several), rank)
    for value in rest:
        gate = one_meets_several(value, merged)
        merged = channels.merge(merged, _ranked(_ids(value), rank), gate)
    return merged


def one_meets_several(value: Value, several: Ids) -> bool:
    """Whether a value has one channel, as a gate has, where what it is broadcast to has several."""
    if value.channels is None or value.channels.size > 1 or value.shape is None:
        return False
    sizes = (1,) * (several.ndim - len(value.shape)) + value.shape
    along = [axis for axis, size in enumerate(several.shape) if size > 1]
    return bool(along) and all(sizes[axis] == 1 for axis in along)


def sums_to_one(node: NodeProto, value: Value | None, opsets: Mapping[str, int]) -> int | None:
    """The axis along which the output of an operator on a value sums to 1, as a Softmax's does."""
    if value is None or value.shape is None:
        return None
    if node.op_type in ("Cast", "Dropout", "Identity"):
        return value.sums_to_one
    if node.op_type != "Softmax":
        return None
    rank, alone = len(value.shape), opsets.get("", 0) >= ONE_AXIS_OPSET
    axis = attribute(node, "axis", -1 if alone else 1)
    if not isinstance(axis, int) or not rank:
        return None
    return axis % rank if alone or axis % rank == rank - 1 else None  # before, all axes from it on


def _passed(data: Sequence[Value], rank: int, channels: Channels) -> Ids | None:
    """Of the product of two activations: the ids of one whose channels the sums leave apart, as
    those of attention's values are.

    A channel of one value throughout becomes that times the sum of the other operand, as under a
    gate, and stays the same where that sums to 1.
    """
    if any(len(value.shape or ()) < 2 for value in data):
        return None
    left, right = data
    if left.channels is None and right.channels is not None and right.channels.shape[-2] == 1:
        ids, other, summed = right.channels, left, -1
    elif right.channels is None and left.channels is not None and left.channels.shape[-1] == 1:
        ids, other, summed = left.channels, right, -2
    else:
        return None
    ids = _ranked(ids, rank)
    if other.sums_to_one == len(other.shape or ()) + summed:
        return ids
    always = channels.filters(1).reshape((1,) * rank)  # no layer decides it: it is live
    return channels.merge(ids, always, gate=True)


def _ranked(ids: Ids, rank: int) -> Ids:
    return ids.reshape((1,) * (rank - ids.ndim) + ids.shape)


def _per_channel(value: Value, shape: tuple[int, ...]) -> Ids | None:
    ids = _ids(value)
    if value.shape is None or shape[:2] != value.shape[:2]:
        return None
    if prod(ids.shape) != prod(ids.shape[:2]):
        return None
    return ids.reshape(ids.shape[:2] + (1,) * (len(shape) - 2))


def _padded(node: NodeProto, inputs: Sequence[Value | None], value: Value) -> Ids | None:
    """Pad: added channels are constant; so are added edges, which changes no channel."""
    pads, axes = _numbers(node, inputs, "pads", 1), _numbers(node, inputs, "axes", 3)
    shape = value.shape or ()
    ids = _per_channel(value, shape)
    if pads is None or ids is None:
        return None
    added = np.zeros((len(shape), 2), np.int64)
    added[slice(None) if axes is None else axes] = np.reshape(pads, (2, -1)).T
    if not added[:2].any():
        return ids
    if added[:2].min() < 0 or attribute(node, "mode", b"constant") != b"constant":
        return None
    added[2:] = 0
    full = np.broadcast_to(ids, shape[:2] + ids.shape[2:])
    return np.pad(full, added, constant_values=CONSTANT)


def _reduced(value: Value, axes: list[int] | None, rank: int) -> Ids | None:
    ids = _ids(value)
    reduced = {axis % ids.ndim for axis in axes} if axes else set(range(ids.ndim))
    if any(ids.shape[axis] != 1 for axis in reduced):
        return None
    if rank == ids.ndim:
        return ids
    return ids.reshape([n for axis, n in enumerate(ids.shape) if axis not in reduced])


def _moved(
    node: NodeProto,
    inputs: Sequence[Value | None],
    count: int,
    shape: tuple[int, ...],
    opsets: Mapping[str, int],
) -> list[Ids | None] | None:
    """The node itself, run on the ids of its first `count` inputs; the rest are constant."""
    values = [v for v in inputs[:count] if v is not None]
    if any(v.shape is None for v in values):
        return None
    ids = _spread(node, values)
    if sum(a.size for a in ids) > MOST_IDS or prod(shape) > MOST_IDS:
        return None
    if node.op_type == "Transpose":
        perm = attribute(node, "perm")
        return [ids[0].transpose(perm)]  # type: ignore[call-overload]
    if node.op_type in RESHAPES:
        return [_compressed(ids[0].reshape(shape))]
    rest = [v.constant.read() if v and v.constant else None for v in inputs[count:]]
    return [_compressed(a.astype(np.int32)) for a in evaluate(node, [*ids, *rest], opsets)]


def _spread(node: NodeProto, values: Sequence[Value]) -> list[Ids]:
    """Ids of values of known shape, in full along the axes that a node tells apart."""
    ids, shapes = [_ids(v) for v in values], [v.shape or () for v in values]
    if node.op_type == "Transpose":
        return ids
    if node.op_type not in AXIS:
        return [np.broadcast_to(i, s) for i, s in zip(ids, shapes, strict=True)]
    axis = attribute(node, "axis", AXIS[node.op_type])
    along = axis % len(shapes[0]) if isinstance(axis, int) else 0
    rest = list(np.broadcast_shapes(*((*i.shape[:along], 1, *i.shape[along + 1 :]) for i in ids)))
    full = [(*rest[:along], s[along], *rest[along + 1 :]) for s in shapes]
    return [np.broadcast_to(i, s) for i, s in zip(ids, full, strict=True)]


def _compressed(ids: Ids) -> Ids:
    """The same ids with size 1 along the axes where they do not change."""
    for axis in range(ids.ndim):
        first = ids.take([0], axis) if ids.shape[axis] else ids
        if ids.shape[axis] > 1 and (ids == first).all():
            ids = first
    return ids
