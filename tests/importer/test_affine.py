"""Integers that Cast, Sub, Mul and Div dequantise: what is read is what ONNX Runtime computes."""

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim import Layer
from tests.importer.models import Array, model, only_layer, read_whole
from tests.importer.quantized_layers import RNG, positive

N, K = 4, 6
QUARTER = np.float32(0.25)
S, PER_BLOCK = positive(N, 1), positive(N, 2, 1)
Q = RNG.integers(0, 16, (N, K)).astype(np.uint8)
CAST = "c = Cast<to=1>(q)"
BLOCKS = "b = Reshape(c, split) e = Mul(b, s) w = Reshape(e, joined)"
CHAINS: dict[str, tuple[str, dict[str, Array], Array, Array, bool, bool]] = {
    "Mul": (f"{CAST} w = Mul(c, s)", {"s": S}, Q, S, False, False),
    "Mul from the left": (f"{CAST} w = Mul(s, c)", {"s": S}, Q, S, False, False),
    "Div": (f"{CAST} w = Div(c, s)", {"s": 1 / S}, Q, S, False, False),
    "Sub, Mul": (
        f"{CAST} d = Sub(c, z) w = Mul(d, s)", {"z": np.float32(128), "s": S}, Q - 128.0, S,
        False, False,
    ),
    "Sub of a cast zero point a filter, Mul": (
        f"{CAST} y0 = Cast<to=1>(z) d = Sub(c, y0) w = Mul(d, s)",
        {"z": np.array([[7], [8], [9], [0]], np.uint8), "s": S},
        Q - np.array([[7], [8], [9], [0]]), S, False, True,
    ),
    "Mul, Add": (
        f"{CAST} m = Mul(c, s) w = Add(m, z)", {"z": -8 * QUARTER, "s": QUARTER}, Q - 8.0, QUARTER,
        False, True,
    ),
    "Sub of a half, Mul": (
        f"{CAST} d = Sub(c, z) w = Mul(d, s)", {"z": np.float32(127.5), "s": S}, 2.0 * Q - 255, S,
        True, False,
    ),
    "DequantizeLinear, Div by equalisation factors": (
        "c = DequantizeLinear(q, one) w = Div(c, s)",
        {"one": np.float32(0.5), "s": 1 / S}, Q, S / 2, False, False,
    ),
    "blocks of scales": (
        f"{CAST} {BLOCKS}",
        {"split": np.array([N, 2, K // 2]), "s": PER_BLOCK, "joined": np.array([N, K])},
        Q, np.repeat(PER_BLOCK, K // 2, 1).reshape(N, K), False, False,
    ),
    "a mask of filters": (
        f"{CAST} m = Mul(c, s) w = Mul(m, mask)",
        {"s": S, "mask": np.array([[1], [0], [1], [1]], np.float32)},
        Q * np.array([[1], [0], [1], [1]]), S, False, False,
    ),
    "negative scales": (
        f"{CAST} w = Mul(c, s)", {"s": S * np.float32(-1)}, -1.0 * Q, S, False, False,
    ),
}  # fmt: skip


def computed(nodes: str, tensors: dict[str, Array]) -> tuple[Layer, Array]:
    """The layer, and the weights that ONNX Runtime multiplies by."""
    proto = model(f"{nodes} y = Gemm<transB=1>(x, w)", f"float[{K},{K}] x", q=Q, **tensors)
    del proto.opset_import[1:]
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (out,) = session.run(None, {"x": np.eye(K, dtype=np.float32)})
    return only_layer(proto), np.asarray(out).T


@pytest.mark.parametrize("name", CHAINS)
def test_integers_keep_their_codes_through_the_arithmetic_that_scales_them(name: str) -> None:
    nodes, tensors, integers, scale, midrise, asymmetric = CHAINS[name]
    layer, expected = computed(nodes, tensors)
    codes = layer.weight.codes
    assert codes is not None
    assert (codes.bits, codes.midrise, codes.asymmetric) == (8, midrise, asymmetric)
    np.testing.assert_array_equal(layer.weight.load(), integers)
    alive = integers != 0
    wanted = np.broadcast_to(scale, alive.shape)[alive]
    np.testing.assert_allclose(codes.scale()[alive], wanted, rtol=1e-6)
    weights = layer.weight.load() * codes.scale() / (2 if midrise else 1)
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "tensors"),
    [
        (f"{CAST} w = Sub(c, z)", {"z": np.float32(0.3)}),
        (f"{CAST} w = Sub(c, z)", {"z": np.array([[0.5], [1], [2], [3]], np.float32)}),
        (f"{CAST} w = Sub(z, c)", {"z": np.float32(8)}),
        (f"{CAST} w = Mul(c, c)", {}),
        (f"{CAST} w = Exp(c)", {}),
        (f"{CAST} w = Sub(c, z)", {"z": np.float32(1 << 24)}),
    ],
)
def test_what_loses_the_codes_is_counted_as_floats_and_said(
    nodes: str, tensors: dict[str, Array]
) -> None:
    layer, expected = computed(nodes, tensors)
    assert layer.weight.codes is None
    np.testing.assert_allclose(layer.weight.load(), expected, rtol=1e-6)
    proto = model(f"{nodes} y = Gemm<transB=1>(x, w)", f"float[{K},{K}] x", q=Q, **tensors)
    (note,) = read_whole(proto).notes
    operator = nodes.split("= ")[-1].split("(")[0]
    assert note == f"weights of type int8 after {operator} are counted as floats"


@given(
    steps=st.lists(st.sampled_from([-0.5, -0.25, 0.0, 0.25, 0.5, 1.0]), min_size=N, max_size=N),
    twice=st.integers(-40, 40),
)
def test_any_shift_by_half_steps_and_any_scale_give_the_same_weights(
    steps: list[float], twice: int
) -> None:
    """Steps of either sign and 0; zero points from −20 to 20 in halves."""
    s, z = np.array(steps, np.float32)[:, None], np.float32(twice / 2)
    nodes = f"{CAST} d = Sub(c, z) w = Mul(d, s) y = Gemm<transB=1>(x, w)"
    layer = only_layer(model(nodes, f"float[{K},{K}] x", q=Q, s=s, z=z))
    codes = layer.weight.codes
    assert codes is not None
    assert codes.midrise == bool(twice % 2)
    assert (codes.scale() > 0).all()
    weights = layer.weight.load() * codes.scale() / (2 if codes.midrise else 1)
    np.testing.assert_array_equal(weights, (Q - z) * s)
