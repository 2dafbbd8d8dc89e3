"""Published numbers: CrossSim's outputs, ISAAC's energies, the laws of converters, class A."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from esnsim.costs.equations import esn_a_x4
from esnsim.machines.crossbar.cells import program
from esnsim.machines.crossbar.converters import conversion_energy
from esnsim.machines.crossbar.engine import AnalogCounts, energy
from esnsim.machines.crossbar.spec import PRESETS, CrossbarSpec
from esnsim.quantization.quantizer import QuantizedLayer, quantize
from esnsim.quantization.scheme import Scheme
from esnsim.selfcheck.accelerators import golden
from tests.analog.tasks import dense_task, run, stored_layer
from tests.engines import activations, exact
from tests.networks import layer, network

CROSSSIM, ISAAC = golden("crossbar"), golden("isaac")


def crosssim_layer() -> tuple[QuantizedLayer, np.ndarray]:
    """crossbar.json: 4 columns of 16 rows, and an input."""
    o, k = np.indices((4, 16))
    values = (37 * o + 11 * k + o * k % 5) % 255 - 127
    values[0, 0] = 127
    x = 29 * np.arange(16) % 256
    x[3] = 255
    return stored_layer(values, 8), x[None]


@pytest.mark.parametrize(("adc_bits", "expected"), [(None, "adc_off"), (8, "adc_8_bits")])
def test_outputs_of_crosssim(adc_bits, expected):
    """crossbar.json: the analog core of CrossSim 3.2, balanced, with and without its converter."""
    chosen, x = crosssim_layer()
    spec = CrossbarSpec(rows=16, columns=8, adc_bits=adc_bits, zero_level=False)
    outputs = run((chosen, spec, x, 0, False)).outputs
    assert outputs[0] == pytest.approx(CROSSSIM[expected], rel=1e-12)


@pytest.mark.parametrize("bits", range(2, 15))
def test_closed_form_of_crosssims_converter(bits):
    """crossbar.json: `closed_form`, at other widths than the one that CrossSim was run at."""
    chosen, x = crosssim_layer()
    y = np.array(CROSSSIM["ideal"])
    steps, unit = 2**bits - 1, 255 * 127
    expected = (np.round((y / unit + 16) * steps / 32) * 32 / steps - 16) * unit
    spec = CrossbarSpec(rows=16, columns=8, adc_bits=bits, zero_level=False)
    outputs = run((chosen, spec, x, 0, False)).outputs
    assert outputs[0] == pytest.approx(expected, rel=1e-9, abs=1e-6)


def isaac_run(bits: int, filters: int) -> tuple[AnalogCounts, CrossbarSpec]:
    """A full ISAAC array: 128 rows, all of 128 columns, one window."""
    weights = np.random.default_rng(0).normal(size=(filters, 128)).astype(np.float32)
    chosen = quantize(network([layer(weights)]), Scheme("filter-max", bits)).layers[0]
    spec = replace(PRESETS["isaac"], activation_bits=bits)
    x, _ = activations(chosen, bits, False, 0)
    return run((chosen, spec, x, 0, False)).counts, spec


def test_energy_of_an_isaac_array_read():
    """isaac.json: components, and what follows from them."""
    counts, spec = isaac_run(8, 32)
    assert (counts.array_reads, counts.conversions) == (8, 8 * ISAAC["crossbar"]["columns"])
    spent, derived = energy(counts, spec), ISAAC["derived"]
    assert spent.cells / 8 == pytest.approx(ISAAC["crossbar"]["energy_pj_per_read"], rel=2e-3)
    per_read = derived["energy_pj_per_array_read_with_converters"]
    assert spent.total / 8 == pytest.approx(per_read, rel=1e-3)
    assert spent.adc / spent.total == pytest.approx(derived["adc_share"], abs=0.005)
    assert ISAAC["dac"]["energy_pj_per_row_read"][0] < spec.e_dac
    assert spec.e_dac < ISAAC["dac"]["energy_pj_per_row_read"][1]


def test_energy_of_a_16_bit_mac_of_isaac():
    """isaac.json: pj_per_16b_mac; headlines.json: 2.31 pJ, within 1.5 %."""
    counts, spec = isaac_run(16, 16)
    total = energy(counts, spec).total
    assert total / (128 * 16) == pytest.approx(ISAAC["derived"]["pj_per_16b_mac"], abs=0.05)
    headlines = golden("headlines")["rows"]
    [headline] = [row for row in headlines if row["machine"] == "ISAAC"]
    assert total / (128 * 16) == pytest.approx(headline["value"], rel=0.015)


@pytest.mark.parametrize("value", [-128, -43, 42, 127])
def test_isaac_is_exact_on_all_its_rows(value):
    """128 rows of 2-bit cells sum to 9 bits: inverted, no column has more than isaac.json's 8.

    CrossSim's own configuration of ISAAC takes 9 bits, for want of inverted columns, and says that
    they make it 8 (sandialabs/cross-sim@4907281, simulator/configs).
    """
    weights = np.full((3, 200), value)
    weights[0] = np.random.default_rng(0).integers(-128, 128, 200)
    chosen, x = stored_layer(weights, 8), np.full((1, 200), 255)
    flipped, plain = PRESETS["isaac"], replace(PRESETS["isaac"], flip=False)
    outputs = {s.flip: run((chosen, s, x, 0, False)).outputs for s in (flipped, plain)}
    assert np.array_equal(outputs[True], exact(chosen, x, 0))
    assert np.array_equal(outputs[False], exact(chosen, x, 0)) == (value < 0)
    least = {
        s.flip: program(chosen, s, np.random.default_rng(0)).lossless for s in (flipped, plain)
    }
    assert least[True] == ISAAC["adc"]["bits"]
    assert (least[False] == 9) == (value > 0)


@pytest.mark.parametrize(
    ("law", "bits", "pj"),
    [
        ("fixed", 5, 1.667),
        *[("scaled", b, 1.667 * 2.0 ** (b - 8)) for b in (4, 8, 10)],
        *[("capacitive", b, pj) for b, pj in
          {4: 0.324, 6: 0.489, 8: 0.701, 10: 1.66, 12: 14.6}.items()],
        *[("survey", int(b), pj) for b, pj in
          ISAAC["adc_energy_laws"]["survey_32nm_100MSps"].items() if b.isdigit()],
        ("survey", 5, sqrt(0.92 * 1.07)),
    ],
)  # fmt: skip
def test_energy_laws_of_converters(law, bits, pj):
    """isaac.json: adc_energy_laws; between the widths of the survey the geometric mean."""
    assert conversion_energy(law, bits, 1.667, 0.9) == pytest.approx(pj, rel=5e-3)


@pytest.mark.parametrize(("exponent", "name"), [(2, "p2_saturated"), (1, "p1")])
def test_class_a_over_class_b_for_gaussian_weights(exponent, name):
    """isaac.json: class_a_over_class_b_gaussian_clipped_3_sigma, by sampling."""
    weights = np.random.default_rng(0).normal(size=(1, 200_000)).clip(-3, 3).astype(np.float32)
    chosen = quantize(network([layer(weights)]), Scheme(bits=10)).layers[0]
    spec = CrossbarSpec(rows=16, exponent=exponent)
    task = (chosen, spec, np.zeros((1, 200_000), int), 0, False)
    ratio = run(task, amplitude_class="A").counts.amplitude / run(task).counts.amplitude
    published = ISAAC["class_a_over_class_b_gaussian_clipped_3_sigma"][name]
    assert ratio == pytest.approx(published, rel=0.01)


def test_energy_is_esn_a_unless_converters_are_on():
    task = dense_task(CrossbarSpec())
    counts = run(task).counts
    assert energy(counts, CrossbarSpec()).total == esn_a_x4(task[0].sums) * len(task[2]) / 4
    priced = CrossbarSpec(adc_bits=8, exponent=None, e_cell=0.5, priced=True, converters=True,
                          adc_law="fixed", e_adc=2.0, e_dac=3.0, e_shift_add=5.0)  # fmt: skip
    spent = energy(run(task, exponent=None).counts, priced)
    assert (spent.cells, spent.adc) == (counts.cell_operations / 2, 2 * counts.conversions)
    assert (spent.dac, spent.shift_add) == (3 * counts.row_drives, 5 * counts.shift_adds)
