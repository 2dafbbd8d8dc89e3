"""Activations as integers.

- quantise is QuantizeLinear of the specification
- zero is exact; the range covers what was seen; the error is at most half a step
- calibration does not depend on how values are split into batches, nor on their order
- a percentile leaves out at most its share at either end, to the width of a bin
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx.reference import ReferenceEvaluator

from esnsim.errors import UsageError
from esnsim.machines.activations import ActivationScale, Calibration, quantize
from tests.engines import calibrate
from tests.importer.models import model

FLOATS = st.floats(-1e6, 1e6, width=32)
VALUES = npst.arrays(np.float32, st.integers(1, 40), elements=FLOATS)
#: (bits, signed)
FORMATS = st.tuples(st.integers(2, 16), st.booleans())


def dequantized(x: np.ndarray, scale: ActivationScale) -> np.ndarray:
    return (quantize(x, scale).astype(float) - scale.zero_point) * scale.scale


@pytest.mark.parametrize("zero", [np.uint8(3), np.int8(-5), np.uint16(40_000), np.int16(-7)])
def test_quantize_is_quantizelinear(zero: np.generic) -> None:
    x = np.array([-1e6, -3.25, -0.375, 0, 0.125, 0.375, 0.625, 7.3, 1e6], np.float32)
    proto = model("y = QuantizeLinear(x, s, z)", "float[9] x", s=np.float32(0.25), z=zero)
    (wanted,) = ReferenceEvaluator(proto).run(None, {"x": x})
    signed = zero.dtype.kind == "i"
    scale = ActivationScale(0.25, int(zero), zero.dtype.itemsize * 8, signed)
    np.testing.assert_array_equal(quantize(x, scale), wanted, strict=True)


@given(VALUES, FORMATS)
def test_calibrated_values_come_back_within_half_a_step(
    x: np.ndarray, form: tuple[int, bool]
) -> None:
    scale = calibrate(x, form[0], signed=form[1])
    slack = 1 + 2.0 ** (form[0] - 20)  # float32 divides, and a zero point is rounded
    assert np.abs(dequantized(x, scale) - x).max() <= scale.scale * slack


@given(VALUES, FORMATS)
def test_zero_is_exact(x: np.ndarray, form: tuple[int, bool]) -> None:
    scale = calibrate(x, form[0], signed=form[1])
    assert quantize(np.zeros(1, np.float32), scale) == scale.zero_point
    assert scale.signed == form[1]
    assert not form[1] or scale.zero_point == 0


@given(VALUES, st.lists(st.integers(0, 40), max_size=3), st.sampled_from([None, 90, 99.9]))
def test_batches_and_their_order_do_not_matter(
    x: np.ndarray, cuts: list[int], percentile: float | None
) -> None:
    calibration = Calibration()
    for part in reversed(np.split(x, sorted(cuts))):
        calibration.add(part)
    assert calibration.scale(8, percentile) == calibrate(x, 8, percentile)


@given(VALUES, st.sampled_from([60.0, 75.0, 90.0, 99.0, 100.0]))
def test_percentile_is_exact_to_a_bin(x: np.ndarray, percentile: float) -> None:
    calibration = Calibration()
    calibration.add(x)
    low, high = calibration.range(percentile)
    outside = len(x) * (100 - int(percentile)) // 100
    ordered = np.sort(x.astype(float))
    bin_width = np.abs(ordered).max() / 16384
    assert 0 <= min(0, ordered[outside]) - low <= bin_width
    assert 0 <= high - max(0, ordered[-1 - outside]) <= bin_width


def test_percentile_leaves_outliers_out() -> None:
    x = np.append(np.linspace(0, 1, 10_000), 1000.0).astype(np.float32)
    assert calibrate(x).scale == pytest.approx(1000 / 255)
    assert calibrate(x, percentile=99.9).scale == pytest.approx(
        1 / 255
    )  # up to 0.999, in a bin of 1/32


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("x", [[], [0.0, 0.0], [1e-45, -1e-45]])
def test_nothing_but_zeros_has_a_scale_of_one(x: list[float], signed: bool) -> None:
    assert calibrate(np.array(x, np.float32), signed=signed).scale == 1.0


@pytest.mark.parametrize(("value", "zero"), [(3.5, 0), (-3.5, 255)])
def test_a_constant_is_exact(value: float, zero: int) -> None:
    x = np.full(5, value, np.float32)
    scale = calibrate(x)
    assert scale.zero_point == zero
    np.testing.assert_allclose(dequantized(x, scale), x, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_calibration_refuses_what_is_not_finite(bad: float) -> None:
    with pytest.raises(UsageError) as error:
        calibrate(np.array([1.0, bad]))
    assert str(error.value) == ("an activation is NaN or infinite: mend the model or its input")


def test_quantize_saturates_infinity_and_refuses_nan() -> None:
    scale = ActivationScale(0.5, 3)
    np.testing.assert_array_equal(quantize(np.array([-np.inf, np.inf]), scale), [0, 255])
    with pytest.raises(UsageError, match="an activation is NaN: mend the model or its input"):
        quantize(np.array([0.0, np.nan]), scale)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((0.0,), "an activation scale of 0.0: give a positive number"),
        ((np.inf,), "an activation scale of inf: give a positive number"),
        ((1.0, 0, 17), "activations of 17 bits: give 1 to 16"),
        ((1.0, 256), "a zero point of 256: 8 bits hold 0 to 255"),
        ((1.0, 128, 8, True), "a zero point of 128: 8 bits hold -128 to 127"),
    ],
)
def test_scales_that_cannot_be_are_refused(fields: tuple[float, ...], message: str) -> None:
    with pytest.raises(UsageError) as error:
        ActivationScale(*fields)  # type: ignore[arg-type]
    assert str(error.value) == message


def test_a_percentile_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        calibrate(np.ones(3), percentile=50)
    assert str(error.value) == "a percentile of 50: give more than 50 and at most 100"
