"""What is not ideal: converters, errors and noise.

- converters with enough bits are as good as ideal; sums err by half a step; saturation only loses
- errors and noise have the σ that they are given; the same seed gives the same ones
- a finite on/off ratio matters only beside these
"""

from dataclasses import replace
from itertools import pairwise
from math import prod, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.machines.crossbar.engine import AnalogEngine
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.quantization.quantizer import codes
from tests.analog.tasks import dense_task, run, tasks


@given(tasks())
def test_a_granular_converter_that_covers_all_sums_is_as_good_as_ideal(task):
    """Nine rows of 3-bit cells at 8-bit inputs take 14 bits and a sign."""
    chosen, spec, *rest = task
    task = (chosen, replace(spec, bits_per_cell=spec.bits_per_cell or 3), *rest)
    converted = run(task, adc_bits=15, adc_range="granular").outputs
    assert np.array_equal(converted, run(task).outputs)


@given(tasks())
def test_saturation_of_sums_without_sign_only_loses_and_less_with_more_bits(task):
    settings = {"sign": "offset", "flip": False, "adc_range": "granular"}
    ideal = run(task, sign="offset", flip=False).outputs
    lost = [ideal - run(task, adc_bits=bits, **settings).outputs for bits in range(1, 10)]
    assert (lost[-1] >= 0).all()
    assert all((less <= more).all() for more, less in pairwise(lost))


@given(tasks(), st.integers(1, 12), st.booleans())
def test_a_converter_errs_by_half_a_step_of_each_sum_at_most(task, bits, zero_level):
    chosen, spec, x, zero, signed = task
    spec = replace(spec, adc_bits=bits, zero_level=zero_level and bits > 1)
    engine = AnalogEngine(spec, threads=1)
    rng = np.random.default_rng(0)
    crossbar = engine.prepare(chosen, rng)
    converter = engine.converter(crossbar)
    geometry = chosen.layer.geometry
    sums = prod(geometry.kernel) if geometry.transposed else 1
    sums *= len(range(0, crossbar.columns.cells.shape[2], spec.rows))
    shifts = sum(1 << shift for shift in range(0, spec.activation_bits, spec.input_bits))
    owners, weights = crossbar.columns.filters.ravel(), crossbar.columns.scales.ravel()
    counted = np.bincount(owners[owners >= 0], weights[owners >= 0]).max(initial=0)
    outputs = engine.run(chosen, x, rng, zero, signed, crossbar, converter).outputs
    error = outputs - run(task).outputs
    step = float(converter.step) * crossbar.most_rows
    assert np.abs(error).max() <= step / 2 * counted * shifts * sums + 1e-6


@pytest.mark.parametrize("error", ["programming_error", "read_noise"])
def test_the_same_seed_gives_the_same_errors(error):
    task = dense_task(CrossbarSpec())
    first, again, other = (run(task, seed, **{error: 0.1}).outputs for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("sign", ["differential", "offset"])
@pytest.mark.parametrize("dac_bits", [None, 1])
@pytest.mark.parametrize("ratio", [None, 5.0])
def test_read_noise_has_its_sigma_in_each_product(sign, dac_bits, ratio):
    spec = CrossbarSpec(sign=sign, dac_bits=dac_bits, on_off_ratio=ratio, read_noise=0.01)
    task = dense_task(spec)
    x = task[2]
    error = run(task).outputs - run(task, read_noise=0.0, on_off_ratio=None).outputs
    bits = [x >> s & 1 for s in range(8)]
    squares = (x**2 if dac_bits is None else sum(4**s * b for s, b in enumerate(bits))).sum(axis=1)
    sigma = 0.01 * largest(ratio) * 2 * np.sqrt(squares)  # steps of a code are 2 of its halves
    pairs = sqrt(2) / 2 if sign == "differential" else 1  # pairs hold halves, and two of them
    assert (error / (sigma * pairs)[:, None]).std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("sign", ["differential", "offset"])
@pytest.mark.parametrize("ratio", [None, 5.0])
def test_programming_errors_have_their_sigma_in_each_cell(sign, ratio):
    spec = CrossbarSpec(sign=sign, on_off_ratio=ratio, programming_error=0.01)
    task = dense_task(spec, filters=4000, batch=1)
    error = run(task).outputs - run(task, programming_error=0.0, on_off_ratio=None).outputs
    pairs = sqrt(2) / 2 if sign == "differential" else 1
    sigma = 0.01 * largest(ratio) * 2 * pairs * sqrt((task[2] ** 2).sum())
    assert (error / sigma).std() == pytest.approx(1, abs=0.05)


def test_proportional_errors_follow_the_weight():
    task = dense_task(CrossbarSpec(programming_error=0.01, proportional=True), 4000, 1)
    error = run(task).outputs - run(task, programming_error=0.0).outputs
    sigma = 0.01 * np.sqrt((codes(task[0]).astype(float) ** 2 * task[2] ** 2).sum(axis=1))
    assert (error / sigma).std() == pytest.approx(1, abs=0.05)


@given(tasks(), st.floats(1.1, 1e4))
def test_with_ideal_converters_a_finite_on_off_ratio_cancels(task, ratio):
    assert np.array_equal(run(task, on_off_ratio=ratio).outputs, run(task).outputs)


def largest(ratio: float | None) -> float:
    """The largest of 8-bit cells, in steps."""
    return 255 * (1 if ratio is None else ratio / (ratio - 1))
