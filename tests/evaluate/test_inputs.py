"""Models of several inputs: integers, states, and a number that chooses the branch of an If.

`compress`, `pareto` and `simulate` feed them alike, and ONNX Runtime says what comes out.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from tests.commandline import esnsim, refused, report
from tests.execute.models import Array, model, normal, whole

IMAGES = 6
Case = tuple[ModelProto, dict[str, Array], tuple[Any, ...], dict[str, Array]]


def tokens() -> Case:
    """Integers that choose rows of a table, with a mask of integers beside them."""
    proto = model(
        "e = Gather(table, ids)\n m = Cast<to = 1>(mask)\n u = Unsqueeze(m, last)\n"
        "k = Mul(e, u)\n h = MatMul(k, w)\n s = ReduceMean<keepdims = 0>(h, one)\n"
        "y = MatMul(s, v)",
        "int64[N,5] ids, int32[N,5] mask", table=normal(9, 6), w=normal(6, 7), v=normal(7, 4),
        last=np.array([2]), one=np.array([1]),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    ids, mask = rng.integers(0, 9, (IMAGES, 5)), rng.integers(0, 2, (IMAGES, 5), np.int32)
    return proto, {"ids": ids, "mask": mask}, (), {}


def states() -> Case:
    """A state whose second axis is that of the images, and a rate that an If asks for."""
    proto = model(
        "high = Constant<value_int = 16000>()\n is = Equal(sr, high)\n"
        "h = If(is) <then_branch = t () => (float[] p) { p = MatMul(x, w) },"
        " else_branch = e () => (float[] q) { q = MatMul(x, v) }>\n"
        "s = ReduceSum<keepdims = 0>(state, zero)\n z = Add(h, s)\n r = Relu(z)\n"
        "y = MatMul(r, o)",
        "float[N,6] x, float[2,N,5] state, int64 sr", w=normal(6, 5), v=normal(6, 5, seed=1),
        o=normal(5, 4), zero=np.array([0]),
    )  # fmt: skip
    arrays = {"x": normal(IMAGES, 6), "state": normal(IMAGES, 2, 5)}
    return proto, arrays, ("--input-value", "sr=16000"), {"sr": np.array(16000)}


@pytest.mark.parametrize("case", [tokens, states])
def test_every_command_feeds_all_inputs(case: Any, tmp_path: Path) -> None:
    proto, arrays, words, constants = case()
    onnx.save(proto, tmp_path / "net.onnx")
    feeds = arrays | constants
    if "state" in feeds:
        feeds["state"] = np.ascontiguousarray(feeds["state"].swapaxes(0, 1))
    floats = whole(proto, feeds)["y"]
    arrays["labels"] = floats.argmax(1)
    twice = {name: np.concatenate([array, array]) for name, array in arrays.items()}
    np.savez(tmp_path / "x.npz", **twice)  # half calibrates, with the ranges of the other half
    given = (tmp_path / "net.onnx", *words, "--data", tmp_path / "x.npz", "--bits", 2)
    nearest = ("--rounding", "nearest", "--no-correct")  # the codes that `simulate` makes too
    grid = (*nearest, "--json", "--ratios", 0, "--results", tmp_path / "r")
    swept = report(esnsim("pareto", *given, *grid))["points"][0]["evaluation"]
    precise = ("--activation-bits", 16, "--end-to-end", "--json")
    ran = report(esnsim("simulate", *given, *precise))["accuracy"]
    ended = esnsim("compress", *given, *nearest, "-o", tmp_path / "small.onnx")
    assert ended.code == 0, ended.err
    small = whole(onnx.load(tmp_path / "small.onnx"), feeds)["y"]
    found = json.loads((tmp_path / "small.json").read_text())["after"]["evaluation"]
    wanted = (small.argmax(1) == floats.argmax(1)).mean()
    error = ((small.astype(float) - floats) ** 2).sum()
    for each in (found, swept, ran):
        assert each["top1"] == each["agreement"] == wanted
        decibels = 10 * np.log10((floats.astype(float) ** 2).sum() / error)
        clipped = each is ran and case is states  # behind a layer of 2 bits, at the float's range
        assert each["sqnr_db"] == pytest.approx(decibels, abs=1 if clipped else 0.01)


def test_what_an_archive_lacks_is_said(tmp_path: Path) -> None:
    proto, arrays, words, _ = states()
    onnx.save(proto, tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", **arrays)
    given = ("simulate", tmp_path / "net.onnx", "--data", tmp_path / "x.npz")
    refused(esnsim(*given), "'x', 'state', 'sr'", "--input-value NAME=NUMBER", code=2)
    np.savez(tmp_path / "x.npz", x=arrays["x"], other=arrays["state"])
    refused(esnsim(*given, *words), "has an array 'other', but the model's inputs are", code=1)
