"""What each node ties or keeps."""

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import NodeProto

from esnsim.compression.prune.heads import is_product, tie_product
from esnsim.compression.prune.ties import Ties, axes_of, ids_of
from esnsim.graph.model import Model
from esnsim.graph.nodes import reads
from esnsim.graph.sites import Site
from esnsim.importer.channels import (
    ELEMENTWISE,
    MOVES,
    REDUCTIONS,
    SPATIAL,
    one_meets_several,
)
from esnsim.importer.constants import attribute
from esnsim.importer.scope import label
from esnsim.importer.shapes import STANDARD
from esnsim.model.network import CONSTANT, LIVE, Ids, Layer

#: Elementwise operators whose constants are broadcast against the channels.
ALIGNED = {
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean",
    "Min", "Mul", "Or", "PRelu", "Sub", "Sum", "Where", "Xor",
}  # fmt: skip
#: Elementwise operators that give what is not finite where a masked channel is 0, or resize.
UNSAFE = {"CastLike", "Log", "Mod", "Reciprocal"}
#: How many inputs after the first hold one value a channel.
PER_CHANNEL = {"BatchNormalization": 4, "InstanceNormalization": 2}
#: Inputs that a shape can go to: what is computed from a Shape there follows the smaller model.
SHAPES = {
    ("ConstantOfShape", 0), ("Expand", 1), ("Reshape", 1), ("Resize", 3), ("Slice", 1),
    ("Slice", 2), ("Split", 1), ("Tile", 1),
}  # fmt: skip


def filters_of(layer: Layer) -> Ids:
    """The channel ids of a layer's filters (M,)."""
    return np.arange(layer.first_filter, layer.first_filter + layer.filters, dtype=np.int32)


def whole_groups(layer: Layer) -> bool:
    """Whether a grouped convolution loses whole groups, and not the same places of each group."""
    groups = layer.geometry.groups
    return 1 < groups >= len(layer.channels) // groups


def tie_layer(graph: Model, ties: Ties, site: Site) -> None:
    """A layer: its filters are new, what it reads ends here, and groups keep their shape."""
    node, layer, own = graph.nodes[site.place], site.layer, filters_of(site.layer)
    given = ids_of(graph, node.output[0])
    if given is None or not np.array_equal(given.ravel(), own):
        ties.pin(own, "the channels that it gives can't be followed")
    if site.bias is not None and node.input[site.bias] not in graph.constants:
        ties.pin(own, "its bias is computed as the network runs")
    channels = channels_of(graph, site)
    if channels is None:
        read = ids_of(graph, node.input[1 - site.input])
        ties.pin(read, f"'{layer.name}' does not read channel by channel")
        channels = np.full(len(layer.channels), LIVE, np.int32)
    if len(site.shape) != len(layer.weight.shape):
        ties.pin(own, "it is a product of more than one matrix, or of a vector")
    groups = layer.geometry.groups
    if groups > 1:
        reason = "a channel that it reads in groups always stays"
        rows, filters = channels.reshape(groups, -1), own.reshape(groups, -1)
        if whole_groups(layer):
            ties.together(np.concatenate([rows, filters], axis=1), reason)
        else:
            ties.together(rows.T, reason)
            ties.together(filters.T, reason)


def channels_of(graph: Model, site: Site) -> Ids | None:
    """The ids (C,) that a layer reads, LIVE where not known; None where they lie on other axes."""
    ids = ids_of(graph, graph.nodes[site.place].input[1 - site.input])
    count = len(site.layer.channels)
    if ids is None:
        return np.full(count, LIVE, np.int32)
    if not {channel_axis(graph, site)}.issuperset(axes_of(ids)):
        return None
    return np.broadcast_to(ids.ravel(), count)


def channel_axis(graph: Model, site: Site) -> int:
    """The axis of the activation along which a layer reads its channels."""
    if site.layer.op in ("Conv", "ConvTranspose"):
        return 1
    node, data = graph.nodes[site.place], 1 - site.input
    rank = len(graph.scope.get(node.input[data]).shape or ())
    transposed = bool(attribute(node, "transB" if data else "transA", 0))
    return max(0, rank - (1 if transposed == bool(data) else 2))


def tie_node(graph: Model, ties: Ties, node: NodeProto, zero: set[str]) -> None:
    """Any other node: it keeps channels apart, ties those that meet, or keeps them all.

    `zero` are the activations that are 0 where channels go.
    """
    carried = {n: ids for n in reads(node) if (ids := ids_of(graph, n)) is not None}
    if not carried or node.op_type in ("Shape", "Size"):
        return
    first, *rest = node.output  # the first is computed even if nothing reads it
    outputs = [ids_of(graph, n) for n in (first, *(n for n in rest if graph.scope.uses[n]))]
    title = f"{node.op_type} '{label(node)}'"
    if is_product(graph, node):
        tie_product(graph, ties, node, title, zero)
    elif not _keeps_apart(graph, node, carried) or any(ids is None for ids in outputs):
        mixer = _mixer(graph, node)
        reason = f"{title} reads what they make, and may mix channels"
        if mixer is not node:
            reason = (
                f"{title} joins them with what {mixer.op_type} '{label(mixer)}' makes of channels"
            )
        for ids in carried.values():
            ties.pin(ids, reason)
    elif node.op_type in ELEMENTWISE:
        given = outputs[0]
        assert given is not None
        for name, ids in carried.items():
            if one_meets_several(graph.scope.get(name), given):
                ties.pin(ids, f"{title} meets several channels with this one")
                continue
            placed = ids.reshape((1,) * (given.ndim - ids.ndim) + ids.shape)
            left, right = np.broadcast_arrays(placed, given)
            left = np.where(left == CONSTANT, right, left)  # added zeros go with what they meet
            ties.tie(left, right, f"{title} meets channels that stay")


def _mixer(graph: Model, node: NodeProto) -> NodeProto:
    """The node that the channels were lost at: this one, or one before what it joins."""
    while node.op_type in ELEMENTWISE:
        before = [graph.producers[name] for name in node.input if _unknown(graph, name)]
        if not before:
            break
        node = graph.nodes[before[0]]
    return node


def _unknown(graph: Model, name: str) -> bool:
    """Whether a computed value has no channel ids."""
    computed = name in graph.producers and name not in graph.constants
    return computed and ids_of(graph, name) is None


def tie_shared(ties: Ties, sites: Sequence[Site]) -> None:
    """Layers that share a weight lose the same filters and read the same channels."""
    first: dict[tuple[object, ...], Layer] = {}
    for site in sites:
        layer = site.layer
        key = layer.weight.origin, layer.op, site.shape, site.columns, layer.geometry.groups
        other = first.setdefault(key, layer)
        reason = f"its weight is shared with '{other.name}', which reads channels that stay"
        ties.tie(filters_of(layer), filters_of(other), reason)
        ties.tie(layer.channels, other.channels, reason)


def keep_shapes(graph: Model, ties: Ties) -> None:
    """Numbers of channels that are computed as the network runs may go into shapes, else stay."""
    sized: dict[str, list[Ids]] = {}
    for node in graph.nodes:
        if node.op_type in ("Shape", "Size"):
            ids = ids_of(graph, node.input[0])
            sized |= {} if ids is None else {node.output[0]: [ids]}
            continue
        used = [ids for name in _arithmetic(node) for ids in sized.get(name, ())]
        if all(graph.scope.get(name).constant is not None for name in node.output if name):
            sized |= dict.fromkeys(node.output, used) if used else {}
            continue
        for ids in used:
            ties.pin(ids, f"{node.op_type} '{label(node)}' computes with their number")
    for output in graph.proto.graph.output:
        for ids in sized.get(output.name, ()):
            ties.pin(ids, "the network gives their number")


def _arithmetic(node: NodeProto) -> set[str]:
    """What a node reads other than as a shape."""
    shapes = {n for place, n in enumerate(node.input) if (node.op_type, place) in SHAPES}
    return reads(node) - shapes


def _keeps_apart(graph: Model, node: NodeProto, carried: Mapping[str, Ids]) -> bool:
    """Whether each channel of the outputs is made of the same channels of the inputs alone."""
    op, rest = node.op_type, node.input[1:]
    if node.domain not in STANDARD or not carried.keys() <= set(node.input):
        return False
    if op in ELEMENTWISE:
        return _elementwise(graph, node, carried)
    if op in PER_CHANNEL:
        return graph.constants.issuperset(rest[: PER_CHANNEL[op]])
    if op == "Gather":
        index = graph.scope.get(rest[0]).constant
        return rest[0] in graph.constants and index is not None and len(index.shape) < 2
    if op == "Slice":
        return _contiguous(graph, node)
    if op == "Split":
        return graph.constants.issuperset(name for name in rest if name)
    return op in SPATIAL or op in REDUCTIONS or op in MOVES or op == "Pad"


def _elementwise(graph: Model, node: NodeProto, carried: Mapping[str, Ids]) -> bool:
    op, inputs = node.op_type, [name for name in node.input if name]
    if op in UNSAFE or (op in ("Div", "Pow") and inputs[1] in carried):
        return False
    constants = [graph.scope.get(name).constant for name in inputs]
    if op == "Pow" and constants[1] is not None and constants[1].read().min() < 0:
        return False
    alone = all(c is None or c.size == 1 for c in constants)
    return alone or (op in ALIGNED and attribute(node, "broadcast") is None)


def _contiguous(graph: Model, node: NodeProto) -> bool:
    """Whether a Slice takes channels one after the other, between bounds that can be rewritten."""
    ids = ids_of(graph, node.input[0])
    bounds = slice_bounds(graph, node)
    along = [b for b in bounds or () if ids is not None and b[0] in axes_of(ids)]
    if bounds is None or any(step != 1 for _, _, _, step in along):
        return False
    return not along or len(bounds) == 1 or graph.constants.issuperset(node.input[1:3])


def slice_bounds(graph: Model, node: NodeProto) -> list[tuple[int, int, int, int]] | None:
    """(axis, start, end, step) of a Slice, axes counted from 0; None where not stored."""
    numbers: list[list[int] | None] = []
    for place, name in enumerate(("starts", "ends", "axes", "steps"), 1):
        given = attribute(node, name)
        if place < len(node.input) and node.input[place]:
            constant = graph.scope.get(node.input[place]).constant
            if constant is None:
                return None
            given = [int(n) for n in constant.read().ravel()]
        numbers.append(given if isinstance(given, list) else None)
    starts, ends, axes, steps = numbers
    shape = graph.scope.get(node.input[0]).shape
    if starts is None or ends is None or shape is None:
        return None
    axes = [axis % len(shape) for axis in axes or range(len(starts))]
    return list(zip(axes, starts, ends, steps or [1] * len(starts), strict=True))
