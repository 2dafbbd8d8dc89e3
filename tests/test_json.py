"""The report as JSON and CSV: its schema, its page, its numbers."""

import csv
import io
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

import esnsim
from esnsim import Cost, Scheme, cost, quantize, read_onnx
from tests.importer.models import model
from tests.samples import SAMPLES, weights

SCHEMA: dict[str, Any] = json.loads(
    (files("esnsim") / "schemas" / "cost-1.json").read_text("utf-8")
)
PAGE = (Path(__file__).parents[1] / "docs" / "json.md").read_text("utf-8")
#: Integers of JSON Schema include 4.0; ours do not.
STRICT = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)(SCHEMA)

SCHEMES = {
    "default": Scheme(),
    "pruned": Scheme(bits=1),
    "widths": Scheme(widths=3, keep_zeros=False),
    "sigma": Scheme("filter-sigma", alpha=0.25),
    "step": Scheme(given_steps=0.125),
}


def pruned() -> Cost:
    """Filters that die, channels that die with them, and a layer of zeros, whose steps are null."""
    first = np.array([4.0, 0.01, 2.0], np.float32).reshape(3, 1, 1, 1)
    proto = model(
        "h = Conv(x, w) r = Relu(h) g = Conv(r, v) y = Conv(g, z)", "float[1,1,4,3] x",
        w=first, v=weights(2, 3, 2, 1), z=np.zeros((2, 2, 1, 1), np.float32),
    )  # fmt: skip
    return cost(quantize(read_onnx(proto), Scheme(bits=3)))


COSTS = {
    **{name: lambda make=make: cost(quantize(read_onnx(make()))) for name, make in SAMPLES.items()},
    **{
        f"convolutions, {name}": lambda scheme=scheme: cost(
            quantize(read_onnx(SAMPLES["convolutions"]()), scheme), "paper"
        )
        for name, scheme in SCHEMES.items()
    },
    "pruned filters": pruned,
}


@pytest.fixture(params=COSTS)
def result(request: pytest.FixtureRequest) -> Cost:
    made: Cost = COSTS[request.param]()
    return made


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_reports_are_valid(result: Cost) -> None:
    assert [error.message for error in STRICT.iter_errors(result.to_dict())] == []


def test_a_report_is_the_same_after_a_round_trip(result: Cost) -> None:
    document = result.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_numbers_of_a_report_are_those_of_the_cost(result: Cost) -> None:
    document: Any = result.to_dict()
    for row, layer in zip(result.layers, document["layers"], strict=True):
        assert layer["esn_a"]["macs"] * 4 == layer["esn_a_x4"]["macs"] == row.metrics.esn_a_x4.macs
        assert layer["esn_d"]["weights"] == row.metrics.esn_d.weights
        assert layer["esn_d_tilde"]["macs"] == row.metrics.esn_d_tilde.macs
        assert layer["bits_per_filter"] == row.bits.tolist()
        assert layer["sn"] == row.sn
    assert document["totals"]["esn_d_tilde"]["macs"] == result.total.esn_d_tilde.macs
    assert document["machines"]["ideal_digital"] == result.total.esn_d_tilde.macs
    assert document["machines"]["ideal_analog"] == document["totals"]["esn_a"]["macs"]


ADDED = ("filters", "pruned_filters", "macs", "live_macs", "mac_bits_layerwise")
WEIGHTED = ("esn_a", "esn_a_x4", "esn_d", "esn_d_tilde")


def test_totals_are_sums_over_layers(result: Cost) -> None:
    document: Any = result.to_dict()
    totals, layers = document["totals"], document["layers"]
    for key in ADDED:
        assert totals[key] == sum(layer[key] for layer in layers)
    for key in WEIGHTED:
        assert totals[key]["macs"] == sum(layer[key]["macs"] for layer in layers)
    for scope in ("filter", "layer", "network"):
        of = [part["esn_a_class_a"][scope]["macs"] for part in (totals, *layers)]
        assert of[0] == sum(of[1:])
    assert totals["product_macs"] == sum(product["macs"] for product in document["products"])
    assert sum(totals["bits_histogram"].values()) == totals["filters"]


def test_a_layers_lists_add_up_to_its_numbers(result: Cost) -> None:
    document: Any = result.to_dict()
    for layer in document["layers"]:
        bits, live = layer["bits_per_filter"], layer["live_macs_per_filter"]
        assert len(bits) == len(live) == len(layer["steps"]) == layer["filters"]
        assert bits.count(0) == layer["pruned_filters"] or document["quantizer"]["width"] == "paper"
        assert sum(layer["macs_per_filter"]) == layer["macs"]
        assert sum(live) == layer["live_macs"]
        assert sum(b * n for b, n in zip(bits, live, strict=True)) == layer["esn_d_tilde"]["macs"]
        assert max(bits) * layer["live_macs"] == layer["mac_bits_layerwise"]
        assert int(np.prod(layer["weight_shape"])) == layer["weights"]


def test_shared_weights_are_two_rows_and_count_once_in_totals_of_weights() -> None:
    proto = model("h = Conv(x, w) y = Conv(h, w)", "float[1,2,3,4] x", w=weights(2, 2, 1, 1))
    document: Any = cost(quantize(read_onnx(proto))).to_dict()
    one, two = document["layers"]
    assert one["weight"] == two["weight"] == "w"
    for key in ("weights", "live_weights", "nonzero_weights"):
        assert document["totals"][key] == one[key]
    for key in (*WEIGHTED, "esn_a_from_sn"):
        assert document["totals"][key]["weights"] == one[key]["weights"]
        assert document["totals"][key]["macs"] == one[key]["macs"] + two[key]["macs"]
    assert document["totals"]["macs"] == one["macs"] + two["macs"]


def test_both_sides_of_equation_4_are_there_and_their_ratio() -> None:
    rng = np.random.default_rng(4)
    uniform = rng.uniform(-1, 1, (2, 40_000)).astype(np.float32)
    proto = model("y = MatMul(x, w)", "float[1,40000] x", w=uniform.T)
    for bits, ratio in ((1, 0.75), (2, 0.9375), (4, 0.996)):  # 1 − 1/(s/n), s/n = 4^b
        document: Any = cost(quantize(read_onnx(proto), Scheme(bits=bits))).to_dict()
        (layer,) = document["layers"]
        assert layer["sn"] == pytest.approx(4**bits, rel=0.02)
        assert layer["esn_a_over_sn"]["macs"] == pytest.approx(ratio, rel=0.02)
        assert layer["esn_a_over_sn"] == document["totals"]["esn_a_over_sn"]
        assert layer["esn_a_over_sn"]["macs"] == (
            layer["esn_a"]["macs"] / layer["esn_a_from_sn"]["macs"]
        )


def test_codes_that_are_exact_have_no_signal_to_noise() -> None:
    document: Any = COSTS["dequantised"]().to_dict()
    assert [layer["sn"] for layer in document["layers"]] == [None] * 3
    assert document["totals"]["esn_a_from_sn"] == {"weights": None, "macs": None}
    assert [layer["stored_bits"] for layer in document["layers"]] == [8, 4, 4]


def keys(schema: dict[str, Any]) -> Iterator[str]:
    """Every property that the schema names."""
    yield from schema.get("properties", {})
    for part in schema.values():
        for child in part.values() if isinstance(part, dict) else [part]:
            if isinstance(child, dict):
                yield from keys(child)


def test_the_page_explains_every_key_of_the_schema() -> None:
    missing = sorted(key for key in set(keys(SCHEMA)) if f"`{key}`" not in PAGE)
    assert missing == []


def test_the_page_explains_no_key_that_the_schema_lacks() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    explained = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert explained - set(keys(SCHEMA)) == set()


def test_every_object_of_the_schema_is_closed_and_all_its_keys_are_required() -> None:
    objects = [SCHEMA, *SCHEMA["$defs"].values()]
    for schema in objects:
        if "properties" not in schema:
            continue
        assert set(schema["required"]) == set(schema["properties"])
        closed = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        assert closed is False or schema is SCHEMA["$defs"]["metrics"]  # closed where it is used


def test_the_schema_refuses_what_a_report_must_not_hold() -> None:
    document: Any = COSTS["convolutions"]().to_dict()
    for damage in (
        lambda d: d.update(extra=1),
        lambda d: d.update(schema="esnsim.cost/2"),
        lambda d: d["totals"].update(macs=4.0),
        lambda d: d["totals"].update(extra=1),
        lambda d: d["layers"][0].pop("sn"),
        lambda d: d["layers"][0]["bits_per_filter"].append(None),
        lambda d: d["layers"][0]["esn_d"].update(macs=-1),
        lambda d: d["machines"].update(cpu=True),
    ):
        copy = json.loads(json.dumps(document))
        damage(copy)
        assert not STRICT.is_valid(copy)


def test_csv_holds_every_key_of_a_layer(result: Cost) -> None:
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    document: Any = result.to_dict()
    for row, layer in zip(rows, document["layers"], strict=True):
        assert {name.split(".")[0] for name in row} == set(layer)
        assert row["weight_shape"] == " ".join(map(str, layer["weight_shape"]))
        assert row["esn_a_from_sn.macs"] == str(layer["esn_a_from_sn"]["macs"] or "")
        assert row["steps"].split() == [str(s or "null") for s in layer["steps"]]


def test_the_version_is_that_of_the_package() -> None:
    assert COSTS["large"]().to_dict()["esnsim"] == esnsim.__version__
