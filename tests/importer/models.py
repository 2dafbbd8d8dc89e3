"""Small models from ONNX's text form."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

from esnsim import read_onnx
from esnsim.model.network import Layer, Network

Array = NDArray[Any]
DOMAINS = ("com.microsoft", "qonnx.custom_op.general", "onnx.brevitas", "local", "unheard.of")


def model(
    nodes: str,
    inputs: str = "float[1,3,6,5] x",
    functions: str = "",
    opset: int = 21,
    ir: int = 10,
    **initializers: Array | TensorProto,
) -> ModelProto:
    """A model whose graph has these nodes and initialisers and gives `y`."""
    imports = ", ".join(f'"{d}": {v}' for d, v in [("", opset), *((d, 1) for d in DOMAINS)])
    proto = parser.parse_model(
        f"<ir_version: {ir}, opset_import: [{imports}]> net ({inputs}) => (float[] y) {{ {nodes} }}"
        + functions
    )
    add_initializers(proto, initializers)
    return proto


def add_initializers(proto: ModelProto, arrays: dict[str, Array | TensorProto]) -> None:
    """Append arrays to the initialisers."""
    for name, array in arrays.items():
        tensor = array if isinstance(array, TensorProto) else numpy_helper.from_array(array)
        tensor.name = name
        proto.graph.initializer.append(tensor)


def constants_of_inputs(proto: ModelProto, arrays: dict[str, Array]) -> ModelProto:
    """A copy in which the inputs of these names are initialisers."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    kept = [i for i in copy.graph.input if i.name not in arrays]
    del copy.graph.input[:]
    copy.graph.input.extend(kept)
    add_initializers(copy, dict(arrays))
    return copy


def read_whole(model: Any, *given: Any) -> Network:
    """What is read, for all images of a batch that the inputs fix (see test_fixed_batch)."""
    network = read_onnx(model, *given)
    images = network.source.images
    return replace(
        network,
        source=replace(network.source, images=1),
        layers=tuple(
            replace(layer, geometry=replace(layer.geometry, images=1)) for layer in network.layers
        ),
        products=tuple(replace(p, macs=p.macs * images) for p in network.products),
        notes=tuple(note for note in network.notes if "figures are of one" not in note),
    )


def only_layer(proto: ModelProto) -> Layer:
    """The only layer of a model in which everything is counted."""
    network = read_whole(proto)
    (layer,) = network.layers
    assert not network.products
    assert not network.uncounted
    return layer


def beside_a_layer(proto: ModelProto) -> ModelProto:
    """A copy with a matrix product of one weight, without which a network would have no layer."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    copy.graph.input.append(helper.make_tensor_value_info("unit", TensorProto.FLOAT, [1, 1]))
    copy.graph.node.append(helper.make_node("MatMul", ["unit", "one"], ["unit_y"]))
    copy.graph.initializer.append(numpy_helper.from_array(ramp(1, 1), "one"))
    return copy


def only_products(proto: ModelProto) -> int:
    """MACs of a model that has products of activations and no weights."""
    network = read_whole(beside_a_layer(proto))
    assert len(network.layers) == 1
    assert not network.uncounted
    return sum(product.macs for product in network.products)


def ramp(*shape: int, dtype: Any = np.float32) -> Array:
    """Distinct values in order, so that a transposition shows."""
    return np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(dtype)
