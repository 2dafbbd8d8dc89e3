"""Activations in integers too: a QuantizeLinear and a DequantizeLinear before every operator."""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto

from esnsim.compression.export.export import names_of, titles_of
from esnsim.compression.export.stored import Parts
from esnsim.errors import ModelError
from esnsim.evaluate.feeds import Feeds
from esnsim.graph.model import open_model
from esnsim.graph.substitute import replace_nodes
from esnsim.images.sets import ImageSet
from esnsim.machines.activations import ActivationScale
from esnsim.run import activation_scales, cut

BITS = 8


def with_activations(
    model: ModelProto, images: ImageSet, shapes: Mapping[str, tuple[int, ...]], threads: int = 0
) -> ModelProto:
    """The model with its activations in eight bits, unsigned, their ranges those over `images`.

    Only what feeds a counted operator is quantised, and what is already stays as it is. Raises
    ModelError for activations that are no float32.
    """
    graph = cut(open_model(model, shapes), threads)
    batches = (feed for feed, _ in Feeds(graph.graph, images).whole())
    scales = activation_scales(graph, batches, BITS)
    at = {mac.result: mac for mac in graph.macs if mac.index in scales}
    new = ModelProto()
    new.CopyFrom(model)
    parts, pairs = Parts(taken=names_of(new), titles=titles_of(new)), dict[str, str]()
    nodes: list[NodeProto] = []
    for node in new.graph.node:
        mac = at.get(node.output[0])
        if mac is not None:
            name = node.input[mac.activation]
            _check_type(graph.graph.scope.get(name).dtype, mac.layer.name)
            if name not in pairs:
                pairs[name] = _pair(name, scales[mac.index], parts)
                nodes += parts.nodes[-2:]
            node.input[mac.activation] = pairs[name]
        nodes.append(node)
    replace_nodes(new.graph, nodes)
    new.graph.initializer.extend(parts.tensors)
    return new


def _pair(name: str, scale: ActivationScale, parts: Parts) -> str:
    """Add both nodes for a value; the name of what comes out."""
    step = parts.constant(f"{name}_scale", np.float32(scale.scale))
    zero = parts.constant(f"{name}_zero_point", np.uint8(scale.zero_point))
    codes = parts.fresh(f"{name}_quantized")
    parts.node("QuantizeLinear", [name, step, zero], codes)
    return parts.node("DequantizeLinear", [codes, step, zero], parts.fresh(f"{name}_dequantized"))


def _check_type(dtype: np.dtype[np.generic] | None, name: str) -> None:
    if dtype != np.float32:
        raise ModelError(
            f"the activation of layer '{name}' is of type {dtype}: --activations takes float32; "
            "convert the model"
        )
