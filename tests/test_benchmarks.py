"""The benchmarks measure what they say: their models, their rounds, their processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks import models
from benchmarks.timing import Spread, interleave, run
from esnsim import cost, quantize, read_onnx
from tests.importer.test_mac_counts import TORCHVISION


def test_resnet50_has_the_reference_macs_and_its_size_in_float32() -> None:
    model = models.resnet50()
    assert sum(layer.macs for layer in read_onnx(model).layers) == TORCHVISION["resnet50"]
    assert 102e6 < model.ByteSize() < 103e6


def test_the_qonnx_form_is_read_as_codes_of_the_width_it_states() -> None:
    network = cost(quantize(read_onnx(models.qonnx())))
    assert network.total.macs == TORCHVISION["resnet50"]
    assert {layer.weight.codes.bits for layer in network.network.layers} == {models.BITS}


def test_the_large_model_keeps_its_weights_one_after_the_other_in_a_file(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(models, "SIDE", 16)
    monkeypatch.setattr(models, "REPEATED", 256)
    (tmp_path / "large.onnx").write_bytes(models.large(tmp_path / "w.bin").SerializeToString())
    stored = np.fromfile(tmp_path / "w.bin", np.float32).reshape(models.LAYERS, 16, 16)
    for index, layer in enumerate(read_onnx(tmp_path / "large.onnx").layers):
        filters = stored[index] if layer.op == "Gemm" else stored[index].T
        np.testing.assert_array_equal(layer.weight.load(), filters)


def test_every_job_runs_once_a_round_and_rounds_turn_around() -> None:
    order: list[str] = []
    jobs = {name: lambda name=name: order.append(name) for name in "abc"}
    assert interleave(jobs, 2) == {name: [None, None] for name in jobs}
    assert order == [*"abc", *"cba"]


def test_a_run_reports_exit_code_output_and_peak_memory(tmp_path: Path) -> None:
    code = "import sys, time; x = b'1' * 50_000_000; time.sleep(0.1); print('out'); sys.exit(3)"
    done = run((sys.executable, "-c", code), tmp_path, os.environ, sample=True)
    assert (done.code, done.output) == (3, "out\n")
    assert done.peak_rss >= done.peak_anonymous >= 50_000_000


def test_a_spread_is_the_median_the_least_and_the_most() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 9.0]) == Spread(2.5, 1.0, 9.0)


def test_an_unknown_benchmark_names_those_there_are() -> None:
    command = (sys.executable, "-m", "benchmarks", "nothing")
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 2
    assert "cost" in done.stderr
