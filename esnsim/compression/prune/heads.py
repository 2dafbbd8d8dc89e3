"""Products of two activations, as attention has them, and the heads that it splits channels into.

Queries times keys sum over the channels of a head: a channel of one goes with that of the other, if
one of them is 0 where it is masked. Values keep their channels apart, and what reads the product
loses them with it. Heads lie along an axis of their own, so all of them lose the same places.
"""

import numpy as np
from onnx import NodeProto

from esnsim.compression.prune.ties import Ties, axes_of, ids_of
from esnsim.graph.model import Model
from esnsim.importer.channels import ELEMENTWISE, MOVES
from esnsim.importer.shapes import STANDARD
from esnsim.model.network import Ids

#: Elementwise operators that give 0 for 0.
ZERO = {
    "Abs", "Cast", "Celu", "Dropout", "Elu", "Erf", "Gelu", "HardSwish", "Identity", "LeakyRelu",
    "Mish", "Neg", "PRelu", "Relu", "Selu", "Sign", "Sin", "Softsign", "Sqrt", "Swish", "Tanh",
}  # fmt: skip

NORMS = {"BatchNormalization", "InstanceNormalization"}  # scale and shift are 0 there


def is_product(graph: Model, node: NodeProto) -> bool:
    """Whether a node multiplies matrices that are both activations."""
    constants = [graph.scope.get(name).constant for name in node.input]
    return node.op_type == "MatMul" and node.domain in STANDARD and constants == [None, None]


def tie_product(graph: Model, ties: Ties, node: NodeProto, title: str, zero: set[str]) -> None:
    """Channels that a product sums over go together; those that it leaves apart pass.

    `zero` are the activations that are 0 where channels go, see `zeros`.
    """
    ids = [each for name in node.input if (each := ids_of(graph, name)) is not None]
    for each in ids:
        flat = np.atleast_2d(each)
        by_place = flat.reshape(-1, *flat.shape[-2:]).transpose(1, 2, 0)
        ties.together(by_place.reshape(-1, by_place.shape[2]), f"{title} has as many of each head")
    given = ids_of(graph, node.output[0])
    if given is not None:
        for name in node.input:
            _tie_passed(ties, ids_of(graph, name), given, title, name in zero)
        return
    pairs = _summed(graph, node)
    if pairs is None:
        for each in ids:
            ties.pin(each, f"{title} reads what they make, and may mix channels")
    elif zero.isdisjoint(node.input):
        for each in ids:
            ties.pin(each, f"{title} reads what is not 0 where they go")
    else:
        ties.tie(*pairs, f"{title} meets channels that stay")


def _tie_passed(ties: Ties, ids: Ids | None, given: Ids, title: str, zero: bool) -> None:
    """Tie the channels of an operand to those of the product, `given`, where they pass."""
    if ids is None:
        return
    placed = ids.reshape((1,) * (given.ndim - ids.ndim) + ids.shape)
    left, right = np.broadcast_arrays(placed, given)
    if zero or (left == right).all():
        ties.tie(left, right, f"{title} meets channels that stay")
    else:  # what is not 0 is multiplied by sums that vary
        ties.pin(ids, f"{title} reads what is not 0 where they go")


def _summed(graph: Model, node: NodeProto) -> tuple[Ids, Ids] | None:
    """The ids of both operands along the axis that a product sums over, None where others vary."""
    left, right = (ids_of(graph, name) for name in node.input)
    if left is None or right is None or min(left.ndim, right.ndim) < 2:
        return None
    if left.shape[-2] != 1 or right.shape[-1] != 1:
        return None
    pair = np.broadcast_arrays(left[..., 0, :], right[..., 0])
    return pair[0], pair[1]


def met(graph: Model) -> Ids:
    """The ids over which products of activations sum."""
    pairs = [_summed(graph, node) for node in graph.nodes if is_product(graph, node)]
    found = [ids.ravel() for pair in pairs if pair for ids in pair]
    return np.unique(np.concatenate([np.empty(0, np.int32), *found]))


def zeros(graph: Model) -> set[str]:
    """The activations that are 0 where a masked model's filters go, in one walk over the nodes."""
    found: set[str] = set()
    for place, node in enumerate(graph.nodes):
        if place in graph.layer_at or node.op_type in NORMS or _keeps_zero(graph, node, found):
            found.update(node.output)
    return found


def _keeps_zero(graph: Model, node: NodeProto, zero: set[str]) -> bool:
    """Whether a node gives 0 where those of its inputs that are in `zero` do."""
    given = [n for n in node.input if n and graph.scope.get(n).constant is None]
    if node.op_type in ("Add", "Sub"):
        output = node.output[0]
        return all(n in zero if n in given else _cut(graph, n, output) for n in node.input)
    if node.op_type == "Mul":
        return not zero.isdisjoint(given)
    return node.op_type in MOVES | ZERO | {"Div"} and zero.issuperset(given)


def _cut(graph: Model, constant: str, output: str) -> bool:
    """Whether a constant that is added has a value for each channel, 0 in a masked model."""
    ids, shape = ids_of(graph, output), graph.scope.get(constant).shape or ()
    if ids is None or constant not in graph.constants:
        return False
    axis = _channel_axis(ids) - ids.ndim + len(shape)
    return axis >= 0 and shape[axis] > 1


def in_heads(graph: Model) -> set[str]:
    """Activations whose channels lie along several axes on the way to or from a product."""
    beside: dict[str, set[str]] = {}
    reached: list[str] = []
    for node in graph.nodes:
        names = [n for n in (*node.input, *node.output) if n and _spread(graph, n)]
        product = is_product(graph, node)
        reached += names if product else []
        if product or (node.op_type in MOVES | ELEMENTWISE and node.domain in STANDARD):
            for name in names:
                beside.setdefault(name, set()).update(names)
    found: set[str] = set()
    while reached:
        name = reached.pop()
        if name not in found:
            found.add(name)
            reached += beside[name]
    return found


def _spread(graph: Model, name: str) -> bool:
    ids = ids_of(graph, name)
    return ids is not None and len(axes_of(ids)) > 1


def by_channel(ids: Ids) -> Ids:
    """Ids of all heads by the channel within a head (d, heads)."""
    axis = _channel_axis(ids)
    return np.moveaxis(ids, axis, 0).reshape(ids.shape[axis], -1)


def _channel_axis(ids: Ids) -> int:
    """The axis along which ids lie closest: that of the channels of a head."""

    def apart(axis: int) -> int:
        return int(np.abs(np.diff(ids.take([0, 1], axis), axis=axis)).min())

    return min(axes_of(ids), key=apart, default=0)
