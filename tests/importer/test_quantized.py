"""Models that are quantised already: their integers, zero point removed, are the codes."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from esnsim import ModelError
from tests.importer.models import model, only_layer, ramp, read_whole
from tests.importer.quantized_layers import FLOATS, check, integers, positive, wide
from tests.naive.quantized import quantize_linear

CONV, CONV_X = "y = Conv(x, w)", "float[1,3,5,4] x"


# QDQ --------------------------------------------------------------------------------------------

TYPES = [
    (np.int8, 8), (np.uint8, 8), (ml_dtypes.int4, 4), (ml_dtypes.uint4, 4), (ml_dtypes.int2, 2),
    (ml_dtypes.uint2, 2), (np.int16, 16), (np.uint16, 16),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "bits"), TYPES)
@pytest.mark.parametrize("zero", [None, 0, 1])
def test_dequantizelinear_per_tensor_removes_the_zero_point(
    dtype: Any, bits: int, zero: int | None
) -> None:
    q, scale = integers(4, 3, 3, 1, dtype=dtype), np.float32(0.3)
    zeros = {} if zero is None else {"z": np.array(zero, dtype)}
    nodes = f"w = DequantizeLinear(q, s{', z' if zeros else ''}) {CONV}"
    layer = only_layer(model(nodes, CONV_X, opset=25, q=q, s=scale, **zeros))
    check(layer, wide(q) - (zero or 0), scale, bits, bool(zero))


def test_a_scale_of_one_element_is_per_tensor_on_any_axis() -> None:
    q, scale = integers(4, 3, 3, 1), positive(1)
    layer = only_layer(model(f"w = DequantizeLinear(q, s) {CONV}", CONV_X, q=q, s=scale))
    check(layer, wide(q), scale, 8)


def test_dequantizelinear_of_a_convolution_is_per_filter_on_axis_0() -> None:
    q, scale, zero = integers(4, 3, 3, 1), positive(4), integers(4)
    nodes = f"w = DequantizeLinear<axis=0>(q, s, z) {CONV}"
    layer = only_layer(model(nodes, CONV_X, q=q, s=scale, z=zero))
    column = (-1, 1, 1, 1)
    check(layer, wide(q) - wide(zero).reshape(column), scale.reshape(column), 8, True)


def test_dequantizelinear_of_a_transposed_convolution_is_per_filter_of_a_group_on_axis_1() -> None:
    q, scale = integers(4, 3, 2, 1), positive(3)  # two groups of two channels, three filters
    nodes = "w = DequantizeLinear(q, s) y = ConvTranspose<group=2>(x, w)"
    layer = only_layer(model(nodes, "float[1,4,5,4] x", q=q, s=scale))
    canonical = np.concatenate([wide(q)[g : g + 2].swapaxes(0, 1) for g in (0, 2)])
    check(layer, canonical, np.tile(scale, 2).reshape(-1, 1, 1, 1), 8)


@pytest.mark.parametrize(
    ("nodes", "shape", "axis"),
    [
        ("w = DequantizeLinear<axis=0>(q, s) y = Gemm<transB=1>(x, w)", (4, 3), 0),
        ("w = DequantizeLinear<axis=1>(q, s) y = Gemm(x, w)", (3, 4), 1),
        ("w = DequantizeLinear(q, s) y = MatMul(x, w)", (3, 4), 1),
        ("w = DequantizeLinear<axis=-1>(q, s) y = MatMul(x, w)", (3, 4), 1),
        ("w = DequantizeLinear<axis=0>(q, s) t = Transpose(w) y = MatMul(x, t)", (4, 3), 0),
        ("t = Transpose(q) w = DequantizeLinear(t, s) y = MatMul(x, w)", (4, 3), 0),
    ],
)
def test_dequantizelinear_of_a_matrix_is_per_filter(
    nodes: str, shape: tuple[int, int], axis: int
) -> None:
    q, scale = integers(*shape), positive(4)
    layer = only_layer(model(nodes, "float[2,3] x", q=q, s=scale))
    check(layer, wide(q) if axis == 0 else wide(q).T, scale[:, None], 8)


@pytest.mark.parametrize("block", [2, 3, 5, 8])
def test_blocked_dequantizelinear_repeats_scales_along_its_axis(block: int) -> None:
    blocks = -(-5 // block)
    q, scale, zero = integers(5, 4), positive(blocks, 4), integers(blocks, 4)
    nodes = f"w = DequantizeLinear<axis=0, block_size={block}>(q, s, z) y = MatMul(x, w)"
    layer = only_layer(model(nodes, "float[2,5] x", q=q, s=scale, z=zero))
    rows = np.arange(5) // block
    check(layer, (wide(q) - wide(zero)[rows]).T, scale[rows].T, 8, True)


def test_scales_that_fit_no_axis_are_refused() -> None:
    proto = model(
        "w = DequantizeLinear<axis=0>(q, s) y = MatMul(x, w)", "float[2,3] x",
        q=integers(3, 4), s=positive(4),
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"'w' has a scale or zero point of shape \(4,\) for a "):
        only_layer(proto).weight.codes.scale()  # type: ignore[union-attr]


def test_wide_integers_behind_dequantizelinear_are_floats() -> None:
    q = np.array([[1 << 20], [-(1 << 30)]], np.int32)
    nodes = "w = DequantizeLinear(q, s) y = MatMul(x, w)"
    network = read_whole(model(nodes, "float[2,2] x", q=q, s=np.float32(0.5)))
    np.testing.assert_array_equal(network.layers[0].weight.load(), q.T * np.float32(0.5))
    assert network.layers[0].weight.codes is None
    assert network.notes == ("weights of type int32 are counted as floats",)


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float4_e2m1fn])
def test_small_floats_are_floats_and_the_report_says_so(dtype: Any) -> None:
    w = np.array([[0.5, 1.5], [-3, 0]], dtype)
    nodes = "w = DequantizeLinear(q, s) y = MatMul(x, w)"
    network = read_whole(model(nodes, "float[2,2] x", opset=25, q=w, s=np.float32(2)))
    assert network.layers[0].weight.codes is None
    np.testing.assert_array_equal(network.layers[0].weight.load(), 2 * w.T.astype(np.float32))
    assert network.notes == (f"weights of type {w.dtype.name} are counted as floats",)


@pytest.mark.parametrize("move", [
    "v = Transpose<perm=[1,0,2,3]>(w) u = Transpose<perm=[1,0,2,3]>(v) y = Conv(x, u)",
    "v = Reshape(w, flat) u = Reshape(v, shape) y = Conv(x, u)",
    "v = Cast<to=10>(w) u = Cast<to=1>(v) y = Conv(x, u)",
    "a, b = Split<axis=0, num_outputs=2>(w) u = Concat<axis=0>(a, b) y = Conv(x, u)",
    "v = Gather<axis=1>(w, back) u = Gather<axis=1>(v, back) y = Conv(x, u)",
    "v = Unsqueeze(w, one) u = Squeeze(v, one) y = Conv(x, u)",
    "v = Concat<axis=1>(w, w) u = Slice(v, zero, three, one) y = Conv(x, u)",
])  # fmt: skip
def test_codes_follow_weights_that_are_moved(move: str) -> None:
    q, scale = integers(4, 3, 3, 1), positive(4)
    proto = model(
        f"w = DequantizeLinear<axis=0>(q, s) {move}", CONV_X, q=q, s=scale, flat=np.array([-1]),
        shape=np.array(q.shape), back=np.array([2, 1, 0]), one=np.array([1]), zero=np.array([0]),
        three=np.array([3]),
    )  # fmt: skip
    check(only_layer(proto), wide(q), scale.reshape(-1, 1, 1, 1), 8)


def test_integers_cast_to_floats_are_codes_of_step_1() -> None:
    q = integers(3, 4)
    layer = only_layer(model("w = Cast<to=1>(q) y = MatMul(x, w)", "float[2,3] x", q=q))
    check(layer, wide(q).T, np.float32(1), 8)


def test_what_is_computed_from_codes_is_a_float() -> None:
    nodes = "v = DequantizeLinear(q, s) w = Mul(v, v) y = MatMul(x, w)"
    q, scale = integers(3, 4), np.float32(0.5)
    layer = only_layer(model(nodes, "float[2,3] x", q=q, s=scale))
    assert layer.weight.codes is None
    np.testing.assert_array_equal(layer.weight.load(), (q.astype("f") * scale).T ** 2)


# Q and DQ of a float initialiser ----------------------------------------------------------------

TIES = "float[2,4] x"


@pytest.mark.parametrize(("dtype", "bits"), TYPES)
@pytest.mark.parametrize("zero", [0, 1])
def test_quantizelinear_of_floats_rounds_half_to_even_and_saturates(
    dtype: Any, bits: int, zero: int
) -> None:
    scale, zeros = np.array([0.5, 0.25, 1, 2, 0.125], np.float32), np.full(5, zero, dtype)
    nodes = "q = QuantizeLinear(v, s, z) w = DequantizeLinear(q, s, z) y = MatMul(x, w)"
    layer = only_layer(model(nodes, TIES, opset=25, v=FLOATS, s=scale, z=zeros))
    limits = ml_dtypes.iinfo(dtype)
    wanted = quantize_linear(FLOATS, scale, zeros, int(limits.min), int(limits.max))
    check(layer, wanted.T, scale[:, None], bits, bool(zero))


@pytest.mark.parametrize(
    ("attributes", "low", "high", "bits"),
    [("", 0, 255, 8), ("<output_dtype=3>", -128, 127, 8), ("<output_dtype=22>", -8, 7, 4)],
)
def test_quantizelinear_without_zero_point_is_uint8_unless_it_names_a_type(
    attributes: str, low: int, high: int, bits: int
) -> None:
    nodes = f"q = QuantizeLinear{attributes}(v, s) w = DequantizeLinear(q, s) y = MatMul(x, w)"
    scale = np.float32(0.5)
    layer = only_layer(model(nodes, TIES, opset=23, v=FLOATS, s=scale))
    check(layer, quantize_linear(FLOATS, scale, np.int32(0), low, high).T, scale, bits)


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-8, 7, 4), (-7, 7, 4), (-2, 1, 2), (-1, 1, 2), (-32, 31, 6)]
)
def test_a_clip_between_them_narrows_the_width(low: int, high: int, bits: int) -> None:
    nodes = """q = QuantizeLinear(v, s, z) c = Clip(q, low, high) w = DequantizeLinear(c, s, z)
               y = MatMul(x, w)"""
    scale, limits = np.float32(0.25), {"low": np.int8(low), "high": np.int8(high)}
    layer = only_layer(model(nodes, TIES, v=FLOATS, s=scale, z=np.int8(0), **limits))
    check(layer, quantize_linear(FLOATS, scale, np.int32(0), low, high).T, scale, bits)


def test_an_unsigned_clip_counts_its_bits_without_a_sign() -> None:
    nodes = """q = QuantizeLinear(v, s, z) c = Clip(q, low, high) w = DequantizeLinear(c, s, z)
               y = MatMul(x, w)"""
    limits = {"low": np.uint8(0), "high": np.uint8(15)}
    scale, zero = np.float32(0.25), np.uint8(6)
    layer = only_layer(model(nodes, TIES, v=FLOATS, s=scale, z=zero, **limits))
    check(layer, quantize_linear(FLOATS, scale, zero, 0, 15).T, scale, 4, True)


# Stored types -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["INT4", "UINT4", "INT2", "UINT2", "INT8", "UINT8", "INT16", "UINT16"]
)
def test_integers_in_typed_fields_and_in_raw_data_are_alike(name: str, tmp_path: Any) -> None:
    data_type = TensorProto.DataType.Value(name)
    dtype = helper.tensor_dtype_to_np_dtype(data_type)
    q = integers(7, 701, dtype=dtype)  # an odd number of codes, more than a small constant has
    typed = helper.make_tensor("q", data_type, q.shape, q.astype(np.int32).ravel())
    layers = []
    for tensor in (typed, q):
        proto = model(
            "w = DequantizeLinear(q, s) y = Gemm<transB=1>(x, w)", "float[2,701] x", opset=25,
            q=tensor, s=np.float32(1),
        )  # fmt: skip
        path = tmp_path / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        layers += [*read_whole(path).layers, only_layer(proto)]
    for layer in layers:
        np.testing.assert_array_equal(layer.weight.load(), wide(q))


def test_the_report_says_that_weights_are_asymmetric() -> None:
    nodes = f"w = DequantizeLinear(q, s, z) {CONV}"
    proto = model(nodes, CONV_X, q=integers(4, 3, 1, 1), s=np.float32(1), z=np.int8(3))
    assert read_whole(proto).notes == (
        "some weights are asymmetric: their zero point is one activation sum",
    )


def test_a_zero_point_in_the_middle_of_an_unsigned_range_is_symmetric() -> None:
    q, zero = integers(4, 3, 3, 1, dtype=np.uint8), np.uint8(128)
    proto = model(f"w = DequantizeLinear(q, s, z) {CONV}", CONV_X, q=q, s=np.float32(1), z=zero)
    check(only_layer(proto), wide(q) - 128, np.float32(1), 8, asymmetric=False)


def test_quantised_weights_are_named_by_the_tensor_that_holds_them() -> None:
    nodes = f"w = DequantizeLinear(q, s) {CONV}"
    layer = only_layer(model(nodes, CONV_X, q=ramp(4, 3, 1, 1, dtype=np.int8), s=np.float32(1)))
    assert layer.weight.origin == "q"
