"""`esnsim simulate`: what it prints is what the engines counted, in the units asked for."""

import csv
import io
import json
import os
import re
import sys
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import esnsim as library
from esnsim import Scheme, cost, quantize, read_onnx
from esnsim.cli import main
from esnsim.commands import simulate
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.schedule import SCHEDULES
from esnsim.machines.base import MismatchError
from esnsim.machines.crossbar.engine import AnalogEngine
from esnsim.machines.presets import presets
from esnsim.machines.simulator import Simulation
from esnsim.report import progress
from esnsim.report.simulation.table import Look, render
from esnsim.run import session
from esnsim.threads import workers
from esnsim.units import joules
from tests.commandline import Terminal, esnsim, refused, report
from tests.importer.models import model
from tests.samples import convolutions, saved, weights

MODEL = "builtin:resnet8"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Layers of many kinds, which run on random integers."""
    return saved(convolutions(), tmp_path)


@cache
def on_resnet20(array: str) -> Simulation:
    return library.simulate("builtin:resnet20", array)


def test_the_default_is_the_array_of_maki_on_the_embedded_images() -> None:
    found = report(esnsim("simulate", MODEL, "--json"))
    wanted = cost(quantize(read_onnx(MODEL))).total
    assert (found["machine"]["rows"], found["machine"]["lanes"]) == (64, 16)
    assert found["activations"] == (
        "1 of 1,000 images of fashion_mnist_1000.npz; 64 others calibrate"
    )
    assert found["totals"]["mac_bits"] == found["totals"]["esn_d_tilde"] == wanted.esn_d_tilde.macs
    assert found["totals"]["esn_a_x4"] == wanted.esn_a_x4.macs
    assert [layer["counts"]["active"] for layer in found["layers"]] == [
        layer["mac_bits"] for layer in found["layers"]
    ]


def test_the_table_says_counted_and_closed_form_and_names_units() -> None:
    text = esnsim("simulate", MODEL, "-q").out
    assert "MAC×bit   72.3M counted, and in closed form" in text
    assert "one-bit MACs; 1.00 times the ideal" in text
    assert "idle: narrower filters" in text


def test_energies_in_joules_are_priced_in_picojoules() -> None:
    words = "--e-bit 50fJ --e-idle 5fJ --e-weight-bit 10fJ --e-activation-bit 20fJ --e-dram-bit 4pJ"
    found = report(esnsim("simulate", MODEL, "--json", *words.split(), "--clock", "500MHz"))
    for layer in found["layers"]:
        counts, energy = layer["counts"], layer["energy"]
        idle = sum(n for name, n in counts.items() if name.startswith("idle"))
        assert energy["active"] == pytest.approx(0.05 * 8 * counts["active"])
        assert energy["idle"] == pytest.approx(0.005 * 8 * idle)
        assert energy["buffers"] == pytest.approx(
            0.01 * counts["weight_bits"] + 0.02 * counts["activation_bits"]
        )
        assert energy["dram"] == pytest.approx(4 * layer["dram_bits"])
    assert found["machine"]["energy_unit"] == "pJ"
    speed, totals = found["speed"], found["totals"]
    assert speed["inferences_per_second"] == pytest.approx(5e8 / totals["cycles"])
    assert speed["tops"] == pytest.approx(2e-12 * totals["macs"] * speed["inferences_per_second"])
    watts = speed["inferences_per_second"] * totals["energy"]["total"] * 1e-12
    assert speed["tops_per_watt"] == pytest.approx(speed["tops"] / watts)


def test_priced_energies_are_printed_in_joules_and_others_in_their_unit() -> None:
    words = ["simulate", MODEL, "-q", "--e-bit", "50fJ"]
    text = esnsim(*words).out  # 8 × 72.3M one-bit MACs at 50 fJ are 28.9 µJ
    assert "energy    28.9 µJ; 1.00 times the ideal 28.9 µJ" in text
    assert re.search(r"/fc/Gemm .* 2\.05 nJ +0\.0%", text)  # 8 × 5,120 one-bit MACs
    tilde = cost(quantize(read_onnx(MODEL))).total.esn_d_tilde.macs
    assert f"times the ideal {tilde * 8 / 20:,.2f} pJ" in esnsim(*words, "--exact").out
    assert " 28.9 µJ\n" in esnsim(*words, "--compare", "schedules").out
    text = esnsim(*words, "--compare", "digital", "analog", "--e-cell", "2fJ").out
    assert "digital at 50.0 fJ a one-bit MAC; analog at 2.00 fJ a cell operation" in text
    assert re.search(r"/fc/Gemm +8 +2\.05 nJ +1\.47 nJ +0\.72", text)
    text = esnsim("simulate", MODEL, "-q", "--compare", "digital", "analog").out
    assert "digital in one-bit MACs, 1 each; analog in cell operations at |W| = 1, 1 each" in text
    assert "J" not in text.partition("\n\n")[0]


@pytest.mark.parametrize(
    "text", ["e_bit: 50fj", "e_bit: 50 fJ\n  priced: true", "e_bit: 0.05\n  priced: true"]
)
def test_a_file_gives_energies_with_a_unit_in_any_case_or_in_picojoules(
    text: str, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "array.yaml").write_text(f"digital:\n  {text}\n")
    by_file = report(esnsim("simulate", small, "--array", tmp_path / "array.yaml", "--json"))
    words = "--e-bit 50FJ --array 64x16x1 --json"
    assert by_file == report(esnsim("simulate", small, *words.split()))
    assert by_file["machine"]["energy_unit"] == "pJ"


def test_a_clock_is_read_in_any_case(small: Path) -> None:
    first, second = (esnsim("simulate", small, "--clock", c, "-q") for c in ("500MHz", "500mhz"))
    assert first == second


def test_energies_without_a_unit_are_not_called_operations(small: Path, tmp_path: Path) -> None:
    (tmp_path / "array.toml").write_text("[digital]\ne_bit = 50\n")
    for words in (["--e-bit", 50], ["--array", tmp_path / "array.toml"]):
        found = report(esnsim("simulate", small, *words, "--json"))
        assert found["machine"]["energy_unit"] == "units of which a one-bit MAC takes 50"


def test_the_model_may_stand_behind_what_is_compared(small: Path) -> None:
    words = ("--compare", "digital", "analog")
    assert esnsim("simulate", "-q", *words, small) == esnsim("simulate", small, "-q", *words)


@pytest.mark.parametrize("words", [("schedules",), ("digital", "analog")])
def test_machines_compared_end_to_end_show_their_accuracy(words: tuple[str, ...]) -> None:
    few = ("--end-to-end", "--images", 8)
    text = esnsim("simulate", MODEL, "-q", *few, "--compare", *words).out
    assert text.count("%") > text.count("accuracy") >= 1


@pytest.mark.parametrize("columns", [80, 100, 140])
@pytest.mark.parametrize("array", ["maki", "isaac"])
def test_reports_fit_the_screen_with_the_energy_and_the_share(array: str, columns: int) -> None:
    lines = render(on_resnet20(array), Look(columns=columns)).splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].split()[-2:] == ["energy", "share"]
    assert len({line.split()[0] for line in lines[2:25]}) == 23


@pytest.mark.parametrize(
    ("picojoules", "text"),
    [
        (12_094_000, "12.1 µJ"), (999_999, "1.00 µJ"), (0.05, "50.0 fJ"), (0.00025, "0.25 fJ"),
        (1, "1.00 pJ"), (250, "250 pJ"), (4e10, "40.0 mJ"), (3.1e15, "3100 J"), (0, "0 J"),
    ],
)  # fmt: skip
def test_energies_have_three_digits_and_the_unit_that_suits(picojoules: float, text: str) -> None:
    assert joules(picojoules) == text


def test_an_ideal_crossbar_takes_esn_a_and_gives_exact_outputs() -> None:
    found = report(esnsim("simulate", MODEL, "--engine", "analog", "--json"))
    wanted = cost(quantize(read_onnx(MODEL))).total.esn_a_x4.macs / 4
    assert found["totals"]["energy"]["total"] == wanted
    assert found["totals"]["sqnr_db"] is None


def test_converters_are_priced_by_the_law_and_noise_follows_their_bits() -> None:
    words = "--adc-range calibrated --adc-law fixed --e-cell 2fJ --e-adc 3pJ --json"
    fine, coarse = (
        report(esnsim("simulate", MODEL, "--engine", "analog", "--adc-bits", bits, *words.split()))
        for bits in (10, 5)
    )
    assert fine["totals"]["sqnr_db"] > coarse["totals"]["sqnr_db"] + 2
    for layer in fine["layers"]:
        assert layer["energy"]["adc"] == pytest.approx(3 * layer["counts"]["conversions"])


def test_every_schedule_counts_the_same_and_bit_parallel_is_fastest() -> None:
    found = json.loads(esnsim("simulate", MODEL, "--compare", "schedules", "--json").out)
    assert [d["machine"]["schedule"] for d in found] == list(SCHEDULES)
    assert len({d["totals"]["mac_bits"] for d in found}) == 1
    cycles = [d["totals"]["cycles"] for d in found]
    assert cycles == sorted(cycles)


def test_analog_crosses_digital_where_its_energy_first_exceeds() -> None:
    text = esnsim("simulate", MODEL, "--compare", "digital", "analog", "--e-cell", "0.01").out
    network = read_onnx(MODEL)
    first = network.layers[0].name
    crossing = next(
        bits
        for bits in range(1, 17)
        for row in [cost(quantize(network, Scheme(bits=bits))).layers[0]]
        if 0.0025 * row.metrics.esn_a_x4.macs > 8 * row.metrics.esn_d_tilde.macs
    )
    [line] = [line for line in text.splitlines() if line.startswith(first)]
    assert line.split()[-1] == str(crossing)
    assert (
        "Eq. 6, all weights at the largest amplitude: 8 bits" in text
    )  # .01·127.5² > 8·8 and .01·63.5² < 8·7


def test_csv_has_a_row_a_layer_of_each_machine(small: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(esnsim("simulate", small, "--compare", "digital",
                                                  "analog", "--csv").out)))  # fmt: skip
    layers = len(read_onnx(small).layers)
    assert [row["machine"] for row in rows] == ["digital"] * layers + ["analog"] * layers
    assert rows[0]["counts.active"] == rows[0]["mac_bits"]
    assert rows[0]["counts.conversions"] == "" == rows[-1]["counts.active"]


def test_widths_are_those_of_cost(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "cost.json"
    assert esnsim("cost", small, "--step", "filter-sigma", "--json", "-o", path).code == 0
    found = report(esnsim("simulate", small, "--bits-per-filter", path, "--json"))
    wanted = json.loads(path.read_text())["totals"]["esn_d_tilde"]["macs"]
    assert found["totals"]["mac_bits"] == wanted


def test_eight_bits_keep_the_accuracy_of_the_embedded_resnet20() -> None:
    """Within 0.5 points, as on all images in the first row of the table in docs/simulate.md."""
    words = ("--end-to-end", "--images", 200, "--json")
    found = report(esnsim("simulate", "builtin:resnet20", *words))["accuracy"]
    assert found["images"] == 200
    assert found["float_model"] == 192 / 200
    assert abs(found["simulated"] - found["float_model"]) <= 0.005


def test_the_accuracy_is_told_beside_the_float_models() -> None:
    text = esnsim("simulate", MODEL, "--end-to-end", "--images", 50).out
    assert re.search(
        r"accuracy  \d+\.\d% top-1 end to end, float model \d+\.\d%, on 50 images", text
    )


def test_without_labels_it_is_agreement(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((5, 1, 28, 28), np.float32))
    words = ("simulate", MODEL, "--end-to-end", "--data", tmp_path / "x.npy")
    found = report(esnsim(*words, "--json"))["accuracy"]
    assert (found["simulated"], found["float_model"], found["images"]) == (None, None, 3)
    text = esnsim(*words).out
    assert "with the float model's class (no labels)" in text
    assert "one an image, 3 images" in text


def test_a_model_without_images_runs_on_random_integers_and_says_so(tmp_path: Path) -> None:
    path = saved(convolutions(), tmp_path)
    first, again, other = (
        report(esnsim("simulate", path, "--json", "--seed", seed)) for seed in (3, 3, 4)
    )
    assert first["activations"] == "random integers"
    assert first == again
    essential = [[x["counts"]["essential_bits"] for x in d["layers"]] for d in (first, other)]
    assert essential[0] != essential[1]


def test_the_same_seed_gives_the_same_noise(small: Path, tmp_path: Path) -> None:
    (tmp_path / "noisy.toml").write_text('[analog]\npreset = "ideal-analog"\nread_noise = 0.01\n')
    words = ("simulate", small, "--array", tmp_path / "noisy.toml", "--json", "--threads")
    first = report(esnsim(*words, 1, "--seed", 3))
    assert first == report(esnsim(*words, 2, "--seed", 3))
    assert first["totals"]["sqnr_db"] != report(esnsim(*words, 1))["totals"]["sqnr_db"]


def test_what_stays_in_onnx_runtime_is_listed(tmp_path: Path) -> None:
    proto = model(
        """[outer] h = Conv(x, w)
           s = ReduceSum<keepdims=0>(h) p = Greater(s, zero)
           y = If(p) <then_branch = t () => (float[1,2,2,3] a) {[inner] a = Conv(h, v)},
                      else_branch = e () => (float[1,2,2,3] b) {b = Identity(h)}>""",
        "float[1,3,2,3] x", w=weights(2, 3, 1, 1), v=weights(2, 2, 1, 1), zero=np.float32(0),
    )  # fmt: skip
    path = saved(proto, tmp_path)
    ended = esnsim("simulate", path, "--json")
    found = report(ended)
    assert [layer["name"] for layer in found["layers"]] == ["outer"]
    [left_out] = found["not_simulated"]
    assert left_out["name"] == "inner"
    assert "inside an If" in left_out["reason"]
    assert "layer 'inner' is not simulated" in ended.err


@pytest.mark.parametrize("suffix", ["toml", "yaml"])
def test_a_file_describes_a_machine(small: Path, tmp_path: Path, suffix: str) -> None:
    text = {
        "toml": '[digital]\npreset = "maki"\nrows = 8\nwindows = 3\nschedule = "sorted"\n',
        "yaml": "digital:\n  preset: maki\n  rows: 8\n  windows: 3\n  schedule: sorted\n",
    }
    path = tmp_path / f"array.{suffix}"
    path.write_text(text[suffix])
    by_file = report(esnsim("simulate", small, "--array", path, "--json"))
    by_hand = esnsim("simulate", small, "--array", "8x16x3", "--schedule", "sorted", "--json")
    assert by_file == report(by_hand)


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_runs(name: str, small: Path) -> None:
    assert report(esnsim("simulate", small, "--array", name, "--json"))["layers"]


def test_an_array_of_8_bit_multipliers_pays_8_bits_whatever_the_width(small: Path) -> None:
    found = report(esnsim("simulate", small, "--array", "int8", "--bits", 4, "--json"))
    assert found["totals"]["mac_bits"] == 8 * found["totals"]["macs"]
    assert found["totals"]["esn_d_tilde"] < 4.01 * found["totals"]["macs"]


@pytest.mark.parametrize(
    ("words", "count", "said"),
    [("", "active", "MAC×bit"), ("", "idle_rows", "unit-cycles"),
     ("--engine analog", "amplitude", "4·ESNa")],
)  # fmt: skip
def test_a_count_that_is_not_the_closed_form_fails_loudly(
    words: str, count: str, said: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DigitalEngine if not words else AnalogEngine
    right = engine.run

    def spoilt(*given, **more):  # type: ignore[no-untyped-def]
        run = right(*given, **more)
        counts = replace(run.counts, **{count: getattr(run.counts, count) + 1})
        return replace(run, counts=counts)

    monkeypatch.setattr(engine, "run", spoilt)
    ended = esnsim("simulate", small, *words.split())
    refused(ended, f"{said} was counted as", "a defect of esnsim", code=1)
    assert issubclass(MismatchError, Exception)


def test_help_names_every_option_of_the_issue() -> None:
    text = esnsim("simulate", "--help").out
    for option in (
        "--engine", "--array", "--schedule", "--bits-per-filter", "--data", "--images",
        "--end-to-end", "--compare", "--seed", "--json", "--csv", "--output", "--e-bit",
        "--e-cell", "--adc-law", "--clock", "--threads", "--percentile", "--signed",
    ):  # fmt: skip
        assert option in text
    assert simulate.DESCRIPTION.split()[0] in text


def test_progress_shows_the_layer_images_a_second_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["simulate", MODEL, "--images", "3", "-o", "/dev/null"]) == 0
    assert "images/s" in screen.getvalue()
    assert read_onnx(MODEL).layers[-1].name in screen.getvalue()
    assert re.search(r"\d:\d\d:\d\d|-:--:--", screen.getvalue())


def test_the_rate_is_in_images_not_in_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 2.0, 4.0, 4.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    meter = progress.Meter(4, unit="images", per=5)  # 4 images through 5 layers
    meter.advance("first", 10)
    with meter:
        meter.advance("second", 10)  # after 4 s, 2 images are through
    assert "0.5 images/s" in screen.getvalue()


@pytest.mark.parametrize("engine", ["digital", "analog"])
def test_more_threads_than_cores_can_use_are_not_started(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    options = dict[str, Any]()
    monkeypatch.setattr(session, "workers", lambda asked: options.setdefault("asked", asked) and 1)
    words = "--images", 1, "--engine", engine, "--threads", 9999
    ended = esnsim("simulate", "builtin:resnet8", *words)
    assert ended.code == 0, ended.err
    assert options == {"asked": 9999}
    assert threading.active_count() - before <= 4 * (os.cpu_count() or 1)
    assert workers(9999) == 4 * (os.cpu_count() or 1)
    assert (workers(0), workers(1)) == (os.cpu_count() or 1, 1)


def test_the_range_of_an_ideal_converter_is_refused() -> None:
    words = "simulate", "builtin:resnet8", "--engine", "analog", "--adc-range", "calibrated"
    refused(esnsim(*words), "--adc-range means nothing without --adc-bits: give that too", code=2)
    assert esnsim(*words[:-1], "max", "--array", "isaac", "--images", 1).code == 0
