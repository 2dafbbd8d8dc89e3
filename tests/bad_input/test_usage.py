"""Options that are wrong, and outputs that cannot be written."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.commandline import esnsim, refused
from tests.samples import EMBEDDED, one_layer

LONG = "9" * 5000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "the following arguments are required: COMMAND; see esnsim --help"),
        ("costs", "invalid choice: 'costs'"),
        ("cost", "the following arguments are required: MODEL; see esnsim cost --help"),
        ("cost m --bit 4", "unrecognized arguments: --bit"),
        ("cost m --bits four", "argument --bits: invalid int value: 'four'"),
        ("cost m --bits 0", "0 bits: widths are 1 to 16"),
        ("cost m --bits 17", "17 bits: widths are 1 to 16"),
        (f"cost m --bits {LONG}", "argument --bits: invalid int value"),
        ("cost --bits-per-filter -1 m", "-1 bits: widths are 1 to 16"),
        ("cost --bits-per-filter 4.5 m", "'4.5' is neither a whole number nor a .json, .csv, .npz"),
        ("cost --bits-per-filter=b.txt m", "'b.txt' is neither a whole number nor a .json,"),
        (f"cost m --bits-per-filter {LONG}", "is neither a whole number nor a .json, .csv, .npz"),
        (
            "cost m --step widest",
            "'widest' is neither a rule (layer-max, filter-max, filter-sigma,",
        ),
        ("cost m --step -0.5", "'-0.5' is neither a rule"),
        ("cost m --step inf", "a positive number, nor a .json, .csv, .npz file"),
        ("cost m --alpha 0", "alpha 0.0: give a positive number"),
        ("cost m --alpha nan", "alpha nan: give a positive number"),
        ("cost m --width wide", "argument --width: invalid choice: 'wide'"),
        ("cost m --input-shape x=1,a", "'x=1,a': give NAME=1,3,224,224 or NAME:1x3x224x224"),
        (f"cost m --input-shape x=1,{LONG}", "give NAME=1,3,224,224 or NAME:1x3x224x224"),
        ("cost m --layers (", "'(' is no regular expression: missing ), unterminated"),
        ("cost m --json --csv", "argument --csv: not allowed with argument --json"),
        ("cost m --json --top 3", "--sort and --top choose rows; JSON holds every layer: leave"),
        ("cost m --sort macs -o a.json", "--sort and --top choose rows; JSON holds every layer"),
        ("cost m --sort size", "argument --sort: invalid choice: 'size'"),
        ("cost m --top 0", "'0' is no whole number from 1 on"),
        ("cost m --top x", "'x' is no whole number from 1 on"),
        ("cost m --fail-above macs", "'macs': give METRIC=N such as esn_d_tilde=200M, with one of"),
        ("cost m --fail-above flops=1G", "'flops=1G': give METRIC=N such as esn_d_tilde=200M"),
        ("cost m --fail-above macs=many", "'many' is no number from 0 on: give one like 200M"),
        ("cost m --fail-above macs=-1", "'-1' is no number from 0 on: give one like 200M or 1.5e9"),
        ("cost m --fail-above macs=1 --fail-above macs=2", "names 'macs' twice: give it once"),
        ("cost m --input-value a=1 --input-value a=2", "names 'a' twice: give it once"),
        ("cost m --input-shape a=1 --input-shape a:2", "names 'a' twice: give it once"),
        ("cost m --input-shape 1,2 --input-shape 1,2", "--input-shape: is given twice"),
        ("cost m --fail-above macs=1e308P", "'1e308P' is no number from 0 on"),
        ("cost m --fail-above macs.weights=1", "macs has one weighting only; leave .weights out"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(words: str, said: str) -> None:
    refused(esnsim(*words.split()), said, code=2)


def test_a_pattern_that_matches_no_layer_is_wrong_usage(tmp_path: Path) -> None:
    refused(
        esnsim("cost", one_layer(tmp_path), "--layers", "fc"),
        "--layers 'fc' matches none of the 1 layers, such as 'conv'",
        code=2,
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none/out.json", "No such file or directory"),
        ("model.onnx/out.json", "Not a directory"),
        ("folder", "Is a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, name: str, said: str) -> None:
    model = one_layer(tmp_path)
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    refused(
        esnsim("cost", model, "-o", tmp_path / name),
        f"cannot write '{tmp_path / name}': {said}; give a file in a folder that exists, may be",
    )
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("option", ["model", "--bits-per-filter", "--step"])
def test_an_output_never_replaces_what_is_read(tmp_path: Path, option: str) -> None:
    model = one_layer(tmp_path)
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"conv": 4}))
    given, words = (model, []) if option == "model" else (values, [option, values])
    link, before = tmp_path / "link", given.read_bytes()
    link.symlink_to(given)
    refused(
        esnsim("cost", model, *words, "-o", link),
        f"-o '{link}' would overwrite '{given}': give another file",
        code=2,
    )
    assert given.read_bytes() == before


def test_nothing_is_written_when_the_model_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes((EMBEDDED / "resnet8.onnx").read_bytes()[:1000])
    refused(esnsim("cost", path, "-o", tmp_path / "out.json"), "damaged or cut short")
    assert list(tmp_path.iterdir()) == [path]


def test_too_little_memory_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("esnsim.importer.read.read_onnx", exhausted)
    refused(esnsim("cost", "builtin:resnet8"), "out of memory: the model needs more than this")


ABOUT_ACCURACY = "is about accuracy: give "
ARRAYS = "is about pictures, but the images are arrays"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("simulate MODEL --labels l.npy --data x.npy", f"--labels {ABOUT_ACCURACY}--end-to-end"),
        ("simulate MODEL --score-output logits", f"--score-output {ABOUT_ACCURACY}--end-to-end"),
        ("simulate own.onnx --class-axis 1", f"--class-axis {ABOUT_ACCURACY}--end-to-end"),
        ("simulate own.onnx --percentile 99", "--percentile is about activations of images: give"),
        ("simulate own.onnx --signed", "--signed is about activations of images: give --data"),
        ("simulate MODEL --data x.npy --resize 28", f"--resize {ARRAYS}"),
        ("simulate MODEL --data . --crop 28", "no pictures in it"),
        ("compress own.onnx -o o.onnx --batch-axis 0", f"--batch-axis {ABOUT_ACCURACY}--data"),
        ("compress own.onnx -o o.onnx --budget 1k --alpha 2", "--alpha is about codes at given"),
        ("compress own.onnx -o o.onnx --sqnr 9dB --no-keep-zeros", "--keep-zeros is about codes"),
        ("compress own.onnx -o o.onnx --prune 0.5 --no-quantize --alpha 2", "--alpha is about"),
        ("compress MODEL -o o.onnx --calibration x.npy --crop 28", f"--crop {ARRAYS}"),
        ("compare own.onnx own.onnx --class-axis 1", f"--class-axis {ABOUT_ACCURACY}--data"),
        ("pareto MODEL --mean 1", "--mean is about the images of --data, but the embedded"),
        ("pareto MODEL --labels l.npy", "--labels is about the images of --data"),
        ("pareto MODEL --data x.npy --crop 28", f"--crop {ARRAYS}"),
    ],
)
def test_options_that_would_change_nothing_are_refused(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((4, 1, 28, 28), np.float32))
    one_layer(tmp_path).rename("own.onnx")
    ended = esnsim(*words.replace("MODEL", "builtin:resnet8").split())
    refused(ended, said, code=1 if "no pictures" in said else 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.onnx", "x.npy"]
