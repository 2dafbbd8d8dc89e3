"""The MAC operators of a graph, and what an engine must know to stand in for each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from onnx import NodeProto

from esnsim.graph.model import Model
from esnsim.importer.constants import attribute
from esnsim.importer.einsum import equation_of, labels
from esnsim.importer.values import width_of
from esnsim.importer.widths import KEEP
from esnsim.machines.activations import WIDEST, ActivationScale
from esnsim.model.network import Array, Layer
from esnsim.run.layout import Labelled, Layout, Matrix, Spatial


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where an operator's inputs stand: of its two factors the values, scales and zero points."""

    factors: tuple[int, int] = (0, 1)
    bias: int | None = None
    scales: tuple[int, int] | None = None
    zeros: tuple[int, int] | None = None
    output: tuple[int, int] | None = None  # scale and zero point


PLACES = {
    "Conv": Places(bias=2),
    "ConvTranspose": Places(bias=2),
    "Gemm": Places(bias=2),
    "MatMul": Places(),
    "FusedMatMul": Places(),
    "TransposeMatMul": Places(),
    "Einsum": Places(),
    "MatMulNBits": Places(bias=5),
    "ConvInteger": Places(zeros=(2, 3)),
    "MatMulInteger": Places(zeros=(2, 3)),
    "MatMulIntegerToFloat": Places(bias=6, scales=(2, 3), zeros=(4, 5)),
    "QLinearConv": Places(factors=(0, 3), bias=8, scales=(1, 4), zeros=(2, 5), output=(6, 7)),
    "QLinearMatMul": Places(factors=(0, 3), bias=None, scales=(1, 4), zeros=(2, 5), output=(6, 7)),
    "QGemm": Places(factors=(0, 3), bias=6, scales=(1, 4), zeros=(2, 5), output=(7, 8)),
}
CONVOLUTIONS = {"Conv", "ConvTranspose", "ConvInteger", "QLinearConv"}
ACCUMULATE = {"ConvInteger", "MatMulInteger"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MacNode:
    """A MAC operator that is cut out of its graph: `layer`, the network's at `index`.

    `activation` is the place of its activation among the node's inputs, `dynamic` are those of
    other inputs that depend on the network's: scale and zero point of the activation. `bias` is
    broadcast to the output (times beta). `own` is how the model itself quantises the activation,
    `output` how it quantises the output, both None in float. `accumulates`: int32 sums come out.
    """

    layer: Layer
    index: int
    node: NodeProto
    layout: Layout
    activation: int
    dynamic: tuple[int, ...] = ()
    alpha: float = 1.0
    bias: Array | None = None
    own: ActivationScale | None = None
    output: ActivationScale | None = None
    accumulates: bool = False

    @property
    def result(self) -> str:
        """The name of the value that the operator gives."""
        return self.node.output[0]

    def result_type(self, activation_type: str) -> str:
        """ONNX Runtime's name of the type of the result."""
        if self.accumulates:
            return "tensor(int32)"
        if self.output is not None:
            sign = "" if self.output.signed else "u"
            return f"tensor({sign}int{self.output.bits})"
        return activation_type if PLACES[self.node.op_type].zeros is None else "tensor(float)"

    def scale(self, others: Mapping[int, Array]) -> ActivationScale | None:
        """`own`, with what the network computes of it as it runs (`others`, by place)."""
        if self.own is None or not others:
            return self.own
        places, side = PLACES[self.node.op_type], self.activation != 0
        scale, zero = (pair and others.get(pair[side]) for pair in (places.scales, places.zeros))
        own = self.own if scale is None else replace(self.own, scale=float(scale.item()))
        return own if zero is None else replace(own, zero_point=int(zero.item()))


class CannotCutError(Exception):
    """A MAC operator stays in ONNX Runtime; the message is the reason."""


def read_mac(graph: Model, node: NodeProto, layer: Layer, index: int) -> MacNode:
    """What stands for a node. Raises CannotCutError where it can't be taken out."""
    places = PLACES[node.op_type]
    side = int(node.input[places.factors[0]] in graph.constants)
    if node.input[places.factors[1 - side]] not in graph.constants:
        raise CannotCutError("its weights are computed as the network runs")
    if not _uniform(layer):
        raise CannotCutError("the scale of its weights changes within a filter")
    activation = places.factors[side]
    own = None
    if places.zeros is not None:
        own = _stored_scale(graph, node, places, side)
    elif node.input[activation]:
        own = _dequantised(graph, node.input[activation])
    allowed = {pair[side] for pair in (places.scales, places.zeros) if pair}
    dynamic = tuple(
        i for i, name in enumerate(node.input)
        if name and i != activation and name not in graph.constants
    )  # fmt: skip
    if not allowed.issuperset(dynamic):
        raise CannotCutError("its bias, or the scale of its output, is computed as it runs")
    factor = attribute(node, "alpha", 1.0)
    return MacNode(
        layer=layer, index=index, node=node, layout=_layout(graph, node, layer, places, side),
        activation=activation, dynamic=dynamic,
        alpha=float(factor) if isinstance(factor, int | float) else 1.0,
        bias=_bias(graph, node, layer), own=own,
        output=_output_scale(graph, node, places), accumulates=node.op_type in ACCUMULATE,
    )  # fmt: skip


def _layout(graph: Model, node: NodeProto, layer: Layer, places: Places, side: int) -> Layout:
    if node.op_type in CONVOLUTIONS:
        return Spatial(bool(attribute(node, "channels_last", 0)))
    if node.op_type == "MatMulNBits":
        return Matrix(layer.weight.shape, w_transposed=True)
    x, w = (graph.scope.get(node.input[places.factors[s]]) for s in (side, 1 - side))
    if w.constant is None or x.shape is None:
        raise CannotCutError("the shapes of its operands are not known")
    if node.op_type == "Einsum":
        return _einsum(node, len(x.shape), w.constant.shape, side)
    flags = [bool(attribute(node, flag, 0)) for flag in ("transA", "transB")]
    return Matrix(w.constant.shape, side == 1, flags[side], flags[1 - side])


def _einsum(node: NodeProto, rank: int, w_shape: tuple[int, ...], side: int) -> Labelled:
    ranks = [rank, len(w_shape)]
    terms, out = labels(equation_of(node), ranks[::-1] if side else ranks)
    x, w = terms[side], terms[1 - side]
    groups = "".join(c for c in w if c in x and c in out)
    contracted = "".join(c for c in w if c in x and c not in out)
    free = "".join(c for c in w if c not in x)
    return Labelled(
        x=x,
        out=out,
        groups=groups,
        contracted=contracted,
        free=free,
        sizes=dict(zip(w, w_shape, strict=True)),
    )


def _stored_scale(graph: Model, node: NodeProto, places: Places, side: int) -> ActivationScale:
    """The scale and zero point of an operator on integers, as far as they are constant."""
    at = [pair and pair[side] for pair in (places.scales, places.zeros)]
    typed = _at(node, at[1]) or node.input[places.factors[side]]
    return _scale(graph, typed, *_parameters(graph, node, *at))


def _output_scale(graph: Model, node: NodeProto, places: Places) -> ActivationScale | None:
    if places.output is None or _at(node, places.output[0]) == "":
        return None
    typed = _at(node, places.output[1])
    return _scale(graph, typed, *_parameters(graph, node, *places.output))


def _dequantised(graph: Model, name: str) -> ActivationScale | None:
    """The quantisation of a value that a DequantizeLinear gives, through what keeps elements."""
    place = graph.producers.get(name)
    while place is not None and graph.nodes[place].op_type in KEEP:
        place = graph.producers.get(graph.nodes[place].input[0])
    if place is None or graph.nodes[place].op_type != "DequantizeLinear":
        return None
    node = graph.nodes[place]
    if not graph.constants.issuperset(node.input[1:]):
        return None
    try:
        return _scale(graph, node.input[0], *_parameters(graph, node, 1, 2))
    except CannotCutError:
        return None


def _parameters(
    graph: Model, node: NodeProto, scale: int | None, zero: int | None
) -> tuple[float, int]:
    """Scale and zero point at these places: 1 and 0 where there are none or not yet."""
    return (
        float(_number(graph, _at(node, scale), 1.0)),
        int(_number(graph, _at(node, zero), 0)),
    )


def _number(graph: Model, name: str, default: float) -> float:
    if name not in graph.constants:
        return default
    constant = graph.scope.get(name).constant
    if constant is None or constant.size != 1:
        raise CannotCutError("its activation or output has more than one scale")
    return float(constant.read().item())


def _scale(graph: Model, name: str, scale: float, zero: int) -> ActivationScale:
    dtype = graph.scope.get(name).dtype if name else np.dtype(np.uint8)
    bits = width_of(dtype) if dtype is not None else None
    if dtype is None or bits is None or bits > WIDEST or not scale > 0:
        raise CannotCutError("its activation or output is of no integer type of up to 16 bits")
    return ActivationScale(scale, zero, bits, not dtype.name.startswith("u"))


def _bias(graph: Model, node: NodeProto, layer: Layer) -> Array | None:
    name = _at(node, PLACES[node.op_type].bias)
    constant = graph.scope.get(name).constant if name else None
    if not name or name not in graph.constants:
        return None
    if constant is None:
        raise CannotCutError("its bias cannot be read")
    bias = constant.read()
    if node.op_type in CONVOLUTIONS and not attribute(node, "channels_last", 0):
        bias = bias.reshape(-1, *[1] * len(layer.geometry.kernel))
    beta = attribute(node, "beta", 1.0)
    return bias * bias.dtype.type(beta) if node.op_type == "Gemm" else bias


def _at(node: NodeProto, place: int | None) -> str:
    return node.input[place] if place is not None and place < len(node.input) else ""


def _uniform(layer: Layer) -> bool:
    """Whether the stored scale of each filter is one number."""
    if layer.weight.codes is None:
        return True
    scale = np.asarray(layer.weight.codes.scale()).reshape(layer.filters, -1)
    return bool((scale == scale[:, :1]).all())
