"""Options that decide on the model: shapes of inputs, layers, operators that are not counted."""

from pathlib import Path

import numpy as np
import pytest

from tests.commandline import esnsim, report
from tests.importer.models import model
from tests.samples import SAMPLES, saved

BITS = ("--bits", 2)


@pytest.mark.parametrize("text", ["x=4,1,5,7", "x:4x1x5x7", "4,1,5,7", "4x1x5x7"])
def test_input_shape_gives_free_sizes(tmp_path: Path, text: str) -> None:
    proto = model("y = Conv(x, w)", "float[N,1,H,W] x", w=np.ones((1, 1, 1, 1), np.float32))
    path = saved(proto, tmp_path)
    result = report(esnsim("cost", path, "--input-shape", text, "--json"))
    assert result["model"]["inputs"] == {"x": [4, 1, 5, 7]}
    assert result["totals"]["macs"] == 5 * 7  # of one image


def test_several_inputs_have_their_shapes_by_name(tmp_path: Path) -> None:
    proto = model(
        "h = MatMul(a, w) g = MatMul(c, w) y = Concat<axis=0>(h, g)",
        "float[M,2] a, float[K,2] c", w=np.ones((2, 3), np.float32),
    )  # fmt: skip
    path = saved(proto, tmp_path)
    words = ["--input-shape", "a=5,2", "--input-shape", "c:7x2"]
    result = report(esnsim("cost", path, *words, "--json"))
    assert [layer["macs"] for layer in result["layers"]] == [5 * 6, 7 * 6]


def test_a_free_batch_counts_as_one_and_that_is_said(tmp_path: Path) -> None:
    proto = model("y = MatMul(x, w)", "float[N,2] x", w=np.ones((2, 3), np.float32))
    path = saved(proto, tmp_path)
    ended = esnsim("cost", path, "--json")
    assert report(ended)["totals"]["macs"] == 6
    assert ended.err == "esnsim: the batch of 'x' is free and counted as 1 (--input-shape)\n"
    assert report(ended)["notes"] == [ended.err.removeprefix("esnsim: ").rstrip()]


def test_layers_restricts_rows_and_totals_but_not_what_is_dead(tiny: Path) -> None:
    result = report(esnsim("cost", tiny, *BITS, "--layers", "^y$", "--json"))
    assert [layer["name"] for layer in result["layers"]] == ["y"]
    assert result["totals"]["macs"] == 24
    assert result["totals"]["live_macs"] == 18


def test_layers_restricts_products_of_activations_too(tmp_path: Path) -> None:
    path = saved(SAMPLES["products"](), tmp_path)
    counts = [
        len(report(esnsim("cost", path, "--layers", name, "--json"))["products"])
        for name in ("", "^(m|y)$", "y")
    ]
    assert counts == [1, 1, 0]


def test_uncounted_operators_are_a_warning_and_under_strict_an_error(tmp_path: Path) -> None:
    nodes = "h = Conv(x, w) [odd] a = unheard.of.Twist(h) b = unheard.of.Twist(a) y = Det(b)"
    path = saved(model(nodes, w=np.ones((2, 3, 1, 1), np.float32)), tmp_path)
    said = (
        "Twist 'odd' and 1 more are not counted: "
        "esnsim does not know this operator of domain 'unheard.of'"
    )
    ended = esnsim("cost", path, "--json", "-q")
    assert f"esnsim: warning: {said}\n" in ended.err
    assert [item["op"] for item in report(ended)["uncounted"]] == ["Twist", "Twist", "Det"]
    strict = esnsim("cost", path, "--strict")
    assert (strict.code, strict.out) == (1, "")
    assert strict.err.startswith(f"esnsim: error: {said}; Det 'y' is not counted: ")
    assert strict.err.endswith("(--strict allows none)\n")
