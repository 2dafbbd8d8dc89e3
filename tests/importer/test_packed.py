"""The packed weights of com.microsoft MatMulNBits and MatMulBnb4."""

import numpy as np
import onnxruntime as ort
import pytest

from esnsim import Layer, ModelError
from tests.importer.models import Array, beside_a_layer, model, only_layer, read_whole
from tests.importer.quantized_layers import RNG, check, positive
from tests.naive.quantized import pack

N, K, BLOCK = 3, 40, 16
BLOCKS = 3


def nbits(bits: int, inputs: str, **tensors: Array) -> Layer:
    attributes = f"K={K}, N={N}, bits={bits}, block_size={BLOCK}"
    nodes = f"y = com.microsoft.MatMulNBits<{attributes}>(x, {inputs})"
    return only_layer(model(nodes, f"float[{K},{K}] x", **tensors))


@pytest.fixture(params=[2, 3, 4, 5, 6, 7, 8])
def packed(request: pytest.FixtureRequest) -> tuple[int, Array, dict[str, Array]]:
    """Width, codes (N, blocks · block) and the packed tensors."""
    bits = request.param
    codes = RNG.integers(0, 1 << bits, (N, BLOCKS * BLOCK))
    blob = pack(codes.reshape(N, BLOCKS, BLOCK), bits)
    return bits, codes, {"b": blob, "s": positive(N * BLOCKS)}


def spread(values: Array) -> Array:
    return np.repeat(values.reshape(N, BLOCKS), BLOCK, 1)[:, :K]


def test_matmulnbits_without_zero_points_is_offset_by_half_its_range(
    packed: tuple[int, Array, dict[str, Array]],
) -> None:
    bits, codes, tensors = packed
    layer = nbits(bits, "b, s", **tensors)
    check(layer, codes[:, :K] - (1 << bits - 1), spread(tensors["s"]), bits)


def test_matmulnbits_unpacks_zero_points_a_row_at_a_time(
    packed: tuple[int, Array, dict[str, Array]],
) -> None:
    bits, codes, tensors = packed
    zeros = RNG.integers(1, 1 << bits, (N, BLOCKS))
    layer = nbits(bits, "b, s, z", z=pack(zeros, bits).ravel(), **tensors)
    check(layer, codes[:, :K] - spread(zeros), spread(tensors["s"]), bits, True)


def test_matmulnbits_takes_zero_points_in_floats_as_codes_where_they_are_whole(
    packed: tuple[int, Array, dict[str, Array]],
) -> None:
    bits, codes, tensors = packed
    zeros = RNG.integers(1, 1 << bits, N * BLOCKS).astype(np.float32)
    layer = nbits(bits, "b, s, z", z=zeros, **tensors)
    check(layer, codes[:, :K] - spread(zeros), spread(tensors["s"]), bits, True)


def test_matmulnbits_with_fractional_zero_points_has_floats(
    packed: tuple[int, Array, dict[str, Array]],
) -> None:
    bits, codes, tensors = packed
    zeros = np.full(N * BLOCKS, 0.25, np.float32)
    layer = nbits(bits, "b, s, z", z=zeros, **tensors)
    assert layer.weight.codes is None
    np.testing.assert_allclose(
        layer.weight.load(), (codes[:, :K] - 0.25) * spread(tensors["s"]), rtol=1e-6
    )


def test_matmulnbits_with_zero_points_between_integers_has_midrise_codes(
    packed: tuple[int, Array, dict[str, Array]],
) -> None:
    bits, codes, tensors = packed
    middle = ((1 << bits) - 1) / 2
    for zero, off in ((middle, False), (middle + 1, True)):
        zeros = np.full(N * BLOCKS, zero, np.float32)
        layer = nbits(bits, "b, s, z", z=zeros, **tensors)
        found = layer.weight.codes
        assert found is not None
        assert (found.bits, found.midrise, found.asymmetric) == (bits, True, off)
        np.testing.assert_array_equal(layer.weight.load(), 2 * codes[:, :K] - int(2 * zero))
        np.testing.assert_array_equal(found.scale(), spread(tensors["s"]))


def test_matmulnbits_takes_the_block_of_each_channel_from_g_idx(
    packed: tuple[int, Array, dict[str, Array]],
) -> None:
    bits, codes, tensors = packed
    order = RNG.permutation(np.arange(K) // BLOCK).astype(np.int32)
    layer = nbits(bits, 'b, s, "", g', g=order, **tensors)
    steps = tensors["s"].reshape(N, BLOCKS)[:, order]
    check(layer, codes[:, :K] - (1 << bits - 1), steps, bits)


def multiplied(nodes: str, tensors: dict[str, Array], k: int) -> tuple[Layer, Array]:
    """The layer, and what ONNX Runtime gives for the unit matrix: the weights (N, K)."""
    proto = model(nodes, f"float[{k},{k}] x", **tensors)
    del proto.opset_import[2:]
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return only_layer(proto), session.run(None, {"x": np.eye(k, dtype=np.float32)})[0].T


@pytest.mark.parametrize("zero_points", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_onnxruntime_multiplies_by_the_weights_that_are_read(bits: int, zero_points: bool) -> None:
    codes = RNG.integers(0, 1 << bits, (N, BLOCKS * BLOCK))
    tensors = {"b": pack(codes.reshape(N, BLOCKS, BLOCK), bits), "s": positive(N * BLOCKS)}
    if zero_points:
        tensors["z"] = pack(RNG.integers(0, 1 << bits, (N, BLOCKS)), bits).ravel()
    attributes = f"K={K}, N={N}, bits={bits}, block_size={BLOCK}"
    nodes = f"y = com.microsoft.MatMulNBits<{attributes}>(x, {', '.join(tensors)})"
    layer, expected = multiplied(nodes, tensors, K)
    assert layer.weight.codes is not None
    weights = layer.weight.load() * layer.weight.codes.scale()
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "title"), [(0, "float4"), (1, "normal float4")])
def test_four_bit_floats_are_those_that_onnxruntime_multiplies_by(kind: int, title: str) -> None:
    size = N * K
    tensors = {
        "b": RNG.integers(0, 256, size // 2).astype(np.uint8), "s": positive(-(-size // 16)),
    }  # fmt: skip
    attributes = f"K={K}, N={N}, block_size=16, quant_type={kind}"
    nodes = f"y = com.microsoft.MatMulBnb4<{attributes}>(x, b, s)"
    layer, expected = multiplied(nodes, tensors, K)
    assert layer.weight.codes is None
    np.testing.assert_allclose(layer.weight.load(), expected, rtol=1e-6)
    notes = read_whole(model(nodes, f"float[1,{K}] x", **tensors)).notes
    assert notes == (f"weights of type {title} are counted as floats",)


@pytest.mark.parametrize(
    "operator", ["MatMulNBits<K=40, N=4, bits=4, {}>", "MatMulBnb4<K=40, N=4, quant_type=1, {}>"]
)
def test_packed_weights_that_cannot_be_are_refused(operator: str) -> None:
    tensors = {"b": np.zeros(72, np.uint8), "s": positive(9)}
    nodes = f"y = com.microsoft.{operator.format('block_size=16')}(x, b, s)"
    with pytest.raises(ModelError, match=r"needs (96|80) bytes of weights and"):
        read_whole(model(nodes, "float[1,40] x", **tensors))


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ("MatMulNBits<K=40, N=3, bits=9, block_size=16>", "it packs 3×40 weights of 9 bits"),
        ("MatMulNBits<K=40, N=3, bits=3, block_size=12>", "weights of 3 bits in blocks of 12"),
        ("MatMulBnb4<K=40, N=3, quant_type=7, block_size=16>", "it packs 3×40 weights of type 7"),
    ],
)
def test_a_packing_that_esnsim_does_not_know_is_left_out_alone(operator: str, message: str) -> None:
    tensors = {"b": np.zeros(72, np.uint8), "s": positive(9)}
    nodes = f"y = com.microsoft.{operator}(x, b, s)"
    network = read_whole(beside_a_layer(model(nodes, "float[1,40] x", **tensors)))
    assert len(network.layers) == 1
    assert message in network.uncounted[0].reason
