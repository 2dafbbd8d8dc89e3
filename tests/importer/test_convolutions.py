"""Convolutions of every geometry: what is read gives the outputs that ONNX Runtime gives."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from esnsim import Geometry, ModelError
from tests.importer.models import Array, add_initializers, model, only_layer, ramp, read_whole
from tests.naive.convolution import convolve
from tests.strategies import geometries


def convolution(geometry: Geometry, x: Array, w: Array, **attributes: Any) -> ModelProto:
    """One Conv or ConvTranspose of this geometry; `attributes` replace or drop (None) some."""
    g = geometry
    given_attributes = {
        "strides": g.strides, "dilations": g.dilations, "group": g.groups,
        "pads": [before for before, _ in g.pads] + [after for _, after in g.pads],
    }  # fmt: skip
    if g.transposed:
        given_attributes["output_padding"] = g.output_padding
    chosen = {k: v for k, v in (given_attributes | attributes).items() if v is not None}
    node = helper.make_node(
        "ConvTranspose" if g.transposed else "Conv", ["x", "w"], ["y"], **chosen
    )
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "net", [info], [output])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    add_initializers(proto, {"w": w})
    return proto


def run(proto: ModelProto, x: Array) -> Array:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]  # type: ignore[no-any-return]


def operands(g: Geometry, fan_in: int, fan_out: int) -> tuple[Array, Array]:
    """Small whole numbers as x (N, C, *size) and as weights in the layout of the operator."""
    rng = np.random.default_rng(fan_in + 10 * fan_out)
    channels = fan_in * g.groups
    shape = (channels, fan_out) if g.transposed else (fan_out * g.groups, fan_in)
    x = rng.integers(-4, 5, (g.batch, channels, *g.input_size)).astype(np.float32)
    return x, rng.integers(-4, 5, (*shape, *g.kernel)).astype(np.float32)


@given(geometries(min_rank=1), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))
def test_the_geometry_that_is_read_is_the_one_that_was_written(
    geometry: Geometry, groups: int, fan_in: int, fan_out: int
) -> None:
    # ONNX Runtime wants less output padding than stride; convolutions have none.
    pairs = zip(geometry.output_padding, geometry.strides, strict=False)
    padding = tuple(min(extra, stride - 1) for extra, stride in pairs)
    geometry = replace(geometry, groups=groups, output_padding=padding)
    x, w = operands(geometry, fan_in, fan_out)
    proto = convolution(geometry, x, w)
    layer = only_layer(proto)
    assert layer.geometry == geometry
    np.testing.assert_array_equal(convolve(x, layer.weight.load(), layer.geometry), run(proto, x))


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3), (4, 1)])
@pytest.mark.parametrize("kernel", [(1, 2), (3, 4)])
def test_automatic_padding_is_onnxruntimes(
    auto_pad: str, transposed: bool, strides: tuple[int, int], kernel: tuple[int, int]
) -> None:
    geometry = Geometry(
        input_size=(7, 6), kernel=kernel, strides=strides, dilations=(1, 1),
        pads=((0, 0), (0, 0)), groups=2, transposed=transposed,
    )  # fmt: skip
    x, w = operands(geometry, 2, 1)
    proto = convolution(
        geometry, x, w, auto_pad=auto_pad, pads=None, dilations=None, output_padding=None
    )
    layer = only_layer(proto)
    np.testing.assert_array_equal(convolve(x, layer.weight.load(), layer.geometry), run(proto, x))


@pytest.mark.parametrize("output_shape", [(13, 14), (10, 15), (12, 11)])
@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
def test_an_output_shape_decides_the_padding_of_a_transposed_convolution(
    output_shape: tuple[int, int], auto_pad: str
) -> None:
    geometry = Geometry(
        input_size=(5, 4), kernel=(3, 4), strides=(2, 3), dilations=(2, 1),
        pads=((0, 0), (0, 0)), transposed=True,
    )  # fmt: skip
    x, w = operands(geometry, 2, 3)
    proto = convolution(
        geometry, x, w, auto_pad=auto_pad, pads=None, output_padding=None, output_shape=output_shape
    )
    layer = only_layer(proto)
    assert layer.geometry.output_size == output_shape
    np.testing.assert_array_equal(convolve(x, layer.weight.load(), layer.geometry), run(proto, x))


def test_a_transposed_convolution_counts_each_input_element_with_each_weight_once() -> None:
    """Stride 2 makes the output four times as large, and the products no more."""
    nodes = "y = ConvTranspose<strides=[2,2]>(x, w)"
    layer = only_layer(model(nodes, "float[1,3,8,6] x", w=ramp(3, 5, 4, 2)))
    assert layer.macs == (5 * 4 * 2) * (3 * 8 * 6)


def test_defaults_hold_where_attributes_are_missing() -> None:
    layer = only_layer(model("y = Conv(x, w)", "float[2,3,7,6] x", w=ramp(4, 3, 3, 2)))
    assert layer.geometry == Geometry(
        batch=2, input_size=(7, 6), kernel=(3, 2), strides=(1, 1), dilations=(1, 1),
        pads=((0, 0), (0, 0)),
    )  # fmt: skip


def test_a_channels_last_convolution_reads_its_channels_from_the_last_axis() -> None:
    node = "com.microsoft.QLinearConv<channels_last=1, strides=[2,1]>(x, s, z, w, s, z, s, z)"
    proto = model(
        f"h = {node} y = MatMul(h, v)", "uint8[1,7,6,3] x", s=np.float32(1), z=np.uint8(0),
        w=ramp(4, 3, 3, 2, dtype=np.uint8), v=ramp(4, 2, dtype=np.uint8),
    )  # fmt: skip
    first, second = read_whole(proto).layers
    assert (first.geometry.input_size, first.geometry.output_size) == ((7, 6), (3, 5))
    assert second.macs == 3 * 5 * 4 * 2
    np.testing.assert_array_equal(second.channels, first.first_filter + np.arange(4))


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        (
            "y = Conv<group=2>(x, w)",
            (4, 3, 3, 3),
            "'y' has weights of shape 4×3×3×3, which need 2 ×",
        ),
        ("y = Conv(x, w)", (4, 3, 3), "'y' has weights of shape 4×3×3, which need"),
        ("y = Conv(x, w)", (4, 3, 9, 3), "the kernel does not fit into the padded input"),
        ("y = Conv<kernel_shape=[2,2]>(x, w)", (4, 3, 3, 3), r"declares kernel_shape \(2, 2\) but"),
        ("y = Conv<strides=[0,1]>(x, w)", (4, 3, 3, 3), "strides, dilations must be positive"),
        ("y = Conv<strides=[1]>(x, w)", (4, 3, 3, 3), "dilations and pads differ in rank"),
        (
            "y = ConvTranspose(x, w)",
            (4, 3, 3, 3),
            "which need 4 channels, but its input is 1×3×6×5",
        ),
    ],
)
def test_a_convolution_that_cannot_be_is_refused(
    nodes: str, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        only_layer(model(nodes, w=ramp(*shape)))
