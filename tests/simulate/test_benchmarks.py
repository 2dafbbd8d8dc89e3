"""The engines benchmark: its answers are checked, and its crossbar in NumPy is ours."""

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, engines, engines_analog, engines_report
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.crossbar.converters import IDEAL
from esnsim.machines.random_layers import random_layer
from esnsim.model.network import Geometry
from esnsim.quantization.scheme import Scheme

SPREAD = {"median": 2.0, "least": 1.0, "most": 3.0}


@pytest.fixture
def task() -> engines.Task:
    """A convolution with unequal kernel, strides, dilations and pads."""
    rng = np.random.default_rng(0)
    geometry = Geometry(1, (9, 7), (3, 2), (1, 2), (2, 1), ((1, 0), (2, 1)))
    layer = random_layer(13, 50, geometry, Scheme(bits=4), rng)
    x = rng.integers(0, 256, (1, 50, 9, 7), np.uint8)
    return engines.Task(layer, DigitalEngine().prepare(layer), x, 1)


def test_a_layer_is_checked_before_it_is_timed(
    task: engines.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines.check_layer(task, 1)
    run = engines.digital_job(task, 1)()
    run.outputs[0, 3, 1, 1] += 1
    monkeypatch.setattr(engines, "digital_job", lambda *given: lambda: run)
    with pytest.raises(ArithmeticError, match="the outputs are wrong"):
        engines.check_layer(task, 1)


@pytest.mark.parametrize("spec", [engines_analog.WHOLE, engines_analog.SLICED])
def test_the_crossbar_in_numpy_is_ours(task: engines.Task, spec, tmp_path: Path) -> None:
    found = engines_analog.compare(task, spec, 1, None, tmp_path, time.perf_counter)
    assert found["ours"]["median"] > 0 < found["numpy"]["median"]


def test_a_crossbar_that_differs_is_refused(task: engines.Task) -> None:
    outputs = np.zeros((13, 40))
    with pytest.raises(ArithmeticError, match=r"100\.0% of the outputs differ"):
        engines_analog.agree(task, outputs, outputs + 1, IDEAL)


def test_the_report_says_which_goals_are_met() -> None:
    layer = {"title": "3×3", "count": 2, "macs": 25e10, "one_bit_macs": 8e12} | {
        "seconds": SPREAD, "planes": SPREAD
    }  # fmt: skip
    rates = {
        "roofline": 5e12, "bare roofline": 8e12, "ONNX Runtime": 2.0, "network": 9.0,
    }  # fmt: skip
    results = {
        "machine": {"processor": "P", "cores": 2, "flags": ["avx2"]},
        "versions": {"esnsim": "1"}, "threads": 2, "load": [0.1, 0.2],
        "command": {"seconds": 3.0, "peak_rss": 2e9},
        "digital": {name: SPREAD | {"median": n} for name, n in rates.items()}
        | {"layers": [layer]},
        "analog": {},
    }  # fmt: skip
    text = engines_report.render(results)
    assert "| layers ÷ ONNX Runtime | 2.0 | 2.2: met |" in text
    assert "| end to end ÷ ONNX Runtime | 4.5 | 3.5: missed |" in text
    assert "| share of it | 80% | 85 %: missed |" in text
    assert "| share of it | 50% | 65 %: missed |" in text
    assert "| its peak memory | 2000 MB | 500 MB: missed |" in text
    assert "| 3×3 | 2 | 2000.00 (1000.00) | 125 G | 2000.00 | 4.00 T | 80% |" in text


def test_the_accuracy_tables_hold_every_run() -> None:
    commands = {c.format(b) for c in accuracy.DIGITAL.values() for b in accuracy.BITS}
    commands |= {c.format(b) for c in accuracy.ANALOG.values() for b in accuracy.ADC_BITS}
    found = {c: {"top1": 0.5, "float": 0.6, "mac_bits": 2e6, "sqnr_db": None} for c in commands}
    text = accuracy.tables(found)
    assert text.count("50.0% | 2 M") == len(accuracy.DIGITAL) * len(accuracy.BITS)
    assert text.count("50.0%, exact") == len(accuracy.ANALOG) * len(accuracy.ADC_BITS)
