"""The MAC array: exact outputs, counts as the machine simulated unit by unit, and its laws.

- outputs = integer convolution of the codes, for every geometry, width and schedule
- counts = the naive array's, unit-cycle by unit-cycle
- active = MAC×bit in closed form; active + idle = cycles × units; cycles = the formulas
- bit-parallel ≤ sorted ≤ serial
- nothing depends on threads or on how the walk is shared out
"""

from dataclasses import asdict, replace
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esnsim.costs.equations import esn_d_tilde
from esnsim.errors import EsnsimError, UsageError
from esnsim.machines.array import bitplanes, products, program
from esnsim.machines.array import engine as digital
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.schedule import SCHEDULES, schedule
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.lowering import lower, needs_mask
from esnsim.machines.random_layers import random_layer
from esnsim.model.network import Codes, Geometry
from esnsim.quantization.complement import ones
from esnsim.quantization.quantizer import QuantizedLayer, codes, quantize
from esnsim.quantization.scheme import Scheme
from esnsim.selfcheck.accelerators import golden
from tests.engines import activations, exact
from tests.naive import array as naive
from tests.networks import layer, network
from tests.strategies import quantized_layers

GOLDEN = golden("schedules")


@st.composite
def tasks(draw: st.DrawFn) -> tuple[QuantizedLayer, ArraySpec, np.ndarray, int, bool]:
    """A quantised layer of a random network, an array, activations, their zero point and sign."""
    chosen = draw(quantized_layers())
    small = st.integers(1, 5)
    spec = ArraySpec(
        draw(small), draw(small), draw(small), draw(st.sampled_from(list(SCHEDULES))),
        draw(st.sampled_from([1, 3, 8, 9])), draw(st.sampled_from([1, 1, 2, 8])),
    )  # fmt: skip
    signed = draw(st.booleans())
    images, seed = draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(0, 2**32 - 1))
    x, zero = activations(chosen, spec.activation_bits, signed, seed, images)
    return chosen, spec, x, zero, signed


def array_widths(chosen: QuantizedLayer, spec: ArraySpec) -> np.ndarray:
    return -(-chosen.sums.width_code // spec.width_step) * spec.width_step


def closed_form(chosen: QuantizedLayer, spec: ArraySpec, x: np.ndarray) -> int:
    """Σ_m MAC_m · b_m of the images of x."""
    macs = int((chosen.sums.weights * array_widths(chosen, spec)).sum())
    return macs * chosen.layer.geometry.windows * images_of(chosen, x)


def images_of(chosen: QuantizedLayer, x: np.ndarray) -> int:
    return len(x) // chosen.layer.geometry.batch


@given(tasks(), st.booleans())
def test_outputs_are_the_integer_convolution(task, planes):
    chosen, spec, x, zero, signed = task
    outputs = DigitalEngine(spec, planes=planes).run(chosen, x, zero, signed).outputs
    assert np.array_equal(outputs, exact(chosen, x, zero))


@pytest.mark.parametrize("step", [5, 7, 15])
def test_widths_of_16_bits_are_rounded_up_beyond_them(step):
    rng = np.random.default_rng(step)
    geometry = Geometry(1, (4, 3), (2, 1), (1, 1), (1, 1), ((0, 1), (0, 0)))
    chosen = random_layer(5, 3, geometry, Scheme("filter-max", 16), rng)
    spec = ArraySpec(2, 3, 1, width_step=step)
    x, zero = activations(chosen, 8, False, 0, 2)
    assert array_widths(chosen, spec).max() == -(-16 // step) * step
    assert np.array_equal(DigitalEngine(spec).run(chosen, x, zero).outputs, exact(chosen, x, zero))


@given(tasks())
def test_essential_pairs_are_at_most_the_1_bits_of_weights_and_that_where_activations_have_no_0(
    task,
):
    chosen, spec, x, zero, signed = task
    spec, full = replace(spec, width_step=1), 2**spec.activation_bits - 1
    masks = int(chosen.sums.coded[needs_mask(chosen)].sum())  # planes outside MAC×bit
    pairs = (ones(chosen) + masks) * chosen.layer.geometry.windows * images_of(chosen, x)
    pairs *= spec.activation_bits
    engine = DigitalEngine(spec)
    assert engine.run(chosen, x, zero, signed).counts.essential_bits <= pairs
    assert engine.run(chosen, np.full_like(x, full), full, False).counts.essential_bits == pairs


@settings(max_examples=25)
@given(tasks().filter(lambda task: not task[0].layer.geometry.transposed), st.booleans())
def test_outputs_and_counts_are_those_of_the_array_unit_by_unit(task, planes):
    chosen, spec, x, zero, signed = task
    run = DigitalEngine(spec, planes=planes).run(chosen, x, zero, signed)
    geometry = chosen.layer.geometry
    per_code = dict(np.ndenumerate(codes(chosen).astype(object)))
    outputs, counts = naive.run(
        spec, geometry, per_code, True, array_widths(chosen, spec).tolist(),
        chosen.live.reshape(geometry.groups, -1).tolist(), x, zero,
    )  # fmt: skip
    assert all(run.outputs[place] == value for place, value in outputs.items())
    assert asdict(run.counts) == {name: counts[name] for name in asdict(run.counts)}


@given(tasks())
def test_active_unit_cycles_are_mac_bit(task):
    chosen, spec, x, zero, signed = task
    counts = DigitalEngine(spec).run(chosen, x, zero, signed).counts
    assert counts.active * spec.width_step == closed_form(chosen, spec, x)
    assert counts.active + counts.idle - counts.mask_idle == counts.cycles * spec.units
    assert counts.mask_active + counts.mask_idle == counts.mask_cycles * spec.units


@given(tasks())
def test_active_unit_cycles_are_esn_d_tilde_of_the_metrics(task):
    """Live as run: the network's dead channels and pruned filters are left out of both."""
    chosen, spec, x, zero, signed = task
    counts = DigitalEngine(replace(spec, width_step=1)).run(chosen, x, zero, signed).counts
    windows = chosen.layer.geometry.windows // chosen.layer.geometry.batch
    assert counts.active == esn_d_tilde(chosen.sums, "code") * len(x) * windows


@given(tasks(), st.integers(1, 70), st.integers(1, 70), st.integers(1, 70))
def test_outputs_and_essential_bits_do_not_depend_on_the_array(task, rows, lanes, windows):
    chosen, spec, x, zero, signed = task
    """Nor on windows that images would share: two on one tile are no faster than one by one."""
    other = replace(spec, rows=rows, lanes=lanes, windows=windows, schedule="bit-parallel")
    first, second = (DigitalEngine(s).run(chosen, x, zero, signed) for s in (spec, other))
    assert np.array_equal(first.outputs, second.outputs)
    assert first.counts.essential_bits == second.counts.essential_bits
    assert first.counts.active == second.counts.active
    assert first.counts.active <= first.counts.cycles * spec.units


@given(tasks())
def test_cycles_are_the_formulas_of_the_schedules(task):
    chosen, spec, x, zero, signed = task
    lowered = lower(chosen, spec.width_step)
    widths = lowered.widths.reshape(len(lowered.live), -1) // spec.width_step
    taps = lowered.values.shape[2]
    windows = -(-lowered.geometry.windows // spec.windows)
    total = 0
    for group, live in zip(widths, lowered.live, strict=True):
        order = -np.sort(-group[group > 0]) if spec.schedule == "sorted" else group[group > 0]
        planes = -(-int(group.sum()) // spec.rows)
        if spec.schedule != "bit-parallel":
            planes = sum(order[i : i + spec.rows].max() for i in range(0, len(order), spec.rows))
        total += (
            images_of(chosen, x) * windows * -(-taps * int(live.sum()) // spec.lanes) * int(planes)
        )
    assert DigitalEngine(spec).run(chosen, x, zero, signed).counts.cycles == total


@given(st.lists(st.integers(0, 8), min_size=5, max_size=12), st.integers(1, 12), st.randoms())
def test_sorted_takes_the_fewest_passes_of_all_orders(widths, rows, random):
    def passes(kind: str, given: list[int]) -> int:
        return len(schedule(kind, np.array(given), np.zeros(len(given), np.bool_), rows).used)

    least = passes("sorted", widths)
    assert least == passes("serial", sorted(widths, reverse=True))
    random.shuffle(widths)
    assert least == passes("sorted", widths) <= passes("serial", widths)


@given(tasks(), st.integers(2, 4))
def test_counts_of_images_are_the_sums_of_those_of_each(task, images):
    """Tiles are an image's own, so figures of one inference do not depend on how many run."""
    chosen, spec, *_, signed = task
    x, zero = activations(chosen, spec.activation_bits, signed, 7, images)
    engine, batch = DigitalEngine(spec), chosen.layer.geometry.batch
    whole = engine.run(chosen, x, zero, signed)
    parts = [engine.run(chosen, part, zero, signed) for part in np.split(x, images)]
    assert all(len(part.outputs) == batch for part in parts)
    assert np.array_equal(whole.outputs, np.concatenate([part.outputs for part in parts]))
    assert whole.counts == reduce(add, (part.counts for part in parts))
    shapes = [replace(part.counts, essential_bits=0) for part in parts]
    assert shapes == [shapes[0]] * images


@pytest.mark.parametrize(("rows", "cycles"), [(10, 46_080), (12, 36_864)])
def test_sorted_begins_with_the_widest(rows, cycles):
    """By hand from the formula; narrowest first would take 55,296 and 41,472."""
    run = DigitalEngine(ArraySpec(rows, 8, 1, "sorted")).run(golden_layer(), golden_activations())
    assert run.counts.cycles == cycles


@given(st.sampled_from([1, 2, 4, 8]), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_a_full_array_of_multipliers_does_a_mac_a_unit_and_cycle(unit_bits, images, seed):
    """Of n units that multiply w weight bits each: n MACs of filters of w bits."""
    spec = ArraySpec(4, 6, 2, "serial", width_step=unit_bits)
    rng = np.random.default_rng(seed)
    geometry = Geometry(1, (2, 5), (2, 1), (1, 1), (1, 1), ((0, 1), (0, 0)))  # 2 × 5 windows
    chosen = random_layer(8, 3, geometry, Scheme("filter-max", unit_bits), rng)
    counts = DigitalEngine(spec).run(chosen, *activations(chosen, 8, False, seed, images)).counts
    assert counts.cycles * spec.units == images * chosen.layer.macs == counts.active


@given(tasks())
def test_bit_parallel_is_fastest_and_sorted_no_slower_than_serial(task):
    chosen, spec, x, zero, signed = task
    cycles = [
        DigitalEngine(replace(spec, schedule=kind)).run(chosen, x, zero, signed).counts.cycles
        for kind in SCHEDULES
    ]
    assert cycles == sorted(cycles)


@given(tasks(), st.booleans(), st.integers(2, 4), st.integers(1, 40), st.randoms())
def test_nothing_depends_on_threads_or_blocks(task, planes, threads, block, random):
    chosen, spec, x, zero, signed = task
    alone = DigitalEngine(spec, threads=1).run(chosen, x, zero, signed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitplanes, "BLOCK", block)
        patch.setattr(bitplanes, "PART", 1)
        patch.setattr(products, "BLOCK", 100 * block)
        patch.setattr(digital, "WHOLE", random.choice([1, 1 << 20]))
        shared = DigitalEngine(spec, threads, planes).run(chosen, x, zero, signed)
    assert np.array_equal(alone.outputs, shared.outputs)
    assert alone.counts == shared.counts


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("places", [slice(1, None), [0, *range(153)], [*range(154), 0]])
def test_passes_without_a_plane_or_with_one_twice_are_refused(kind, places, monkeypatch):
    """Outputs are those of all planes: a schedule that lost one would go unnoticed."""

    def spoilt(*given):
        passes = schedule(*given)
        return replace(passes, filters=passes.filters[places], bits=passes.bits[places])

    monkeypatch.setattr(program, "schedule", spoilt)
    with pytest.raises(EsnsimError, match=f"'{kind}' does not stream each plane of a layer exact"):
        DigitalEngine(ArraySpec(8, 8, 1, kind)).run(golden_layer(), golden_activations())


@pytest.mark.parametrize(("length", "kind"), [(21_846, np.int32), (21_847, np.int64)])
@pytest.mark.parametrize("sign", [1, -1])
def test_outputs_are_narrow_up_to_the_last_sum_that_fits(length, kind, sign):
    """21,846 · 32,767 · 3 = 2^31 − 2, and a weight more is beyond."""
    stored = Codes(16, False, False, lambda: np.ones((1, length)))
    made = layer(np.full((1, length), sign * 32_767, np.int32), Geometry(2), codes=stored)
    chosen = quantize(network([made])).layers[0]
    engine, highest = DigitalEngine(ArraySpec(activation_bits=2)), sign * length * 32_767 * 3
    for zero in (0, 3):
        x = np.array([[0], [3]]).repeat(length, 1)
        outputs = engine.run(chosen, x, zero).outputs
        assert outputs.dtype == kind
        assert outputs.ravel().tolist() == ([0, highest] if zero == 0 else [-highest, 0])


@given(st.integers(2, 8), st.booleans(), st.integers(0, 2**32 - 1))
def test_stored_integers_run_exactly_whatever_their_zero_point(bits, asymmetric, seed):
    """Codes less a zero point can overflow the stored width; the array streams the stored one."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 1 << bits, (5, 3, 2, 1))
    zero_points = rng.integers(0, 1 << bits, (5, 1, 1, 1)) if asymmetric else 1 << bits - 1
    format_ = Codes(bits, False, asymmetric, lambda: np.ones((5, 3, 2, 1)))
    geometry = Geometry(2, (4, 3), (2, 1), (1, 2), (1, 1), ((1, 0), (0, 2)))
    made = layer((stored - zero_points).astype(np.int32), geometry, codes=format_)
    chosen = quantize(network([made])).layers[0]
    x, zero = activations(chosen, 8, False, seed)
    run = DigitalEngine(ArraySpec(3, 2, 2)).run(chosen, x, zero)
    assert np.array_equal(run.outputs, exact(chosen, x, zero))
    assert run.counts.active == closed_form(chosen, ArraySpec(), x)


def golden_layer() -> QuantizedLayer:
    """The layer of schedules.json: 32 filters of widths 2 + (f mod 7) over 32 channels, 3×3."""
    f, c, i, j = np.indices((32, 32, 3, 3))
    m = (1 << (1 + f % 7)) - 1
    values = (7 * f + 3 * c + 5 * i + 11 * j) % (2 * m + 1) - m
    assert values.sum() == GOLDEN["deterministic_values"]["sum_weights"]
    geometry = Geometry(1, (8, 8), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    stored = Codes(8, False, False, lambda: np.ones(values.shape))
    return quantize(network([layer(values.astype(np.int32), geometry, codes=stored)])).layers[0]


def golden_activations() -> np.ndarray:
    c, x, y = np.indices((32, 8, 8))
    values = ((13 * c + 5 * x + 3 * y) % 256) >> (c % 4)
    assert values.sum() == GOLDEN["deterministic_values"]["sum_activations"]
    return values[None]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rows", ["4", "8"])
def test_cycles_and_utilisation_of_the_golden_layer(schedule, rows):
    """schedules.json: computed by hand from the formulas of the schedules."""
    spec = ArraySpec(int(rows), GOLDEN["array"]["lanes"], 1, schedule)
    chosen, x = golden_layer(), golden_activations()
    run = DigitalEngine(spec).run(chosen, x)
    expected = GOLDEN["rows"][rows][schedule]
    steps = GOLDEN["array"]["reduction_steps"] * GOLDEN["array"]["window_steps"]
    assert run.counts.cycles == expected["plane_steps"] * steps
    assert run.counts.cycles == expected.get("cycles", run.counts.cycles)
    assert run.counts.active == GOLDEN["mac_bits"]
    utilisation = run.counts.active / (run.counts.cycles * spec.units)
    # The file prints two to four digits, cut or rounded.
    assert utilisation == pytest.approx(expected["utilisation"], abs=1e-3)
    assert np.array_equal(run.outputs, exact(chosen, x, 0))


def test_the_depthwise_example_of_the_definitions():
    """metrics.md, section 5: 512 channels on 64×16 take 100,352 cycles, not 6,272."""
    rng = np.random.default_rng(0)
    geometry = Geometry(1, (14, 14), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), 512)
    made = layer(rng.normal(size=(512, 1, 3, 3)).astype(np.float32), geometry)
    chosen = quantize(network([replace(made, channels=np.zeros(512, np.int32))])).layers[0]
    x = rng.integers(0, 256, (1, 512, 14, 14))
    assert DigitalEngine(ArraySpec(64, 16)).run(chosen, x).counts.cycles == 100_352


@pytest.mark.parametrize("planes", [True, False])
@pytest.mark.parametrize("pads", [((-5, 6), (1, -3)), ((6, -5), (0, 0)), ((-1, 2), (-1, -1))])
def test_negative_pads_may_remove_the_whole_input(pads, planes):
    geometry = Geometry(2, (3, 5), (2, 1), (1, 2), (1, 1), pads, 2)
    made = layer(np.random.default_rng(0).normal(size=(6, 3, 2, 1)), geometry)
    chosen = quantize(network([made])).layers[0]
    x, zero = activations(chosen, 8, False, 1)
    outputs = DigitalEngine(ArraySpec(), planes=planes).run(chosen, x, zero).outputs
    assert np.array_equal(outputs, exact(chosen, x, zero))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 2, 8, 8), int), r"needs activations of shape \(batch, 32, 8, 8\), but got"),
        (np.zeros((1, 32, 8, 8)), "needs integer activations from 0 to 255: quantise them first"),
        (np.full((1, 32, 8, 8), 256), "needs integer activations from 0 to 255"),
        (np.full((1, 32, 8, 8), -1), "needs integer activations from 0 to 255"),
    ],
)
def test_activations_that_do_not_fit_are_refused(x, message):
    with pytest.raises(UsageError, match=message):
        DigitalEngine().run(golden_layer(), x)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rows", 0, "an array with rows = 0: give a whole number of 1 or more"),
        ("lanes", -3, "an array with lanes = -3"),
        ("windows", 1.5, "an array with windows = 1.5"),
        ("schedule", "fast", "no schedule 'fast': use one of bit-parallel, sorted, serial"),
        ("activation_bits", 17, "activations of 17 bits: at most 16"),
        ("e_bit", -1.0, "an array with e_bit = -1.0: give a number of 0 or more"),
    ],
)
def test_an_array_that_cannot_be_is_refused(field, value, message):
    with pytest.raises(UsageError, match=message):
        ArraySpec(**{field: value})
