"""Bad input of `esnsim simulate`: one line, exit code 1 or 2, nothing written."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.commandline import esnsim, refused
from tests.samples import one_layer

MODEL = "builtin:resnet8"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--array 0x16x1", "an array with rows = 0: give a whole number of 1 or more"),
        ("--array 64x0", "an array with lanes = 0"),
        ("--array 1000000x1000000", "an array of 1,000,000,000,000 units: give at most"),
        ("--array stripes", "'stripes' is an accelerator by name: give --machines stripes"),
        ("--array eyeriss", "--array 'eyeriss' is neither a preset (ideal-digital, maki,"),
        ("--array maki --array int8", "--array names two machines of one kind"),
        ("--array isaac --engine digital", "--array names a machine that is not digital"),
        ("--e-bit=-50fJ", "'-50fJ' is no energy: give 50fJ, 0.3pJ, or a plain number"),
        ("--e-bit 50fW", "'50fW' is no energy"),
        ("--e-bit 50fJ --e-idle 1", "energies with and without a unit: give all in fJ, pJ"),
        ("--e-idle 5fJ", "--e-idle is in J, the machine in normalised units: give --e-bit in"),
        ("--compare digital analog --e-bit 50fJ", "one machine is in joules and the other is not"),
        ("--compare digital analog --e-cell 2fJ", "give both --e-bit and --e-cell"),
        ("--engine both --array isaac --compare digital analog", "one machine is in joules"),
        ("--engine analog --adc-bits 8 --e-cell 2fJ", "cells are priced and 8-bit converters are"),
        (
            "--engine analog --adc-bits 8 --e-cell 2fJ --e-adc 3pJ",
            "e_adc prices conversions, which",
        ),
        ("--clock 500", "'500' is no clock: give 500MHz or 1GHz"),
        ("--clock 1e999GHz", "'1e999GHz' is no clock"),
        ("--bits-per-filter 17", "17 bits: widths are 1 to 16"),
        ("--bits 17", "17 bits: widths are 1 to 16"),
        ("--activation-bits 17", "activations of 17 bits: at most 16"),
        ("--engine analog --adc-bits 25", "a crossbar with adc_bits = 25: give a whole number"),
        ("--adc-bits 8", "--adc-bits is about analog machines, but this one is digital"),
        ("--engine analog --schedule serial", "--schedule is about digital machines, but this"),
        ("--engine analog --clock 1GHz", "--clock is about digital machines"),
        ("--engine analog --adc-bits 8 --adc-law survey", "converters are priced in pJ: give"),
        ("--compare digital", "--compare takes 'schedules', or 'digital analog'"),
        ("--compare schedules --engine analog", "--compare schedules takes one digital array"),
        ("--seed 3", "--seed is of noise and of random integers, and there are neither"),
        ("--machines maki --seed 3", "--seed is of noise and of random integers"),
        ("--images 0", "'0' is no whole number from 1 on"),
        ("--percentile 40", "'40' is no percentile above 50, up to 100"),
        ("--json --csv", "argument --csv: not allowed with argument --json"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(words: str, said: str) -> None:
    refused(esnsim("simulate", MODEL, *words.split()), said, code=2)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[digital]\nrows = 0", "a.toml', digital: an array with rows = 0"),
        ("a.toml", "[digital]\nrows = '8'", "rows = '8': give a number"),
        ("a.toml", "[digital]\nrows = true", "rows = True: give a number"),
        ("a.toml", "[digital]\npriced = 1", "priced = 1: give true or false"),
        ("a.toml", "[digital]\nschedule = 3", "schedule = 3: give a name"),
        ("a.toml", "[digital]\ncolumns = 8", "no field 'columns': use rows, lanes, windows,"),
        ("a.toml", "[digital]\ne_bit = -1.0", "an array with e_bit = -1.0: give a number of 0"),
        ("a.toml", "[digital]\ne_bit = '50fW'", "'50fW' is no energy: give 50fJ, 0.3pJ, or a"),
        (
            "a.toml",
            "[digital]\ne_bit = true",
            "e_bit = True: give a number, or an energy like 50fJ",
        ),
        ("a.toml", "[digital]\npriced = true", "priced, and no e_bit: give it, all else is in its"),
        ("a.yaml", "digital: {e_bit: 50fJ, priced: false}", "priced is false: leave priced out"),
        ("a.yaml", "digital: {e_bit: 50fJ, e_idle: 5}", "energies with and without a unit"),
        ("a.yaml", "digital: {e_idle: 5fJ}", "normalised units: give e_bit in the same unit"),
        ("a.yaml", "analog: {e_cell: 2fJ, adc_bits: 8}", "cells are priced and 8-bit converters"),
        ("a.yaml", "analog: {e_adc: 3pJ, e_cell: 2fJ}", "e_adc prices conversions, which have no"),
        ("a.toml", "[digital]\npreset = 'isaac'", "no preset 'isaac': use one of ideal-digital,"),
        ("a.toml", "[analog]\npreset = []", "no preset []: use one of ideal-analog, isaac"),
        ("a.toml", "[analog]\ncolumns = 9999999999", "give at most 1,048,576"),
        ("a.toml", "[quantum]\nqubits = 8", "has 'quantum': give one table, digital or analog"),
        ("a.toml", "digital = 3", "has 'digital': give one table, digital or analog"),
        ("a.toml", "rows = ", "is no TOML file: Invalid value"),
        ("a.yaml", "digital: {rows: 0}", "a.yaml', digital: an array with rows = 0"),
        ("a.yaml", "[1, 2", "is no YAML file: while parsing a flow sequence"),
        ("a.yaml", "hello", "has no tables: give one table, digital or analog"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "is no YAML file: could not determine"),
        ("a.yaml", "[" * 60_000, "is no YAML file"),
        ("a.yml", "\x00", "is no YAML file"),
        ("a.yaml", "#" * (1 << 20) + "\n\n", "is larger than 65,536 bytes"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    refused(esnsim("simulate", MODEL, "--array", tmp_path / name), said, code=1)


def test_a_machine_that_is_not_there_is_refused(tmp_path: Path) -> None:
    ended = esnsim("simulate", MODEL, "--array", tmp_path / "none.yaml")
    refused(ended, "cannot read '", "No such file or directory; check --array", code=1)


@pytest.mark.parametrize(
    ("images", "said", "code"),
    [
        (
            np.zeros((2, 3, 32, 32), np.float32),
            "are 3×32×32, but input 'image' takes 1×28×28",
            1,
        ),
        (
            np.zeros((2, 1, 28, 27), np.float32),
            "are 1×28×27, but input 'image' takes 1×28×28",
            1,
        ),
        (
            np.zeros((2, 28, 28, 1), np.float32),
            "are 28×28×1, but input 'image' takes 1×28×28: the axes are in another order",
            1,
        ),
        (np.zeros((0, 1, 28, 28), np.float32), "holds no images", 1),
        (np.zeros((5,), np.float32), "images are float32 of shape (5,), not (N, C, H, W)", 1),
        (np.full((1, 1, 28, 28), np.nan, np.float32), "has values that are NaN, infinite", 1),
    ],
)
@pytest.mark.parametrize("mode", ["layers", "--end-to-end"])
def test_images_that_do_not_fit_are_refused(
    tmp_path: Path, images: np.ndarray, said: str, code: int, mode: str
) -> None:
    np.save(tmp_path / "x.npy", images)
    words = [mode] if mode.startswith("--") else []
    out = tmp_path / "out.json"
    out.write_text("kept")
    ended = esnsim("simulate", MODEL, "--data", tmp_path / "x.npy", *words, "-o", out)
    refused(ended, said, code=code)
    assert out.read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.npz", b"PK not really", "cannot be read: File is not a zip file"),
        ("x.npy", b"\x93NUMPY\x01\x00", "cannot be read: "),
        ("x.idx", b"\x00\x00\x0d\x03", "not an idx file of unsigned bytes"),
        ("x.idx", b"\x00\x00\x08\x03" + b"\xff" * 12, "an idx file that declares the shape"),
        ("x.idx", b"", "not an idx file of unsigned bytes"),
    ],
)
def test_files_that_hold_no_images_are_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    refused(esnsim("simulate", MODEL, "--data", tmp_path / name), said, code=1)


def test_end_to_end_without_images_is_wrong_usage(tmp_path: Path) -> None:
    path = one_layer(tmp_path)
    refused(
        esnsim("simulate", path, "--end-to-end"), "--end-to-end needs images: give --data", code=2
    )


def test_a_model_that_is_not_there_is_bad_input() -> None:
    refused(esnsim("simulate", "none.onnx"), "there is no file 'none.onnx': check the path", code=1)


SCRIPT = """
import sys
from esnsim.machines import simulator
from esnsim.cli import main

run = simulator.Simulator.run

def announced(*arguments):
    print("running", flush=True)
    return run(*arguments)

simulator.Simulator.run = announced
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("array", ["maki", "isaac"])
def test_ctrl_c_ends_the_run_in_one_line_and_leaves_no_partial_file(
    tmp_path: Path, array: str
) -> None:
    out = tmp_path / "out.json"
    words = ["simulate", MODEL, "--end-to-end", "--array", array, "-q", "-o", str(out)]
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    for _ in range(3):  # in the midst of layers
        assert child.stdout.readline() == "running\n"
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert errors == "esnsim: error: interrupted\n"
    assert list(tmp_path.iterdir()) == []
