"""One score, whoever gives it: the same codes, with the same quantisers of activations or none, are
worth the same to `compress`, `pareto`, `simulate` and to ONNX Runtime with a few lines of NumPy.

Labels are the float model's own classes, at every place: accuracy and agreement are one number.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.commandline import esnsim, refused, report
from tests.evaluate.layouts import LAYOUTS, Layout, answers, network
from tests.execute.models import Array, normal, whole

X = normal(16, 3, 6, 5) / 10  # such that no sigmoid saturates
SCORED = slice(8, 16)  # the first half calibrates
#: Each filter has a step of its own: no two classes have exactly the same score.
CODES = ("--bits", 2, "--step", "filter-max")
NEAREST = ("--rounding", "nearest")  # the codes that `simulate` makes too


def outputs(layout: Layout, model: Any, batch: str) -> Array:
    """The output for the images that are scored, run in batches; the last is filled with zeros."""
    x, along = X[SCORED], layout.batch or 0
    if batch == "3":
        x = np.concatenate([x, np.zeros_like(x[:1])])
    parts = np.split(x, 3 if batch == "3" else 1)
    found = np.concatenate([whole(model, {"x": part})[layout.name] for part in parts], along)
    return found.take(range(8), along)


def scores(layout: Layout, found: Array, floats: Array) -> tuple[float | None, float]:
    """The share of places with the float model's class, None without classes, and the SQNR."""
    signal, noise = (np.sum(each.astype(float) ** 2) for each in (floats, found - floats))
    decibels = 10 * float(np.log10(signal / noise))
    if layout.kind == "values":
        return None, decibels
    return float((answers(layout, found) == answers(layout, floats)).mean()), decibels


def files(layout: Layout, batch: str, folder: Path) -> tuple[Path, tuple[Any, ...]]:
    """The model, and the option that names its images and labels."""
    proto, arrays = network(layout, batch), {"images": X}
    onnx.save(proto, folder / "net.onnx")
    if layout.kind != "values":
        wanted = answers(layout, whole(network(layout), {"x": X})[layout.name])
        arrays["labels"] = wanted[:, 0] if wanted.shape[1] == 1 else wanted
    np.savez(folder / "x.npz", **arrays)
    return folder / "net.onnx", ("--data", folder / "x.npz")


def compressed(model: Path, *words: Any) -> tuple[Path, dict[str, Any]]:
    """The model in the codes of these options, and its evaluation."""
    path = model.with_name("small.onnx")
    ended = esnsim("compress", model, "-o", path, "--no-correct", *words)
    assert ended.code == 0, ended.err
    written = json.loads(path.with_suffix(".json").read_text())
    return path, written["after"]["evaluation"] | {"scored": written["scored"]}


@pytest.mark.parametrize(
    ("name", "batch"), [*((name, "3") for name in LAYOUTS), ("N K", "N"), ("T N K", "N")]
)
def test_weights_alone(name: str, batch: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    model, data = files(layout, batch, tmp_path)
    small, found = compressed(model, *CODES, *NEAREST, *data)
    floats, coded = (outputs(layout, onnx.load(path), batch) for path in (model, small))
    agreement, decibels = scores(layout, coded, floats)
    words = (model, *data, *CODES, "--json")
    grid = (*NEAREST, "--ratios", 0, "--no-correct", "--results", tmp_path / "r")
    swept = esnsim("pareto", *words, *grid)
    # Activations of 16 bits are as good as floats here.
    ran = report(esnsim("simulate", *words, "--activation-bits", 16, "--end-to-end"))["accuracy"]
    if agreement is None:
        refused(swept, "so it has no accuracy, only an SQNR: give --class-axis", code=2)
        found = [found, ran]
    else:
        swept = report(swept)
        assert swept["models"][0]["scored"] == found["scored"]
        found = [found, ran, swept["points"][0]["evaluation"]]
    for each in found:
        assert each["images"] == 8
        assert each["top1"] == each["agreement"] == agreement
        assert each["sqnr_db"] == pytest.approx(decibels, abs=0.1 if each is ran else 1e-4)
    assert ran["scored"] == found[0]["scored"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_weights_and_activations(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    model, data = files(layout, "3", tmp_path)
    for rounding in ((), NEAREST):
        small, found = compressed(model, *CODES, *rounding, *data, "--activations", 8)
        floats, coded = (outputs(layout, onnx.load(path), "3") for path in (model, small))
        agreement, decibels = scores(layout, coded, floats)
        assert found["top1"] == found["agreement"] == agreement
        assert found["sqnr_db"] == pytest.approx(decibels, abs=1e-4)
    ran = report(esnsim("simulate", small, *data, "--end-to-end", "--json"))["accuracy"]
    assert (ran["simulated"], ran["float_model"]) == (agreement, agreement)
    assert ran["agreement"] in (None, 1)  # of the quantised file beside itself
    assert ran["sqnr_db"] is None or ran["sqnr_db"] > 100


@pytest.mark.parametrize("name", [name for name in LAYOUTS if LAYOUTS[name].kind != "values"])
def test_a_model_of_zeros_is_no_better_than_the_largest_class(name: str, tmp_path: Path) -> None:
    """It answers always alike, so it is right for one class and for no other."""
    layout = LAYOUTS[name]
    model, data = files(layout, "N", tmp_path)
    wanted = np.load(tmp_path / "x.npz")["labels"][SCORED]
    _, frequencies = np.unique(wanted, return_counts=True)
    (tmp_path / "w.json").write_text(json.dumps({"w1": 0, "w2": 0}))
    zeros = ("--bits-per-filter", tmp_path / "w.json")
    _, found = compressed(model, *data, *zeros)
    ran = report(esnsim("simulate", model, *data, *zeros, "--end-to-end", "--json"))["accuracy"]
    for each in (found, ran):
        assert each["top1"] == each["agreement"] in frequencies / wanted.size or each["top1"] == 0
        assert each["top1"] <= each["chance"] == frequencies.max() / wanted.size
    assert not json.loads((tmp_path / "small.json").read_text())["tie"]


def test_anchors_are_classified_along_an_axis_that_is_named(tmp_path: Path) -> None:
    layout = LAYOUTS["N rows anchors"]
    model, data = files(layout, "N", tmp_path)
    said = (*data, "--score-output", "y", "--class-axis", 1, "--batch-axis", 0)
    small, found = compressed(model, *CODES, *NEAREST, *said)
    floats, coded = (outputs(layout, onnx.load(path), "N") for path in (model, small))
    words = (model, *said, *CODES, "--json")
    grid = (*NEAREST, "--ratios", 0, "--no-correct", "--results", tmp_path / "r")
    swept = report(esnsim("pareto", *words, *grid))
    ran = report(esnsim("simulate", *words, "--activation-bits", 16, "--end-to-end"))
    wanted = (floats.argmax(1) == coded.argmax(1)).mean()
    for each in (found, swept["points"][0]["evaluation"], ran["accuracy"]):
        assert each["agreement"] == wanted < 1


@pytest.mark.parametrize("aim", ["12dB", "12", "12.0 db"])
def test_an_sqnr_is_an_aim(aim: str, tmp_path: Path) -> None:
    layout = LAYOUTS["N rows anchors"]
    model, data = files(layout, "N", tmp_path)
    small, found = compressed(model, *data, "--sqnr", aim)
    floats, coded = (outputs(layout, onnx.load(path), "N") for path in (model, small))
    _, decibels = scores(layout, coded, floats)
    assert found["sqnr_db"] == pytest.approx(decibels, abs=1e-4)
    written = json.loads((tmp_path / "small.json").read_text())
    good = [t["cost"] for t in written["trials"] if t["evaluation"]["sqnr_db"] >= 12]
    assert decibels >= 12
    assert written["after"]["cost"]["esn_d_tilde"]["macs"] == min(good)
    lost = esnsim("compress", model, "-o", tmp_path / "n.onnx", *data, "--drop", "1%")
    refused(lost, "it has no accuracy, only an SQNR", code=2)
