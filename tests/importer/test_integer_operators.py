"""Operators on integers: their constant operand, zero point removed, is the codes."""

import numpy as np
import pytest

from tests.importer.models import model, only_layer
from tests.importer.quantized_layers import check, integers, positive, wide

A = "uint8[2,3] x"


@pytest.mark.parametrize("per_filter", [True, False])
def test_qlinearconv_has_its_third_input_less_its_zero_points(per_filter: bool) -> None:
    size = (4,) if per_filter else ()
    q, scale, zero = (
        integers(4, 3, 3, 1, dtype=np.uint8),
        positive(*size),
        integers(*size, dtype=np.uint8),
    )
    zero = np.asarray(zero | 1)
    column = (-1, 1, 1, 1) if per_filter else ()
    layer = only_layer(
        model(
            "y = QLinearConv(x, xs, xz, q, s, z, xs, xz)", "uint8[1,3,5,4] x",
            xs=np.float32(0.5), xz=np.uint8(3), q=q, s=scale, z=zero,
        )
    )  # fmt: skip
    check(layer, wide(q) - wide(zero).reshape(column), scale.reshape(column), 8, True)


def test_convinteger_has_steps_of_1() -> None:
    q, zero = integers(4, 3, 3, 1), integers(4)
    nodes = "y = ConvInteger(x, q, xz, z)"
    layer = only_layer(model(nodes, "uint8[1,3,5,4] x", q=q, xz=np.uint8(1), z=zero))
    check(layer, wide(q) - wide(zero).reshape(-1, 1, 1, 1), np.float32(1), 8, True)


def test_convinteger_without_zero_points_is_symmetric() -> None:
    q = integers(4, 3, 3, 1)
    check(
        only_layer(model("y = ConvInteger(x, q)", "uint8[1,3,5,4] x", q=q)),
        wide(q),
        np.float32(1),
        8,
    )


MATRIX_OPERATORS = {
    "QLinearMatMul": ("y = QLinearMatMul(x, xs, xz, q, s, z, xs, xz)", True),
    "MatMulInteger": ("y = MatMulInteger(x, q, xz, z)", False),
    "QGemm": ("y = com.microsoft.QGemm(x, xs, xz, q, s, z)", True),
    "MatMulIntegerToFloat": (
        "y = com.microsoft.MatMulIntegerToFloat(x, q, xs, s, xz, z)", True,
    ),
    "DynamicQuantizeMatMul": ("y = com.microsoft.DynamicQuantizeMatMul(f, q, s, z)", True),
}  # fmt: skip


@pytest.mark.parametrize("per_filter", [True, False])
@pytest.mark.parametrize("name", MATRIX_OPERATORS)
def test_an_integer_matrix_operator_has_its_integers_less_their_zero_points(
    name: str, per_filter: bool
) -> None:
    nodes, scaled = MATRIX_OPERATORS[name]
    size = (4,) if per_filter else ()
    q, scale = integers(3, 4, dtype=np.uint8), positive(*size)
    zero = np.asarray(integers(*size, dtype=np.uint8) | 1)
    proto = model(
        nodes, f"{A}, float[2,3] f", q=q, s=scale, z=zero, xs=np.float32(0.5), xz=np.uint8(9)
    )
    expected = (wide(q) - wide(zero)).T, (scale.T if scaled else np.float32(1))
    steps = expected[1][:, None] if expected[1].ndim else expected[1]
    check(only_layer(proto), expected[0], steps, 8, True)


def test_qgemm_reads_a_transposed_operand() -> None:
    q, scale, zero = integers(4, 3), positive(4), integers(4)
    nodes = "y = com.microsoft.QGemm<transB=1>(x, xs, xz, q, s, z)"
    proto = model(nodes, A, q=q, s=scale, z=zero, xs=np.float32(1), xz=np.uint8(0))
    check(only_layer(proto), wide(q) - wide(zero)[:, None], scale[:, None], 8, True)


def test_batched_qlinearmatmul_has_zero_points_for_each_matrix_and_filter() -> None:
    q, scale, zero = integers(2, 3, 4), positive(2, 1, 4), integers(2, 1, 4)
    nodes = "y = QLinearMatMul(x, xs, xz, q, s, z, xs, xz)"
    proto = model(nodes, "int8[2,5,3] x", q=q, s=scale, z=zero, xs=np.float32(1), xz=np.int8(0))
    layer = only_layer(proto)
    canonical = (wide(q) - wide(zero)).swapaxes(1, 2).reshape(8, 3)
    check(layer, canonical, scale.reshape(8, 1), 8, True)
    assert layer.geometry.groups == 2


def test_a_constant_first_operand_has_a_zero_point_for_each_row() -> None:
    q, zero = integers(4, 3), integers(4, 1)
    proto = model("y = MatMulInteger(q, x, z)", "int8[3,2] x", q=q, z=zero)
    check(only_layer(proto), wide(q) - wide(zero), np.float32(1), 8, True)


def test_integers_multiplied_without_any_scale_are_codes() -> None:
    q = integers(3, 4)
    check(only_layer(model("y = MatMul(x, q)", "int8[2,3] x", q=q)), wide(q).T, np.float32(1), 8)
