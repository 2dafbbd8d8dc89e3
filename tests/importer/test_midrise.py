"""Midrise codes in standard operators: k·Δ + Δ/2 is read as W_int = k + ½, and nothing else is."""

import numpy as np
import pytest
from onnx import ModelProto

from esnsim import Layer, ModelError
from esnsim.importer.midrise import HALF_STEPS
from tests.importer.models import Array, model, only_layer, read_whole
from tests.importer.quantized_layers import integers, positive

K = integers(4, 5)
STEPS = positive(4)
NODES = "d = DequantizeLinear<axis=0>(k, s) w = {} y = Gemm<transB=1>(x, w)"


def read(add: str, offset: Array, k: Array = K, **more: Array) -> Layer:
    return only_layer(
        model(NODES.format(add), "float[2,5] x", k=k, s=STEPS, o=offset.astype(np.float32), **more)
    )


@pytest.mark.parametrize("add", ["Add(d, o)", "Add(o, d)"])
def test_half_a_step_makes_midrise_codes(add: str) -> None:
    layer = read(add, STEPS[:, None] / 2)
    codes = layer.weight.codes
    assert codes is not None
    assert (codes.bits, codes.midrise, codes.asymmetric) == (8, True, False)
    np.testing.assert_array_equal(layer.weight.load(), 2 * K.astype(int) + 1)
    np.testing.assert_array_equal(codes.scale(), np.broadcast_to(STEPS[:, None], K.shape))


def test_filters_without_an_offset_hold_q_at_half_the_step() -> None:
    k = K.copy()
    k[1] = [3, 0, -127, 1, -1]
    k[2] = 0
    offset = STEPS[:, None] / 2
    offset[1:3] = 0
    layer = read("Add(d, o)", offset, k)
    codes = layer.weight.codes
    assert codes is not None
    wanted = 2 * k.astype(int) + 1
    wanted[1:3] = k[1:3]
    np.testing.assert_array_equal(layer.weight.load(), wanted)
    doubled = STEPS * [1, 2, 2, 1]
    np.testing.assert_array_equal(codes.scale()[:, 0], doubled.astype(np.float32))
    np.testing.assert_allclose(
        layer.weight.load() * codes.scale() / 2, k * STEPS[:, None] + offset, rtol=1e-6
    )


def test_one_step_for_all_filters() -> None:
    nodes = "d = DequantizeLinear(k, s) w = Add(d, o) y = Gemm<transB=1>(x, w)"
    s = np.float32(0.25)
    layer = only_layer(model(nodes, "float[2,5] x", k=K, s=s, o=s / 2))
    codes = layer.weight.codes
    assert codes is not None
    assert codes.midrise
    np.testing.assert_array_equal(layer.weight.load(), 2 * K.astype(int) + 1)


def test_codes_go_through_moves_and_casts() -> None:
    nodes = (
        "d = DequantizeLinear<axis=0>(k, s) h = Add(d, o) t = Transpose<perm=[1, 0]>(h) "
        "w = Cast<to=11>(t) y = MatMul(x, w)"
    )
    proto = model(nodes, "double[2,5] x", k=K, s=STEPS, o=STEPS[:, None] / 2)
    layer = only_layer(proto)
    assert layer.weight.codes is not None
    assert layer.weight.codes.midrise
    np.testing.assert_array_equal(layer.weight.load(), 2 * K.astype(int) + 1)


@pytest.mark.parametrize(
    "offset",
    [STEPS[:, None] / 4, STEPS[::-1, None] / 2, STEPS[:, None] * [0, 1, 0.5, 0, 0]],
    ids=["a quarter", "another filter's", "wholes and halves"],
)
def test_other_offsets_make_floats(offset: Array) -> None:
    layer = read("Add(d, o)", offset)
    assert layer.weight.codes is None
    np.testing.assert_allclose(
        layer.weight.load(), K * STEPS[:, None] + offset.astype(np.float32), rtol=1e-6
    )


def marked(text: str) -> ModelProto:
    nodes = "w = qonnx.custom_op.general.Quant<signed=1>(v, s, z, b) y = Gemm<transB=1>(x, w)"
    values = np.array([[3, 0, -1], [1, 1, -3]], np.float32)
    scalars = {"s": np.float32(0.5), "z": np.float32(0), "b": np.float32(3)}
    proto = model(nodes, "float[2,3] x", v=values / 2, **scalars)
    proto.metadata_props.add(key=HALF_STEPS, value=text)
    return proto


def test_metadata_tell_q_at_half_steps_from_integers() -> None:
    plain = only_layer(marked('{"other": [0]}')).weight.codes
    layer = only_layer(marked('{"w": [0, 1]}'))
    codes = layer.weight.codes
    assert plain is not None
    assert codes is not None
    assert (plain.midrise, codes.midrise) == (False, True)
    np.testing.assert_array_equal(layer.weight.load(), [[3, 0, -1], [1, 1, -3]])
    np.testing.assert_array_equal(codes.scale(), np.full((2, 3), 1, np.float32))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_damaged_metadata_are_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"'esnsim\.half_steps' are no JSON object"):
        read_whole(marked(text))


def test_even_integers_at_half_steps_are_refused() -> None:
    proto = marked('{"w": []}')
    proto.graph.initializer[0].raw_data = np.full((2, 3), 1, np.float32).tobytes()
    with pytest.raises(ModelError, match="'w' holds even integers at half steps"):
        only_layer(proto).weight.load()


def test_zeros_beside_codes_are_pruned_filters() -> None:
    nodes = (
        "a = qonnx.custom_op.general.Quant<signed=1>(v, s, z, b) "
        "w = Concat<axis=0>(a, o) y = Gemm<transB=1>(x, w)"
    )
    half = np.float32([[0.25, -0.25, 0.75]])
    given = {"s": np.float32(0.5), "z": np.float32(-0.5), "b": np.float32(2), "v": half}
    for rest, coded in ((np.zeros((2, 3), "f"), True), (np.ones((2, 3), "f"), False)):
        layer = only_layer(model(nodes, "float[2,3] x", **given, o=rest))
        assert (layer.weight.codes is not None) == coded
        if coded:
            wanted = [[1, -1, 3], [0, 0, 0], [0, 0, 0]]
            np.testing.assert_array_equal(layer.weight.load(), wanted)
