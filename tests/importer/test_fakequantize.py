"""FakeQuantize of OpenVINO: weights as the integers that its levels are."""

import numpy as np
import pytest
from onnx import ModelProto

from tests.importer.models import Array, only_layer, ramp, read_whole
from tests.importer.models import model as text_model
from tests.importer.quantized_layers import RNG, check

STEPS = np.array([[0.1], [0.25], [0.3]], np.float32)


def rounded(weights: Array, levels: int, low: Array, high: Array) -> ModelProto:
    nodes = f"""q = org.openvinotoolkit.FakeQuantize<levels={levels}>(w, a, b, a, b)
      y = Gemm<transB=1>(x, q)"""
    proto = text_model(
        nodes, f"float[2,{weights.shape[1]}] x", w=weights, a=low.astype("f"), b=high.astype("f")
    )
    proto.opset_import.add(domain="org.openvinotoolkit", version=1)
    return proto


@pytest.mark.parametrize(
    ("levels", "first", "off"),
    [(16, -8, False), (15, -7, False), (256, -128, False), (255, -127, False), (16, 0, False),
     (16, -3, True), (4, -2, False)],
)  # fmt: skip
def test_levels_from_a_multiple_of_the_step_are_integers(
    levels: int, first: int, off: bool
) -> None:
    q = RNG.integers(first, first + levels, (3, 50))
    proto = rounded((q * STEPS).astype("f"), levels, first * STEPS, (first + levels - 1) * STEPS)
    layer = only_layer(proto)
    steps = (layer.weight.codes.scale() if layer.weight.codes else np.zeros(1)).astype("f")
    np.testing.assert_allclose(steps, np.broadcast_to(STEPS, q.shape), rtol=1e-6)
    check(layer, q, layer.weight.codes.scale(), (levels - 1).bit_length(), off)


def test_what_lies_between_and_beyond_is_rounded_and_clipped() -> None:
    weights = np.array([[-9, -0.26, -0.24, 0.24, 0.26, 9]], np.float32)
    layer = only_layer(rounded(weights, 4, np.float32([[-1]]), np.float32([[0.5]])))
    np.testing.assert_array_equal(layer.weight.load(), [[-2, -1, 0, 0, 1, 1]])


def test_levels_on_both_sides_of_zero_are_a_midrise_code() -> None:
    layer = only_layer(rounded(ramp(1, 4) - 2.5, 4, np.float32([[-1.5]]), np.float32([[1.5]])))
    codes = layer.weight.codes
    assert codes is not None
    assert (codes.bits, codes.midrise, codes.asymmetric) == (2, True, False)
    np.testing.assert_array_equal(layer.weight.load(), [[-3, -1, 1, 3]])


def test_levels_beside_a_multiple_of_the_step_are_floats_and_said() -> None:
    network = read_whole(rounded(ramp(1, 4), 4, np.float32([[-1.2]]), np.float32([[1.8]])))
    assert network.layers[0].weight.codes is None
    assert network.notes == ("weights of type FakeQuantize of 4 levels are counted as floats",)
    np.testing.assert_allclose(network.layers[0].weight.load(), [[0.8, 1.8, 1.8, 1.8]], rtol=1e-6)


def test_activations_keep_their_shape_and_channels() -> None:
    nodes = """c = Conv(x, w) f = org.openvinotoolkit.FakeQuantize<levels=256>(c, a, b, a, b)
      y = Conv(f, v)"""
    proto = text_model(
        nodes, w=ramp(4, 3, 1, 1), v=ramp(2, 4, 1, 1), a=np.float32(0), b=np.float32(6)
    )
    proto.opset_import.add(domain="org.openvinotoolkit", version=1)
    first, second = read_whole(proto).layers
    np.testing.assert_array_equal(second.channels, first.first_filter + np.arange(4))
