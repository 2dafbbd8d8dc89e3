"""Cases made by others: the specification's node tests and PyTorch's, from the onnx wheel.

A convolution with the layer's weights and geometry gives the expected outputs, which proves both.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper

from esnsim.model.network import Layer
from tests.importer.cases import cases
from tests.importer.models import Array, constants_of_inputs, only_layer, only_products, read_whole
from tests.naive.convolution import convolve, multiplications

DATA = Path(onnx.__file__).parent / "backend/test/data"
CONVERTED = sorted(
    folder
    for folder in (DATA / "pytorch-converted").iterdir()
    if folder.name.startswith(("test_Conv", "test_Linear"))
)


def read(proto: ModelProto, inputs: dict[str, Array], *constant: int) -> tuple[Layer, list[Array]]:
    """The layer where all inputs but the activation are constant, and the node's operands."""
    node = proto.graph.node[0]
    weights = {name: inputs[name] for i, name in enumerate(node.input) if i in constant}
    layer = only_layer(constants_of_inputs(proto, weights))
    return layer, [inputs[name] for name in node.input]


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    found = [helper.get_attribute_value(a) for a in node.attribute if a.name == name]
    return found[0] if found else default


def check_convolution(layer: Layer, x: Array, expected: Array) -> None:
    y = convolve(x, layer.weight.load(), layer.geometry)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert layer.geometry.batch == len(x)
    assert layer.macs == multiplications(layer.weight.load(), layer.geometry, len(x))


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_convolving_with_what_was_read_gives_the_specifications_output(op_type: str) -> None:
    for proto, inputs, expected in cases(op_type):
        layer, (x, *_) = read(proto, inputs, 1)
        check_convolution(layer, x, expected)


@pytest.mark.parametrize("folder", CONVERTED, ids=lambda folder: folder.name)
def test_convolving_with_what_was_read_gives_pytorchs_output(folder: Path) -> None:
    data = folder / "test_data_set_0"
    x, expected = (
        numpy_helper.to_array(onnx.load_tensor(data / f"{name}_0.pb"))
        for name in ("input", "output")
    )
    network = read_whole(folder / "model.onnx")
    (layer,) = network.layers
    graph = onnx.load(folder / "model.onnx").graph
    biases = [numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) == 1]
    for bias in biases:
        expected = expected - bias.reshape(-1, *[1] * (expected.ndim - 2))
    check_convolution(layer, x, expected)


def test_deformable_convolution_has_its_weights_and_output_size() -> None:
    for proto, inputs, expected in cases("DeformConv"):
        layer, (_, w, *_) = read(proto, inputs, 1)
        np.testing.assert_array_equal(layer.weight.load(), w)
        assert (1, layer.filters, *layer.geometry.output_size) == expected.shape


def test_gemm_has_the_weights_of_its_second_operand_whichever_way_they_lie() -> None:
    for proto, inputs, expected in cases("Gemm"):
        layer, (a, _, *c) = read(proto, inputs, 1, 2)
        node = proto.graph.node[0]
        alpha, beta = _attribute(node, "alpha", 1.0), _attribute(node, "beta", 1.0)
        x = a.T if _attribute(node, "transA", 0) else a
        y = alpha * convolve(x, layer.weight.load(), layer.geometry)
        np.testing.assert_allclose(y + (beta * c[0] if c else 0), expected, rtol=1e-5)
        assert layer.geometry.batch == len(x)


@pytest.mark.parametrize("constant", [0, 1])
def test_matmul_has_the_weights_of_its_constant_operand(constant: int) -> None:
    for proto, inputs, expected in cases("MatMul"):
        layer, operands = read(proto, inputs, constant)
        w = operands[constant]
        weights = layer.weight.load()
        *batch, _, _ = (1, 1, *w.shape)[-max(2, w.ndim) :]
        matrices = weights.reshape(*batch, -1, weights.shape[1])
        rebuilt = matrices if constant == 0 else matrices.swapaxes(-1, -2)
        operands[constant] = rebuilt.reshape(w.shape)
        np.testing.assert_allclose(np.matmul(*operands), expected, rtol=1e-5)
        assert layer.macs == expected.size * weights.shape[1]


def test_matmul_of_two_activations_is_a_product_without_weights() -> None:
    for proto, inputs, expected in cases("MatMul"):
        (k,) = inputs[proto.graph.node[0].input[0]].shape[-1:]
        assert only_products(proto) == expected.size * k


def test_convinteger_has_integers_without_their_zero_points() -> None:
    for proto, inputs, expected in cases("ConvInteger"):
        layer, (x, _, x_zero, *_) = read(proto, inputs, 1, 2, 3)
        assert layer.weight.codes is not None
        check_convolution(layer, x.astype(np.int32) - x_zero, expected)


def test_qlinearconv_has_integers_whose_convolution_requantises_to_the_output() -> None:
    for proto, inputs, expected in cases("QLinearConv"):
        layer, (x, x_scale, x_zero, _, w_scale, _, y_scale, y_zero) = read(
            proto, inputs, *range(1, 8)
        )
        y = convolve(x.astype(np.int32) - x_zero, layer.weight.load(), layer.geometry)
        requantised = np.rint(y * (x_scale * w_scale / y_scale)) + y_zero
        np.testing.assert_array_equal(np.clip(requantised, 0, 255), expected)


def test_matmulinteger_has_integers_without_their_zero_points() -> None:
    for proto, inputs, expected in cases("MatMulInteger"):
        layer, (a, _, a_zero, _) = read(proto, inputs, 1, 2, 3)
        check_convolution(layer, a.astype(np.int32) - a_zero, expected)


@pytest.mark.parametrize("constant", [0, 3])
def test_qlinearmatmul_has_integers_without_their_zero_points(constant: int) -> None:
    for proto, inputs, _ in cases("QLinearMatMul"):
        layer, operands = read(proto, inputs, constant, *{1, 2, 4, 5, 6, 7})
        w, scale, zero = operands[constant : constant + 3]
        integers = w.astype(np.int32) - zero
        wanted = integers if constant == 0 else integers.swapaxes(-1, -2)
        np.testing.assert_array_equal(layer.weight.load().reshape(wanted.shape), wanted)
        assert layer.weight.codes is not None
        assert (layer.weight.codes.scale() == scale).all()


def as_weight(proto: ModelProto, inputs: dict[str, Array], *more: NodeProto) -> Layer:
    """The layer whose weights are the flattened output of a case's node and of `more`."""
    copy = constants_of_inputs(proto, inputs)
    copy.graph.node.extend(more)
    last = copy.graph.node[-1].output[0]
    copy.graph.node.append(helper.make_node("Flatten", [last], ["flat"], axis=0))
    copy.graph.node.append(helper.make_node("MatMul", ["flat", "activation"], ["product"]))
    size = [next(iter(inputs.values())).size, 1]
    info = helper.make_tensor_value_info("activation", onnx.TensorProto.FLOAT, size)
    copy.graph.input.append(info)
    return only_layer(copy)


def test_dequantizelinear_gives_the_integers_and_steps_of_the_specifications_output() -> None:
    for proto, inputs, expected in cases("DequantizeLinear"):
        layer = as_weight(proto, inputs)
        codes = layer.weight.codes
        floats = inputs["x"].dtype.name.startswith("float")
        assert (codes is None) == floats
        scale = codes.scale() if codes else 1
        np.testing.assert_array_equal((layer.weight.load() * scale).ravel(), expected.ravel())


def test_quantizelinear_then_dequantizelinear_gives_the_integers_of_the_specification() -> None:
    for proto, inputs, expected in cases("QuantizeLinear"):
        node = proto.graph.node[0]
        where = {k: _attribute(node, k, d) for k, d in [("axis", 1), ("block_size", 0)]}
        back = helper.make_node(
            "DequantizeLinear", [node.output[0], *node.input[1:]], ["back"], **where
        )
        layer = as_weight(proto, inputs, back)
        if expected.dtype.name.startswith("float"):
            assert layer.weight.codes is None
        else:
            scale, *zero = (inputs[name] for name in node.input[1:])
            zeros = (zero[0] if zero else np.zeros_like(scale)).astype(np.int32)
            integers = expected.astype(np.int32) - _spread(zeros, expected, **where)
            np.testing.assert_array_equal(layer.weight.load().ravel(), integers.ravel())


def _spread(values: Array, like: Array, axis: int, block_size: int) -> Array:
    if block_size:
        return np.repeat(values, block_size, axis)[tuple(map(slice, like.shape))]
    along = [-1 if a == axis else 1 for a in range(like.ndim)]
    return values.reshape(along) if values.size > 1 else values
