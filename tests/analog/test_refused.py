"""Crossbars that cannot be, and activations that do not fit: one line that says what to do."""

import numpy as np
import pytest

from esnsim.errors import UsageError
from esnsim.machines.crossbar.spec import CrossbarSpec
from tests.analog.tasks import dense_task, run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 0}, "a crossbar with rows = 0: give a whole number of 1 or more"),
        ({"columns": 1}, "a crossbar with columns = 1: give a whole number of 2 or more"),
        ({"sign": "offset", "columns": 0}, "a crossbar with columns = 0: give a whole number of 1"),
        ({"rows": 1.5}, "a crossbar with rows = 1.5"),
        ({"activation_bits": 17},
         "a crossbar with activation_bits = 17: give a whole number from 1 to 16$"),
        ({"adc_bits": 0},
         "a crossbar with adc_bits = 0: give a whole number from 1 to 24, or None if it is ideal"),
        ({"bits_per_cell": 17}, "a crossbar with bits_per_cell = 17"),
        ({"dac_bits": 0}, "a crossbar with dac_bits = 0"),
        ({"sign": "both"}, "no sign 'both': use one of differential, offset"),
        ({"flip": True}, "columns are inverted that hold no signs: give sign = 'offset'"),
        ({"adc_range": "full"}, "no adc_range 'full': use one of max, granular, calibrated"),
        ({"amplitude_class": "C"}, "no amplitude_class 'C': use one of A, B"),
        ({"scope": "network"}, "no scope 'network': use one of filter, layer"),
        ({"adc_law": "free"}, "no adc_law 'free': use one of fixed, scaled, capacitive, survey"),
        ({"read_noise": -0.1}, "a crossbar with read_noise = -0.1: give a number of 0 or more"),
        ({"e_cell": float("nan")}, "a crossbar with e_cell = nan: give a number of 0 or more"),
        ({"on_off_ratio": 1}, "an on/off ratio of 1: give a number above 1"),
        ({"percentile": 50}, "percentile 50: give a number above 50, up to 100"),
        ({"adc_bits": 1},
         "a converter of 1 bit has no codes for 0 and both signs of a pair: give adc_bits of 2"),
        ({"converters": True}, "converters are priced in pJ: give e_cell in pJ too"),
        ({"converters": True, "priced": True},
         "an ideal converter has no energy: give adc_bits, or leave converters out of the energy"),
        ({"converters": True, "priced": True, "adc_bits": 3, "adc_law": "survey"},
         "the survey of converters covers 4 to 12 bits, not 3"),
    ],
)  # fmt: skip
def test_a_crossbar_that_cannot_be_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        CrossbarSpec(**changes)


@pytest.mark.parametrize(
    ("x", "zero", "bits", "message"),
    [
        (np.zeros((1, 15), int), 0, 8, r"needs activations of shape \(batch, 64\), but got"),
        (np.full((1, 64), 16), 0, 4, "needs integer activations from 0 to 15: quantise them first"),
        (np.zeros((1, 64), int), 256, 8, "has zero point 256: it must lie from 0 to 255, as its"),
    ],
)
def test_activations_that_do_not_fit_are_refused(x, zero, bits, message):
    chosen, spec, *_ = dense_task(CrossbarSpec(activation_bits=bits))
    with pytest.raises(UsageError, match=message):
        run((chosen, spec, x, zero, False))
