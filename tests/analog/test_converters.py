"""Converters: their codes, and where their ranges come from.

- whole sums go to the nearest code, those between two to the even one
- a silent column gives 0, whatever the sign, the range, the slices and the drivers
- an array has the range of its own rows; a calibrated one that of calibration activations, which
  does not depend on how they are split into batches, nor on what is run
"""

from dataclasses import asdict, replace
from fractions import Fraction

import numpy as np
import pytest
from esnsim_kernels import crossbar as kernel
from hypothesis import given
from hypothesis import strategies as st

from esnsim.errors import UsageError
from esnsim.machines.crossbar import converters, readout
from esnsim.machines.crossbar.engine import AnalogEngine
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.model.network import Geometry
from tests.analog.tasks import dense_task, run, stored_layer, tasks
from tests.engines import exact
from tests.naive.crossbar import converted

RANGES = st.sampled_from(["max", "granular", "calibrated"])


@st.composite
def ranges(draw):
    """A converter for sums of `rows` rows, and the largest sum that it is for."""
    bits, rows = draw(st.integers(2, 10)), draw(st.integers(1, 40))
    sizes = st.sampled_from([1, 3, 7, 15, 45, 255])
    low, high = -draw(sizes) * draw(st.booleans()), draw(sizes)
    found = converters.spanning(
        Fraction(low), Fraction(high), bits, draw(st.booleans()), draw(st.booleans())
    )
    return found, rows, rows * 255


def after(converter, rows, limit, sums):
    """What the kernel makes of sums."""
    out = np.empty(len(sums))
    grid = converter.grid(rows, limit)
    scale = rows if converter.per_row else 1
    kernel.convert(sums, (grid[0] * scale, grid[1], grid[2] * scale, *grid[3:5]), out)
    return out / grid[1]


@given(ranges(), st.sampled_from([np.float32, np.float64]))
def test_whole_sums_go_to_the_nearest_code_and_ties_to_the_even_one(chosen, dtype):
    converter, rows, limit = chosen
    scale = rows if converter.per_row else 1
    sums = np.unique(np.linspace(-limit, limit, 999).astype(int))
    grid = (converter.step * scale, converter.first, converter.last, converter.shift * scale)
    wanted = [converted(int(y), grid) for y in sums]
    assert after(converter, rows, limit, sums.astype(dtype)).tolist() == wanted


@pytest.mark.parametrize("zero_level", [True, False])
def test_the_ties_of_wide_sums_too(zero_level):
    """128 rows of 8-bit cells at 8-bit inputs."""
    limit = 128 * 255 * 255
    for bits in (4, 8, 16):
        converter = converters.spanning(Fraction(-limit), Fraction(limit), bits, zero_level)
        codes = range(converter.first, converter.last)
        between = [(c + Fraction(1, 2)) * converter.step + converter.shift for c in codes]
        sums = [int(y) + near for y in between if y.denominator == 1 for near in (-1, 0, 1)]
        assert len(sums) > 6
        grid = converter.step, converter.first, converter.last, converter.shift
        wanted = [converted(y, grid) for y in sums]
        assert after(converter, 1, limit, np.array(sums, np.float64)).tolist() == wanted


@given(tasks().filter(lambda task: not task[4]), RANGES, st.integers(2, 12),
       st.sampled_from([None, 2.0, 3.7]))  # fmt: skip
def test_a_silent_column_gives_zero(task, adc_range, bits, ratio):
    chosen, spec, x, *_ = task
    engine = AnalogEngine(
        replace(spec, adc_bits=bits, adc_range=adc_range, on_off_ratio=ratio), threads=1
    )
    rng = np.random.default_rng(0)
    crossbar = engine.prepare(chosen, rng)
    converter = engine.converter(crossbar, engine.observe(crossbar, x))
    silent = engine.run(chosen, np.zeros_like(x), rng, crossbar=crossbar, converter=converter)
    assert not silent.outputs.any()


@pytest.mark.parametrize("dac_bits", [None, 1])
def test_without_a_zero_level_a_silent_column_gives_half_a_step(dac_bits):
    spec = CrossbarSpec(rows=16, adc_bits=4, dac_bits=dac_bits, zero_level=False)
    chosen, _, x, *_ = dense_task(spec, filters=3, batch=2)
    outputs = run((chosen, spec, 0 * x, 0, False)).outputs
    step, drives = 2 * 16 * 255 * (1 if dac_bits else 255) / 15, 255 if dac_bits else 1
    assert outputs == pytest.approx(step / 2 * drives * 4)


@pytest.mark.parametrize("sign", ["differential", "offset"])
@pytest.mark.parametrize("zero_level", [True, False])
def test_every_array_has_the_range_of_its_own_rows(sign, zero_level):
    """Two arrays of 48 and 16 rows are one layer of 48 and one of 16."""
    _, spec, x, *_ = dense_task(CrossbarSpec(rows=48, sign=sign), filters=5, batch=20)
    spec = replace(spec, adc_bits=5, zero_level=zero_level)
    values = np.random.default_rng(2).integers(-128, 128, (5, 64))
    values[:, ::16] = 127, -128, 127, -128
    parts = [(values, x), (values[:, :48], x[:, :48]), (values[:, 48:], x[:, 48:])]
    whole, *apart = [run((stored_layer(v, 8), spec, x, 0, False)).outputs for v, x in parts]
    assert whole == pytest.approx(sum(apart), rel=1e-12)


@given(tasks(), st.integers(0, 5))
def test_observations_add_up_over_batches_and_are_those_of_images(task, cut):
    chosen, spec, x, zero, signed = task
    engine = AnalogEngine(spec, threads=1)
    crossbar = engine.prepare(chosen, np.random.default_rng(0))
    batch = chosen.layer.geometry.batch
    x = np.concatenate([x, x[::-1] // 2, x // 3])
    parts = [x[: cut * batch], x[cut * batch :]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readout, "SAMPLE", 2)
        whole = engine.observe(crossbar, x, zero, signed)
        apart = [engine.observe(crossbar, part, zero, signed) for part in parts if len(part)]
    assert np.array_equal(whole, sum(apart))


@given(tasks())
def test_counts_add_up_each_for_itself(task):
    chosen, spec, x, *_ = task
    once = asdict(run(task).counts)
    twice = asdict(run(task).counts + run((chosen, spec, np.concatenate([x, x]), *_)).counts)
    assert twice == {name: None if n is None else 3 * n for name, n in once.items()}


@pytest.mark.parametrize(
    ("bits", "signed", "codes"), [(3, True, (-4, 3)), (3, False, (0, 7)), (1, True, (-1, 0))]
)
def test_a_granular_converter_has_a_code_for_each_cell(bits, signed, codes):
    found = converters.granular(bits, signed)
    assert (found.first, found.last, found.step, found.shift) == (*codes, 1, 0)


def test_activations_are_unsigned_and_pads_are_zeros_unless_told():
    geometry = Geometry(1, (3, 2), (2, 2), (1, 1), (1, 1), ((1, 0), (0, 1)))
    chosen = stored_layer(np.arange(-3, 5).reshape(2, 1, 2, 2), 8, geometry)
    engine, x = AnalogEngine(), np.arange(6).reshape(1, 1, 3, 2)
    crossbar = engine.prepare(chosen, np.random.default_rng(0))
    told = engine.observe(crossbar, x, 0, False)
    assert np.array_equal(engine.observe(crossbar, x), told)
    assert not np.array_equal(engine.observe(crossbar, x, 1), told)
    run = engine.run(chosen, x, np.random.default_rng(0))
    assert np.array_equal(run.outputs, exact(chosen, x, 0))


@pytest.mark.parametrize("zero_level", [True, False])
def test_a_calibrated_range_is_that_of_the_sums(zero_level):
    """Whole weights and inputs in one array: sums are the outputs."""
    chosen, spec, x, *_ = dense_task(CrossbarSpec(adc_bits=8, zero_level=zero_level), batch=50)
    for percentile, share in ((100, 1.0), (90, 0.8)):
        engine = AnalogEngine(replace(spec, adc_range="calibrated", percentile=percentile))
        crossbar = engine.prepare(chosen, np.random.default_rng(0))
        found = engine.converter(crossbar, engine.observe(crossbar, x))
        low = float(found.shift + found.first * found.step)
        high = float(found.shift + found.last * found.step)
        sums, apart = exact(chosen, x, 0), float(found.step) / 2 + 2 * crossbar.limit / 65535
        assert np.mean((sums > low - apart) & (sums < high + apart)) == pytest.approx(
            share, abs=0.02
        )
        assert np.quantile(sums, (1 - share) / 2) == pytest.approx(low, abs=apart)
        assert np.quantile(sums, (1 + share) / 2) == pytest.approx(high, abs=apart)
        assert converters.spanning(Fraction(0), Fraction(0), 8, zero_level).step == Fraction(1, 255)


def test_a_calibrated_range_errs_less_than_the_whole():
    chosen, spec, x, *_ = dense_task(CrossbarSpec(adc_bits=6))
    noise = {}
    for kind in ("max", "calibrated"):
        engine, rng = AnalogEngine(replace(spec, adc_range=kind)), np.random.default_rng(0)
        crossbar = engine.prepare(chosen, rng)
        converter = engine.converter(crossbar, engine.observe(crossbar, x[:20]))
        outputs = engine.run(chosen, x, rng, crossbar=crossbar, converter=converter).outputs
        noise[kind] = ((outputs - exact(chosen, x, 0)) ** 2).mean()
    assert noise["calibrated"] < noise["max"] / 10


@pytest.mark.parametrize("zero_level", [True, False])
@pytest.mark.parametrize(("code", "driven"), [(7, 0), (7, 5), (0, 5)])
def test_sums_that_are_all_equal_or_none_have_a_range(code, driven, zero_level):
    spec = CrossbarSpec(rows=4, adc_bits=3, adc_range="calibrated", zero_level=zero_level)
    chosen, x = stored_layer(np.full((2, 4), code), 8), np.full((3, 4), driven)
    engine, rng = AnalogEngine(spec), np.random.default_rng(0)
    crossbar = engine.prepare(chosen, rng)
    converter = engine.converter(crossbar, engine.observe(crossbar, x))
    outputs = engine.run(chosen, x, rng, crossbar=crossbar, converter=converter).outputs
    assert outputs == pytest.approx(exact(chosen, x, 0), abs=1e-9)


def test_a_calibrated_converter_takes_no_range_from_what_is_run():
    task = dense_task(CrossbarSpec(adc_bits=8, adc_range="calibrated"))
    with pytest.raises(UsageError, match="a calibrated converter needs sums to set its range"):
        run(task)
