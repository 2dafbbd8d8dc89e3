"""The quantisation nodes of QONNX."""

import numpy as np
import pytest

from esnsim import Layer, ModelError
from tests.importer.models import Array, model, only_layer, read_whole
from tests.importer.quantized_layers import FLOATS, check
from tests.naive.quantized import ROUNDINGS, qonnx_quant

QONNX = "qonnx.custom_op.general"


def quant(
    v: Array,
    scale: Array,
    zero: float,
    bits: float,
    attributes: str,
    op: str = "Quant",
    domain: str = QONNX,
) -> Layer:
    nodes = f"w = {domain}.{op}<{attributes}>(v, s, z, b) y = Gemm<transB=1>(x, w)"
    return only_layer(
        model(
            nodes, f"float[2,{v.shape[1]}] x", v=v, s=scale, z=np.float32(zero), b=np.float32(bits)
        )
    )


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(
    ("bits", "signed", "narrow"), [(4, 1, 0), (4, 1, 1), (3, 0, 0), (3, 0, 1), (2, 1, 1)]
)
def test_qonnx_quant_clips_before_it_rounds(
    rounding: str, bits: int, signed: int, narrow: int
) -> None:
    scale = np.array([[0.5], [0.25], [1], [2]], np.float32)
    attributes = f'signed={signed}, narrow={narrow}, rounding_mode="{rounding}"'
    layer = quant(FLOATS, scale, 0, bits, attributes)
    wanted = qonnx_quant(FLOATS, scale, 0, bits, bool(signed), bool(narrow), rounding)
    check(layer, wanted, scale, bits)


@pytest.mark.parametrize("domain", [QONNX, "onnx.brevitas"])
@pytest.mark.parametrize("op", ["Quant", "IntQuant"])
def test_qonnx_quant_removes_its_zero_point(op: str, domain: str) -> None:
    scale = np.float32(0.25)
    layer = quant(FLOATS, scale, 3, 4, 'signed=0, narrow=0, rounding_mode="ROUND"', op, domain)
    check(layer, qonnx_quant(FLOATS, scale, 3, 4, False, False, "ROUND"), scale, 4, True)


def test_qonnx_zero_point_of_minus_a_half_is_a_midrise_code() -> None:
    scale = np.float32(0.5)
    layer = quant(FLOATS, scale, -0.5, 3, 'signed=1, narrow=0, rounding_mode="ROUND"')
    codes = layer.weight.codes
    assert codes is not None
    assert (codes.bits, codes.midrise, codes.asymmetric) == (3, True, False)
    wanted = qonnx_quant(FLOATS, scale, -0.5, 3, True, False, "ROUND")
    np.testing.assert_array_equal(layer.weight.load(), 2 * wanted)
    assert (layer.weight.load() % 2 == 1).all()
    assert np.abs(layer.weight.load()).max() == 7
    assert (codes.scale() == scale).all()


def test_qonnx_fractional_zero_points_other_than_a_half_have_floats() -> None:
    layer = quant(FLOATS, np.float32(0.5), 0.25, 3, 'signed=1, narrow=0, rounding_mode="ROUND"')
    assert layer.weight.codes is None


def per_filter(bits: Array, attributes: str) -> Layer:
    nodes = f"w = {QONNX}.Quant<{attributes}>(v, s, z, b) y = Gemm<transB=1>(x, w)"
    tensors = {"v": FLOATS, "s": np.float32(0.25), "z": np.float32(0), "b": bits.astype("f")}
    return only_layer(model(nodes, f"float[2,{FLOATS.shape[1]}] x", **tensors))


@pytest.mark.parametrize(("signed", "narrow"), [(1, 0), (1, 1), (0, 0), (0, 1)])
def test_each_filter_is_clipped_to_a_width_of_its_own(signed: int, narrow: int) -> None:
    bits = np.array([[2], [3], [5], [4]])
    layer = per_filter(bits, f'signed={signed}, narrow={narrow}, rounding_mode="ROUND"')
    wanted = [
        qonnx_quant(row, np.float32(0.25), 0, int(b), bool(signed), bool(narrow), "ROUND")
        for row, (b,) in zip(FLOATS, bits, strict=True)
    ]
    check(layer, np.array(wanted), np.float32(0.25), 5)


def test_signs_beside_wider_codes_are_read_as_floats() -> None:
    layer = per_filter(np.array([[1], [3], [3], [3]]), "signed=1, narrow=0")
    assert layer.weight.codes is None
    np.testing.assert_array_equal(layer.weight.load()[0], np.where(FLOATS[0] >= 0, 0.25, -0.25))


SIGNS = np.where(FLOATS >= 0, 1, -1)


def check_signs(layer: Layer, scale: float) -> None:
    codes = layer.weight.codes
    assert codes is not None
    assert (codes.bits, codes.midrise) == (1, True)
    np.testing.assert_array_equal(layer.weight.load(), SIGNS)
    np.testing.assert_array_equal(layer.weight.load() * codes.scale() / 2, SIGNS * scale)


def test_bipolarquant_is_a_midrise_code_of_one_bit() -> None:
    nodes = f"w = {QONNX}.BipolarQuant(v, s) y = Gemm<transB=1>(x, w)"
    check_signs(
        only_layer(model(nodes, "float[2,5] x", v=FLOATS, s=np.float32(0.3))), np.float32(0.3)
    )


def test_qonnx_quant_of_one_signed_bit_is_bipolar() -> None:
    attributes = 'signed=1, narrow=1, rounding_mode="ROUND"'
    check_signs(quant(FLOATS, np.float32(0.3), 0, 1, attributes), np.float32(0.3))


def test_floatquant_has_floats_and_the_report_says_so() -> None:
    nodes = f"w = {QONNX}.FloatQuant(v, s, e, m, b, h) y = Gemm<transB=1>(x, w)"
    scalars = dict.fromkeys("sembh", np.float32(1)) | {"e": np.float32(4)}
    network = read_whole(model(nodes, "float[2,5] x", v=FLOATS, **scalars))
    assert network.layers[0].weight.codes is None
    assert network.notes == ("weights of type FloatQuant are counted as floats",)


def test_an_unknown_rounding_mode_is_refused() -> None:
    attributes = 'signed=1, narrow=0, rounding_mode="SIDEWAYS"'
    with pytest.raises(ModelError, match="quantises to 4 bits with rounding 'SIDEWAYS'"):
        quant(FLOATS, np.float32(1), 0, 4, attributes)
