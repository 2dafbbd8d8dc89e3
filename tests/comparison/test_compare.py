"""Models beside the first: what changed, why, what accuracies are, and when a check fails."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from onnx import ModelProto

import esnsim
from esnsim import Scheme
from esnsim.costs.metric import METRICS, metric_value
from esnsim.images.sets import load
from tests.commandline import esnsim as command
from tests.commandline import refused, report
from tests.importer.models import model
from tests.samples import SAMPLES, saved, two_layers, weights
from tests.test_json import keys

SCHEMA: dict[str, Any] = json.loads((files("esnsim") / "schemas/compare-1.json").read_text("utf-8"))
PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text("utf-8")
MODEL = "builtin:resnet8"


def chain(names: str = "ab", filters: int = 4, width: int = 6, pruned: int = 0) -> ModelProto:
    """Two 1×1 convolutions, of which the first has some filters of zeros."""
    first = weights(filters, 3, 1, 1)
    first[:pruned] = 0
    nodes = f"[{names[0]}] h = Conv(x, w) [{names[1]}] y = Conv(h, v)"
    return model(nodes, f"float[1,3,2,{width}] x", w=first, v=weights(2, filters, 1, 1))


@pytest.mark.parametrize("name", ["convolutions", "embedded"])
def test_a_model_beside_itself_has_not_changed(name: str) -> None:
    proto = SAMPLES[name]()
    [found] = esnsim.compare(proto, proto).differences
    assert found.changed == found.causes == ()
    assert {found.ratio(metric) for metric in METRICS} == {1.0}


@pytest.mark.parametrize("metric", METRICS)
def test_what_layers_grew_by_is_what_totals_grew_by(metric: str) -> None:
    from esnsim.comparison.compare import increase

    costs = [esnsim.cost(m) for m in (chain(pruned=2), chain("ac", filters=6))]
    [found] = esnsim.compare(*costs).differences
    before, after = (metric_value(c.total, metric) for c in costs)
    assert sum(increase(pair, metric) for pair in found.pairs) == after - before
    assert found.ratio(metric) == after / before


@pytest.mark.parametrize(
    ("other", "scheme", "total", "layers"),
    [
        (chain(pruned=2), Scheme(bits=8), ("pruned",), [("pruned",), ("pruned",)]),
        (chain(), Scheme(widths=3), ("narrower",), [("narrower",)] * 2),
        (chain(pruned=2), Scheme(widths=3), ("pruned", "narrower"), [("pruned", "narrower")] * 2),
        (chain(width=3), Scheme(bits=8), ("fewer MACs",), [("smaller input",)] * 2),
        (chain(filters=6), Scheme(bits=8), ("more MACs",), [("more weights",)] * 2),
        (chain(), Scheme("filter-max", 8), (), [("other codes",)] * 2),
    ],
)
def test_causes_are_named(
    other: ModelProto, scheme: Scheme, total: tuple[str, ...], layers: list[tuple[str, ...]]
) -> None:
    from esnsim.comparison.causes import layer_causes

    first = esnsim.cost(chain(), scheme=Scheme(bits=8))
    [found] = esnsim.compare(first, esnsim.cost(other, scheme=scheme)).differences
    assert found.causes == total
    assert [layer_causes(pair) for pair in found.changed] == layers


def test_a_report_stands_in_for_its_model(tmp_path: Path) -> None:
    path = saved(two_layers(), tmp_path)
    baseline = tmp_path / "baseline.json"
    assert command("cost", path, "--json", "-o", baseline).code == 0
    document = report(command("compare", baseline, path, "--json"))
    assert [model["totals"] for model in document["models"]][:1] * 2 == [
        model["totals"] for model in document["models"]
    ]
    assert esnsim.compare(baseline, path).differences[0].changed == ()


def test_documents_fit_their_schema_and_the_page_names_every_key() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    found = esnsim.compare(
        chain(), chain("ac", filters=6), chain("xy"), images=None, scheme=Scheme(bits=4)
    )
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    rows = found.to_csv().splitlines()
    assert len(rows) == 1 + sum(len(d.pairs) for d in found.differences)
    assert set(keys(SCHEMA)) <= set(re.findall(r"`([a-z_0-9]+)`", PAGE))


def test_accuracies_are_of_the_same_images_and_have_intervals(place: Path) -> None:
    path, images = place / "model.onnx", load(place / "images.npz")
    found = esnsim.compare(path, path, images=images, count=40)
    Draft202012Validator(SCHEMA).validate(found.to_dict())
    one, other = (side.evaluation for side in found.sides)
    assert one == other
    assert one is not None
    assert one.images == found.images == 40
    assert one.interval[0] < one.accuracy <= one.interval[1]
    assert found.differences[0].tie
    compressed = esnsim.compress(path, scheme=Scheme(bits=8), images=images)
    beside = esnsim.compare(path, compressed.model, images=images)
    assert [s.evaluation and s.evaluation.top1 for s in beside.sides] == [
        compressed.floats and compressed.floats.top1,
        compressed.evaluation and compressed.evaluation.top1,
    ]


def test_the_check_fails_where_a_model_grew_and_says_which_layer(tmp_path: Path) -> None:
    path = saved(chain(), tmp_path)
    baseline = tmp_path / "baseline.json"
    command("cost", path, "--bits-per-filter", 4, "--json", "-o", baseline)
    same = command("compare", baseline, path, "--bits-per-filter", 4, "--fail-above", "0%")
    assert (same.code, same.err) == (0, "")
    wider = command("compare", baseline, path, "--bits", 8, "--fail-above", "1%", "-q")
    assert wider.code == 1
    assert "MAC×bit of" in wider.err
    assert "and 1% is allowed; dearer: layer 'a' by" in wider.err
    assert "(wider)" in wider.err
    macs = command("compare", baseline, path, "--bits", 8, "--fail-above", "macs=0", "-q")
    assert macs.code == 0
    half = command("compare", baseline, path, "--bits", 8, "--fail-above", "150%", "-q")
    assert half.code == 0


def test_the_comment_is_tables_of_markdown(tmp_path: Path) -> None:
    proto = chain()
    proto.graph.node[0].name = "a|b"
    path = saved(proto, tmp_path)
    document = tmp_path / "eight.json"
    command("cost", path, "--json", "-o", document)
    out = command("compare", document, path, "--bits", 4, "--md").out
    tables = [line for line in out.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} <= {9, 10}
    assert "| a\\|b |" in out
    assert all(line.startswith(("|", "- ")) or not line for line in out.splitlines())


def test_errors_are_one_line(tmp_path: Path) -> None:
    path = saved(chain(), tmp_path)
    text = tmp_path / "x.json"
    refused(command("compare", path), "compares with nothing: give two", code=2)
    refused(command("compare", path, "no.json"), "there is no file 'no.json'")
    text.write_text('{"schema": "esnsim.pareto/1"}')
    refused(command("compare", path, text), "is no report of a cost", "esnsim cost --json")
    text.write_text("[" * 100_000)
    refused(command("compare", text, path), "is no report of a cost")
    other = tmp_path / "other.onnx"
    wide = model("[z] y = Conv(x, w)", "float[1,3,2,6] x", w=np.ones((5, 3, 1, 2), np.float32))
    other.write_bytes(wide.SerializeToString())
    refused(command("compare", path, other), "no layer of", "by name nor by weight shape")
    command("cost", path, "--width", "paper", "--json", "-o", text)
    refused(command("compare", text, path), "--width paper")
    refused(command("compare", path, path, "--fail-above", "-1"), "is no share from 0 on", code=2)
    refused(command("compare", path, path, "--md", "--top", 2), "--top is about the table", code=2)
    with pytest.raises(esnsim.UsageError, match="compare takes two models or more"):
        esnsim.compare(path)


def test_two_ways_to_codes_are_said(tmp_path: Path) -> None:
    path = saved(chain(), tmp_path)
    baseline = tmp_path / "baseline.json"
    command("cost", path, "--step", "filter-max", "--json", "-o", baseline)
    said = command("compare", baseline, path).err
    assert "filter-max steps of 8 bits in" in said
    assert "layer-max steps of 8 bits in" in said


def test_shapes_are_for_the_models_that_have_these_inputs(tmp_path: Path) -> None:
    free = "float[1,3,H,W]"
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path, name in zip(paths, ("x", "z"), strict=True):
        proto = model(f"y = Conv({name}, w)", f"{free} {name}", w=weights(4, 3, 1, 1))
        path.write_bytes(proto.SerializeToString())
    words = ("--input-shape", "x=1,3,6,5", "--input-shape", "z=1,3,2,5", "--json", "-q")
    [found] = report(command("compare", *paths, *words))["differences"]
    assert found["ratios"]["macs"] == pytest.approx(1 / 3)
    refused(
        command("compare", *paths, *words, "--input-shape", "w2=1,2"), "names 'w2', which is no"
    )


def test_models_that_share_no_layer_are_told_before_images_are_run(tmp_path: Path) -> None:
    other = saved(model("y = Conv(x, w)", "float[1,7,2,3] x", w=weights(5, 7, 1, 1)), tmp_path)
    refused(command("compare", MODEL, other), "no layer of", "by name nor by weight shape")
