"""The crossbar from its description: outputs, counts, and amplitudes in closed form.

- ideal outputs = the digital engine's, whatever the slices, signs and sizes of arrays
- outputs and counts = the naive crossbar's, cell by cell, converters included
- ideal amplitude = ESNa in class B, = class A in both scopes, in closed form
- nothing depends on threads or blocks
"""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esnsim.costs.equations import class_a_x4, esn_a_x4
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar import readout
from esnsim.machines.crossbar.engine import AnalogCounts, AnalogEngine
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.model.network import Geometry
from esnsim.quantization.quantizer import codes
from tests.analog.tasks import dense_task, run, stored_layer, tasks
from tests.engines import activations, exact
from tests.naive import crossbar as naive


def wide(spec: CrossbarSpec) -> CrossbarSpec:
    """The same without slices: a MAC is one cell operation."""
    whole = {"bits_per_cell": None, "dac_bits": None}
    return replace(spec, **whole, sign="differential", flip=False)


@given(tasks())
def test_ideal_outputs_are_those_of_the_digital_engine(task):
    chosen, spec, x, zero, signed = task
    engine = DigitalEngine(ArraySpec(activation_bits=spec.activation_bits), threads=1)
    outputs = run(task).outputs
    assert outputs.dtype == np.int64
    assert np.array_equal(outputs, engine.run(chosen, x, zero, signed).outputs)


@given(st.integers(2, 8), st.booleans(), st.sampled_from(["differential", "offset"]),
       st.sampled_from([None, 1, 3]), st.integers(0, 2**32 - 1))  # fmt: skip
def test_stored_integers_run_exactly_whatever_their_zero_point(bits, asymmetric, sign, cell, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 1 << bits, (5, 3, 2, 1))
    values -= rng.integers(0, 1 << bits, (5, 1, 1, 1)) if asymmetric else 1 << bits - 1
    geometry = Geometry(2, (4, 3), (2, 1), (1, 2), (1, 1), ((1, 0), (0, 2)))
    chosen = stored_layer(values, bits, geometry, asymmetric)
    x, zero = activations(chosen, 8, False, seed)
    result = run((chosen, CrossbarSpec(4, 5, cell, sign), x, zero, False))
    assert np.array_equal(result.outputs, exact(chosen, x, zero))
    assert run((chosen, CrossbarSpec(), x, zero, False)).counts.amplitude == (
        esn_a_x4(chosen.sums) * geometry.windows
    )


@settings(max_examples=40)
@given(
    tasks().filter(lambda task: not task[0].layer.geometry.transposed and not task[4]),
    st.sampled_from([None, 1, 4, 9]),
    st.sampled_from(["max", "granular"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([("B", "layer"), ("A", "layer"), ("A", "filter")]),
)
def test_outputs_and_counts_are_those_of_the_crossbar_cell_by_cell(
    task, adc_bits, adc_range, zero_level, leaks, exponent, amplitude
):
    chosen, spec, x, zero, _ = task
    zero_level &= adc_bits != 1
    quarter = 1 + 4 * ((1 << spec.bits_per_cell) - 1) if spec.bits_per_cell else None
    spec = replace(
        spec, adc_bits=adc_bits, adc_range=adc_range, zero_level=zero_level,
        on_off_ratio=quarter if leaks else None, exponent=exponent,
        amplitude_class=amplitude[0], scope=amplitude[1],
    )  # fmt: skip
    result = run((chosen, spec, x, zero, False))
    geometry = chosen.layer.geometry
    outputs, counts = naive.run(
        spec, geometry, dict(np.ndenumerate(codes(chosen).astype(object))),
        chosen.sums.width_code.tolist(), chosen.live.reshape(geometry.groups, -1).tolist(), x, zero,
    )  # fmt: skip
    for place, value in outputs.items():
        assert result.outputs[place] == pytest.approx(value, rel=1e-12, abs=1e-6)
    assert result.counts == AnalogCounts(**{n: counts[n] for n in AnalogCounts.__slots__})


def test_an_array_that_is_left_out_spoils_outputs_and_counts():
    task = dense_task(CrossbarSpec(columns=16))
    chosen, spec, x, *_ = task
    engine, rng = AnalogEngine(spec), np.random.default_rng(0)
    whole = engine.prepare(chosen, rng)
    tiles = whole.layout.group_tiles - np.array([0, 1])
    spoilt = replace(whole, columns=whole.columns._replace(group_tiles=tiles))
    result = engine.run(chosen, x, rng, crossbar=spoilt)
    assert not np.array_equal(result.outputs, exact(chosen, x, 0))
    assert result.counts.amplitude < run(task).counts.amplitude == esn_a_x4(chosen.sums) * len(x)
    assert result.counts.array_reads < run(task).counts.array_reads


@given(tasks())
def test_amplitude_of_whole_weights_is_esn_a(task):
    chosen, spec, *rest = task
    result = run((chosen, wide(spec), *rest))
    windows = chosen.layer.geometry.windows
    assert wide(spec).ideal_amplitude
    assert result.counts.amplitude == esn_a_x4(chosen.sums) * windows
    assert result.counts.cell_operations >= 2 * int(chosen.sums.coded.sum()) * windows


@given(tasks(), st.sampled_from(["filter", "layer"]))
def test_class_a_charges_every_code_the_largest_amplitude(task, scope):
    chosen, spec, *rest = task
    counts = run((chosen, wide(spec), *rest), amplitude_class="A", scope=scope).counts
    tops = chosen.sums.largest_x2
    closed = class_a_x4(chosen.sums, tops if scope == "filter" else int(tops.max()))
    assert counts.amplitude == closed * chosen.layer.geometry.windows


@given(tasks(), st.sampled_from([0, 1, 2, 0.5]))
def test_amplitude_is_the_sum_of_powers(task, exponent):
    chosen, spec, *rest = task
    kernel = chosen.layer.geometry.kernel
    groups, fan_in = chosen.layer.geometry.groups, chosen.layer.weight.shape[1]
    q = np.abs(codes(chosen)).reshape(groups, -1, fan_in, prod(kernel))
    live = chosen.live.reshape(groups, 1, fan_in, 1)
    expected = np.where((q > 0) & live, q.astype(float) ** exponent, 0).sum()
    counts = run((chosen, wide(spec), *rest), exponent=exponent).counts
    windows = chosen.layer.geometry.windows
    assert counts.amplitude == pytest.approx(expected * windows, rel=1e-12)


@given(tasks(), st.integers(2, 4))
def test_nothing_depends_on_threads(task, threads):
    noisy = {"adc_bits": 6, "read_noise": 0.1, "programming_error": 0.1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readout, "LANES", 8)  # blocks of one window or a few
        alone, shared = run(task, **noisy), run(task, threads=threads, **noisy)
    assert np.array_equal(alone.outputs, shared.outputs)
    assert alone.counts == shared.counts


@given(tasks(), st.integers(1, 50))
def test_without_noise_nothing_depends_on_blocks(task, lanes):
    one = run(task, adc_bits=6, programming_error=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readout, "LANES", lanes)
        other = run(task, adc_bits=6, programming_error=0.1)
    assert np.array_equal(one.outputs, other.outputs)
    assert one.counts == other.counts
