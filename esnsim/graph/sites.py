"""Where the weight of each float layer stands in the graph, and how it lies there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from onnx import NodeProto

from esnsim.graph.model import Model
from esnsim.importer.constants import attribute
from esnsim.model.network import Array, Layer, Skipped

OPERATORS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
RECURRENT = {"GRU", "LSTM", "RNN"}  # which read two weights, of their inputs and of their state
FLOATS = {"float16", "float32", "float64", "bfloat16"}
BIAS = 2  # place of the bias among the inputs of Conv, ConvTranspose and Gemm


class Slot(NamedTuple):
    """A constant that a node reads: the node's place in the graph, and which of its inputs."""

    place: int
    input: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A layer's weight in the graph: input `input` of the node at `place`.

    `index` is the layer's in the network. `bias` is the place of the bias among the node's
    inputs, None where it has none. `shape` is the weight's as the node reads it; `columns` says
    that a matrix product's filters lie along its last axis.
    """

    index: int
    layer: Layer
    place: int
    input: int
    bias: int | None
    shape: tuple[int, ...]
    columns: bool = False

    @property
    def slot(self) -> Slot:
        """Where the weight stands."""
        return Slot(self.place, self.input)

    def to_operand(self, weights: Array) -> Array:
        """Weights (M, C/g, *kernel) as the node reads them."""
        if self.layer.op == "ConvTranspose":
            groups, (filters, fan_in) = self.layer.geometry.groups, weights.shape[:2]
            split = weights.reshape(groups, filters // groups, fan_in, *weights.shape[2:])
            return split.swapaxes(1, 2).reshape(self.shape)
        if self.columns:
            *batch, fan_in, filters = self.shape
            return weights.reshape(*batch, filters, fan_in).swapaxes(-1, -2)
        return weights.reshape(self.shape)

    def from_operand(self, operand: Array) -> Array:
        """Weights as the node reads them -> (M, C/g, *kernel)."""
        shape = self.layer.weight.shape
        if self.layer.op == "ConvTranspose":
            groups = self.layer.geometry.groups
            split = operand.reshape(groups, shape[1], shape[0] // groups, *shape[2:])
            return split.swapaxes(1, 2).reshape(shape)
        return (operand.swapaxes(-1, -2) if self.columns else operand).reshape(shape)


def sites(model: Model) -> tuple[Site, ...]:
    """The layers whose weights can be exchanged: float, in an operator of the graph's top level.

    The others are told by `unquantisable_layers`.
    """
    found = [_site(model, place, index) for place, index in model.layer_at.items()]
    cells = [place for place, node in enumerate(model.nodes) if node.op_type in RECURRENT]
    found += [_of_cell(model, place, side) for place in cells for side in (1, 2)]
    return tuple(sorted((site for site in found if site is not None), key=lambda site: site.index))


def first_uses(found: Sequence[Site]) -> dict[int, int]:
    """For each layer the first that has its weight in the same shape and groups: it, or another."""
    first: dict[object, int] = {}
    return {
        site.index: first.setdefault(
            (site.layer.weight.origin, site.shape, site.columns, site.layer.geometry.groups),
            site.index,
        )
        for site in found
    }


def unquantisable_layers(model: Model) -> tuple[Skipped, ...]:
    """The layers that `sites` leaves out, each with the reason."""
    top = set(model.layer_at.values())
    exchanged = {site.index for site in sites(model)}
    return tuple(
        Skipped(layer, _reason(layer, index in top))
        for index, layer in enumerate(model.network.layers)
        if index not in exchanged
    )


def _site(model: Model, place: int, index: int) -> Site | None:
    node, layer = model.nodes[place], model.network.layers[index]
    if node.op_type not in OPERATORS or layer.weight.codes is not None:
        return None
    constants = [model.scope.get(name).constant for name in node.input[:2]]
    side = 1 if constants[1] is not None else 0
    weight = constants[side]
    if weight is None or node.input[side] not in model.constants or weight.dtype.name not in FLOATS:
        return None
    bias = BIAS if len(node.input) > BIAS and node.input[BIAS] else None
    return Site(
        index=index,
        layer=layer,
        place=place,
        input=side,
        bias=bias,
        shape=weight.shape,
        columns=_columns(node, side, weight.shape),
    )


def _of_cell(model: Model, place: int, side: int) -> Site | None:
    """A weight (directions, gates·H, fan-in) of a recurrent node that no other such node has."""
    node = model.nodes[place]
    weight = model.scope.get(node.input[side]).constant
    if weight is None or node.domain or node.input[side] not in model.constants:
        return None
    alike = [
        (index, layer) for index, layer in enumerate(model.network.layers)
        if layer.op == node.op_type and layer.weight.origin == weight.origin
    ]  # fmt: skip
    if len(alike) != 1 or alike[0][1].weight.codes is not None or weight.dtype.name not in FLOATS:
        return None
    [(index, layer)] = alike
    return Site(index=index, layer=layer, place=place, input=side, bias=None, shape=weight.shape)


def _columns(node: NodeProto, side: int, shape: tuple[int, ...]) -> bool:
    """Whether the filters of a matrix product lie along the weight's last axis."""
    if node.op_type not in ("Gemm", "MatMul") or len(shape) < 2:
        return False
    return bool(attribute(node, "transB" if side else "transA", 0)) != bool(side)


def _reason(layer: Layer, top: bool) -> str:
    if layer.weight.codes is not None:
        return "it is quantised already"
    if layer.op not in OPERATORS | RECURRENT:
        return f"weights of {layer.op} stay as they are"
    if not top:
        return "it is inside an If, a Loop, a Scan or a function"
    return "its weights are not stored as floats"
