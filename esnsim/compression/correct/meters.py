"""Where statistics of channels can be corrected: at BatchNormalization, or at layers without."""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from esnsim.graph.model import Model
from esnsim.graph.sites import BIAS, FLOATS, OPERATORS, Slot
from esnsim.graph.substitute import Changes
from esnsim.importer.constants import attribute
from esnsim.model.network import Array
from esnsim.quantization.filter_sums import Floats

MEASURED = ("float32", "float64")  # in narrower types sums of squares overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A BatchNormalization: `name` is what it gives, `value` what it reads.

    `shape` and `dtype` are those of the value, `axis` that of its channels.
    """

    name: str
    place: int
    value: str
    shape: tuple[int, ...]
    dtype: str
    axis: int = 1

    @property
    def mean(self) -> Slot:
        """Where its running mean stands."""
        return Slot(self.place, 3)

    @property
    def variance(self) -> Slot:
        """Where its running variance stands."""
        return Slot(self.place, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A layer's output that no BatchNormalization reads alone, its bias added.

    `name` and `value` are its name, `place` the node that gives it, `weight` and `bias` where
    the layer's stand; the bias may not be there yet. The rest is as of a Norm.
    """

    name: str
    place: int
    value: str
    shape: tuple[int, ...]
    dtype: str
    axis: int
    weight: Slot
    bias: Slot


Meter = Norm | Output


def meters(graph: Model) -> tuple[Meter, ...]:
    """Where statistics can be corrected, in graph order."""
    found = (_meter(graph, place) for place in range(len(graph.nodes)))
    return tuple(meter for meter in found if meter is not None)


def constant(graph: Model, slot: Slot, changes: Changes) -> Array | None:
    """What a node reads there, after changes; None where that is not constant or not there."""
    if slot in changes:
        return changes[slot]
    inputs = graph.nodes[slot.place].input
    name = inputs[slot.input] if slot.input < len(inputs) else ""
    known = graph.scope.get(name).constant if name in graph.constants else None
    return None if known is None else known.read()


def scaled(graph: Model, meter: Output, weight: Array, gain: Floats) -> Array:
    """A layer's weight as its node reads it, each filter times its gain (M,)."""
    node, rank = graph.nodes[meter.weight.place], weight.ndim
    if node.op_type == "ConvTranspose":
        groups = len(gain) // weight.shape[1]
        fan_in = len(weight) // groups
        rows = np.repeat(gain.reshape(groups, -1), fan_in, axis=0)
        return np.asarray(weight * rows.reshape(*rows.shape, *[1] * (rank - 2)))
    columns = node.op_type == "MatMul" or not (
        node.op_type == "Conv" or attribute(node, "transB", 0)
    )
    return np.asarray(weight * (gain if columns else gain.reshape(-1, *[1] * (rank - 1))))


def _meter(graph: Model, place: int) -> Meter | None:
    node = graph.nodes[place]
    if node.op_type == "BatchNormalization":
        return _norm(graph, place)
    if node.op_type in OPERATORS and not node.domain and _has_weight(graph, node):
        return _output(graph, place)
    return None


def _norm(graph: Model, place: int) -> Norm | None:
    node = graph.nodes[place]
    value, known = node.input[0], _known(graph, node.input[0])
    fixed = graph.constants.issuperset(node.input[1:])
    if not fixed or known is None or attribute(node, "training_mode", 0):
        return None
    shape, dtype = known
    return Norm(name=node.output[0], place=place, value=value, shape=shape, dtype=dtype)


def _known(graph: Model, name: str) -> tuple[tuple[int, ...], str] | None:
    """Shape and type of a value with channels, None where it can't be measured."""
    value = graph.scope.get(name)
    shape, dtype = value.shape, value.dtype
    if shape is None or len(shape) < 2 or dtype is None or dtype.name not in MEASURED:
        return None
    return shape, dtype.name


def _has_weight(graph: Model, node: NodeProto) -> bool:
    """Whether a node has float weights on the right; those of a matrix product are a matrix.

    Weights that are quantised in the file keep their codes, and so their step.
    """
    known = graph.scope.get(node.input[1]).constant
    if known is None or known.coded is not None or node.input[1] not in graph.constants:
        return False
    matrix = node.op_type in ("Gemm", "MatMul")
    return known.dtype.name in FLOATS and (not matrix or len(known.shape) == 2)


def _output(graph: Model, place: int) -> Output | None:
    node = graph.nodes[place]
    bias = Slot(place, BIAS) if node.op_type != "MatMul" else _added(graph, node)
    if bias is None:
        return None
    value = graph.nodes[bias.place].output[0]
    known = _known(graph, value)
    after = [graph.nodes[i].op_type for i in graph.readers.get(value, ())]
    if known is None or after == ["BatchNormalization"]:
        return None
    shape, dtype = known
    axis = len(shape) - 1 if node.op_type in ("Gemm", "MatMul") else 1
    if not _is_bias(graph, node, bias, shape[axis]):
        return None
    return Output(
        name=value,
        place=bias.place,
        value=value,
        shape=shape,
        dtype=dtype,
        axis=axis,
        weight=Slot(place, 1),
        bias=bias,
    )


def _added(graph: Model, node: NodeProto) -> Slot | None:
    """The constant that an Add alone adds to a matrix product."""
    value = node.output[0]
    readers = graph.readers.get(value, ())
    if len(readers) != 1 or value in graph.outputs:
        return None
    [place] = readers
    added = graph.nodes[place]
    other = 1 if added.input[0] == value else 0
    if added.op_type != "Add" or added.input[other] not in graph.constants:
        return None
    return Slot(place, other)


def _is_bias(graph: Model, node: NodeProto, bias: Slot, channels: int) -> bool:
    """Whether what stands there is one number a channel or one for all, or nothing yet."""
    if attribute(node, "beta", 1.0) != 1.0:
        return False
    inputs = graph.nodes[bias.place].input
    if bias.input >= len(inputs) or not inputs[bias.input]:
        return True
    found = constant(graph, bias, {})
    return found is not None and (found.size == 1 or found.shape[-1] == found.size == channels)
