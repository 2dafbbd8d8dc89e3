"""`esnsim compress`: what it writes is what it says, and what it refuses."""

import errno
import io
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonschema import Draft202012Validator

from esnsim import read_onnx
from esnsim.evaluate.evaluator import Evaluator
from esnsim.graph.graph import graph_of
from esnsim.images import sets as data
from esnsim.importer import load
from tests.commandline import Ended, esnsim, refused, report
from tests.compress.small import network
from tests.samples import saved

SCHEMA = json.loads((files("esnsim") / "schemas" / "compress-1.json").read_text("utf-8"))
PAGE = (Path(__file__).parents[2] / "docs" / "compress.md").read_text("utf-8")


def compress(place: Path, to: Path, *words: Any, images: str = "images.npz") -> dict[str, Any]:
    """Compress the model; the report, which fits its schema and the file."""
    given = ["--data", place / images] if images else []
    ended = esnsim("compress", place / "model.onnx", "-o", to, *given, *words, "--threads", 1)
    assert ended.code == 0, ended.err
    found = json.loads(to.with_suffix(".json").read_text("utf-8"))
    Draft202012Validator(SCHEMA).validate(found)
    assert found["output"]["bytes"] == to.stat().st_size
    onnx.checker.check_model(to)
    return dict(found)


def costs(path: Path, *words: Any) -> dict[str, Any]:
    return report(esnsim("cost", path, "--json", "-q", *words))


@pytest.mark.parametrize("form", ["qdq", "qonnx", "float"])
@pytest.mark.parametrize("words", [("--bits", 3), ("--prune", 0.3, "--bits", 2, "--step", "mse")])
def test_the_report_has_the_cost_that_the_file_has(
    place: Path, tmp_path: Path, words: tuple[Any, ...], form: str
) -> None:
    found = compress(place, tmp_path / "small.onnx", *words, "--format", form)
    read = costs(tmp_path / "small.onnx")
    assert read["totals"] == found["after"]["cost"]
    assert costs(place / "model.onnx")["totals"] == found["before"]["cost"]
    assert [row["bits_per_filter"] for row in read["layers"]] == [
        row["bits_per_filter"] for row in found["layers"]
    ]
    bits = [b for row in found["layers"] for b in row["bits_per_filter"]]
    assert max(bits) == (8 if form == "float" else words[-1] if words[-1] == 3 else 2)


def test_the_file_runs_as_the_report_says(place: Path, tmp_path: Path) -> None:
    found = compress(place, tmp_path / "small.onnx", "--bits", 2)
    images = data.load(place / "images.npz").after(120)
    loaded = load(tmp_path / "small.onnx")
    old = load(place / "model.onnx")
    reference = Evaluator(graph_of(old, read_onnx(old.path or "")), images).reference
    evaluator = Evaluator(graph_of(loaded, read_onnx(loaded.path or "")), images, reference)
    evaluation = evaluator({})
    assert found["after"]["evaluation"]["top1"] == evaluation.top1
    assert found["before"]["evaluation"]["top1"] == 114 / 120
    assert found["done"]["corrected_with"] == 120


@pytest.mark.parametrize("policy", ["uniform", "filter-sigma", "allocate"])
@pytest.mark.parametrize("metric", ["esn_d_tilde", "esn_a", "esn_d.weights"])
def test_a_budget_is_never_exceeded(place: Path, tmp_path: Path, policy: str, metric: str) -> None:
    name, _, weighting = metric.partition(".")

    def spent(cost: dict[str, Any]) -> float:
        return float(cost[name][weighting or "macs"])

    whole = spent(costs(place / "model.onnx", "--bits", 4)["totals"])
    for share in (1, 0.7):
        words = ("--budget", share * whole, "--policy", policy, "--metric", metric)
        found = compress(place, tmp_path / "small.onnx", *words)
        assert spent(found["after"]["cost"]) <= share * whole
        assert spent(costs(tmp_path / "small.onnx")["totals"]) <= share * whole


def test_the_cheapest_trial_within_the_drop_is_written(place: Path, tmp_path: Path) -> None:
    found = compress(place, tmp_path / "small.onnx", "--drop", "3%", "--policy", "allocate")
    before = found["before"]["evaluation"]["top1"]
    good = [
        trial["cost"] for trial in found["trials"]
        if before - trial["evaluation"]["top1"] <= 0.03 + 1e-9
    ]  # fmt: skip
    assert len(found["trials"]) > 5
    assert len(good) < len(found["trials"])  # the search went on to where it fails
    assert found["after"]["cost"]["esn_d_tilde"]["macs"] == min(good)
    assert before - found["after"]["evaluation"]["top1"] <= 0.03 + 1e-9


def test_widths_of_a_file_are_taken_and_a_report_is_such_a_file(
    place: Path, tmp_path: Path
) -> None:
    widths = tmp_path / "bits.json"
    widths.write_text('{"first": [1, 2, 3, 4, 5, 8], "depth": 4, "wide": 2, "last": [1, 0, 2, 9]}')
    found = compress(place, tmp_path / "small.onnx", "--bits-per-filter", widths)
    assert found["layers"][0]["bits_per_filter"] == [1, 2, 3, 4, 5, 8]
    again = costs(place / "model.onnx", "--bits-per-filter", tmp_path / "small.json")
    assert again["totals"]["esn_d_tilde"] == found["after"]["cost"]["esn_d_tilde"]


def test_targets_of_training_become_steps(place: Path, tmp_path: Path) -> None:
    wanted = {"w": 600.0, "u": 300.0, "t": 500.0, "fc": 900.0}
    layers = [{"name": name, "weight": name, "esn_a": value} for name, value in wanted.items()]
    text = json.dumps({"schema": "esnsim.training/1", "epochs": [{"epoch": 1, "layers": layers}]})
    (tmp_path / "esna.json").write_text(text)

    def ratios() -> list[float]:
        """ESNa of the layers in units of their targets."""
        rows = costs(tmp_path / "small.onnx")["layers"]
        return [r["esn_a"]["weights"] / v for r, v in zip(rows, wanted.values(), strict=True)]

    words = ("--targets", tmp_path / "esna.json", "--rounding", "nearest")
    found = compress(place, tmp_path / "small.onnx", *words)
    assert (found["done"]["policy"], found["done"]["rule"]) == ("esna-targets", None)
    np.testing.assert_allclose(ratios(), 1, rtol=0.05)
    budget = 0.7 * found["after"]["cost"]["esn_d_tilde"]["macs"]
    found = compress(place, tmp_path / "small.onnx", *words, "--budget", budget)
    assert found["after"]["cost"]["esn_d_tilde"]["macs"] <= budget
    np.testing.assert_allclose(ratios(), np.mean(ratios()), rtol=0.2)
    assert max(ratios()) < 1


def test_pruning_alone_makes_a_smaller_float_model(place: Path, tmp_path: Path) -> None:
    found = compress(place, tmp_path / "small.onnx", "--prune", 0.5, "--no-quantize")
    assert found["done"]["pruned"]["filters"] > 0
    assert found["after"]["cost"]["macs"] < found["before"]["cost"]["macs"]
    assert not found["done"]["quantized"]
    assert {n.op_type for n in onnx.load(tmp_path / "small.onnx").graph.node} <= {
        "Conv", "BatchNormalization", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
    }  # fmt: skip


def test_activations_become_integers_and_the_cost_stays(place: Path, tmp_path: Path) -> None:
    words = ("--bits", 4, "--prune", 0.3, "--rounding", "nearest")
    plain = compress(place, tmp_path / "a.onnx", *words)
    found = compress(place, tmp_path / "b.onnx", *words, "--activations", 8)
    nodes = [node.op_type for node in onnx.load(tmp_path / "b.onnx").graph.node]
    assert nodes.count("QuantizeLinear") == 4
    assert found["after"]["cost"] == plain["after"]["cost"]
    assert found["done"]["activation_bits"] == 8
    assert (
        abs(found["after"]["evaluation"]["sqnr_db"] - plain["after"]["evaluation"]["sqnr_db"]) < 3
    )


def test_an_old_opset_is_raised(place: Path, tmp_path: Path) -> None:
    old = saved(network(opset=9), tmp_path)
    ended = esnsim("compress", old, "-o", tmp_path / "small.onnx", "--bits", 3)
    assert ended.code == 0, ended.err
    assert "codes of up to 4 bits are stored in 8, as opset 13 has no int4: raise" in ended.err
    versions = {o.domain: o.version for o in onnx.load(tmp_path / "small.onnx").opset_import}
    assert versions[""] == 13
    ours, theirs = (costs(p, *w)["totals"] for p, w in (
        (tmp_path / "small.onnx", ()), (old, ("--bits", 3)),
    ))  # fmt: skip
    assert ours["esn_d_tilde"] == theirs["esn_d_tilde"]


def test_without_images_there_is_no_accuracy(place: Path, tmp_path: Path) -> None:
    found = compress(place, tmp_path / "small.onnx", "--budget", "20k", images="")
    assert found["after"]["evaluation"] is None
    assert found["tie"] is None
    assert found["done"]["corrected_with"] == 0


def test_without_labels_agreement_is_measured(place: Path, tmp_path: Path) -> None:
    found = compress(place, tmp_path / "small.onnx", "--bits", 8, images="bare.npz")
    assert found["after"]["evaluation"]["top1"] is None
    assert found["after"]["evaluation"]["agreement"] > 0.9


def test_statistics_are_left_alone_where_wished(place: Path, tmp_path: Path) -> None:
    words = ("--bits", 2, "--rounding", "nearest")
    on = compress(place, tmp_path / "a.onnx", *words)
    off = compress(place, tmp_path / "b.onnx", *words, "--no-correct")
    assert (on["done"]["corrected_with"], off["done"]["corrected_with"]) == (120, 0)
    assert on["after"]["evaluation"]["sqnr_db"] > off["after"]["evaluation"]["sqnr_db"]


@pytest.mark.parametrize("words", [
    ("--bits", 2), ("--bits", 2, "--step", "mse", "--activations", 8),
    ("--bits", 2, "--prune", 0.3), ("--budget", "20k", "--no-correct"),
    ("--prune", 0.3, "--no-quantize"),
], ids=str)  # fmt: skip
def test_compensated_rounding_beats_nearest_at_the_same_cost(
    place: Path, tmp_path: Path, words: tuple[Any, ...]
) -> None:
    ours = compress(place, tmp_path / "a.onnx", *words)
    theirs = compress(place, tmp_path / "b.onnx", *words, "--rounding", "nearest")
    assert (ours["done"]["rounding"], theirs["done"]["rounding"]) == ("compensated", "nearest")
    price = [found["after"]["cost"]["esn_d_tilde"]["macs"] for found in (ours, theirs)]
    assert price[0] <= price[1] or "--prune" in words
    assert ours["after"]["evaluation"]["sqnr_db"] > theirs["after"]["evaluation"]["sqnr_db"]


def test_compensated_rounding_needs_images(place: Path) -> None:
    ended = attempt(place, "--bits", 2, "--rounding", "compensated")
    assert ended.code == 2
    assert "compensated rounding needs images" in ended.err


def test_the_words_say_what_changed(place: Path, tmp_path: Path) -> None:
    ended = esnsim(
        "compress", place / "model.onnx", "-o", tmp_path / "small.onnx", "--data",
        place / "images.npz", "--prune", 0.3, "--bits", 4,
    )  # fmt: skip
    lines = ended.out.splitlines()
    assert lines[0].startswith(f"{place / 'model.onnx'} → {tmp_path / 'small.onnx'} (qdq, ")
    assert lines[1].startswith("cost      MAC×bit ")
    assert "times less; before at 8 bits, layer-max" in lines[1]
    assert lines[3].startswith("accuracy  top-1 95.00% → ")
    assert lines[4].startswith("scored    output 'y': 4 classes along axis 1, one an image, 120")
    assert "% of filters pruned by norm, in each layer: " in ended.out
    assert "statistics corrected with 120 images" in ended.out


def test_every_key_is_on_the_page() -> None:
    def keys(schema: Any) -> set[str]:
        found = set(schema.get("properties", {}))
        for part in (*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()):
            found |= keys(part)
        return found | (keys(schema["items"]) if "items" in schema else set())

    assert {key for key in keys(SCHEMA) if f"`{key}`" not in PAGE} == set()


def attempt(place: Path, *words: Any, to: Any = "small.onnx") -> Ended:
    return esnsim("compress", place / "model.onnx", "-o", to, *words)


@pytest.mark.parametrize(
    ("words", "parts", "code"),
    [
        (("--budget", 10), ("a budget of 10 is below the least that", "give that or more"), 1),
        (("--budget", 10, "--policy", "uniform"), ("below the least", "at one bit"), 1),
        (("--budget", "1M", "--metric", "joules"), ("no budget of 'joules': use one of",), 2),
        (("--budget", "1M", "--drop", "1%"), ("not allowed with argument",), 2),
        (("--budget", "1M", "--bits", 3), ("choose the widths: leave --bits out",), 2),
        (("--policy", "uniform"), ("give --budget, --drop or --sqnr",), 2),
        (("--drop", "1%"), ("needs images: give --data",), 2),
        (("--activations", 8), ("need images: give --data",), 2),
        (("--no-quantize",), ("give a ratio of pruning",), 2),
        (("--prune", 1), ("is no share: give one like 0.25 or 25%, or 1%",), 2),
        (("--format", "qonnx", "--activations", 8), ("as qdq alone",), 2),
        (("--bits", 4, "--criterion", "l1"), ("--criterion is about which", "give --prune"), 2),
        (("--bits", 4, "--scope", "network"), ("--scope is about which", "give --prune"), 2),
        (("--bits", 4, "--epoch", 3), ("--epoch is one of --targets: give them too",), 2),
        (("--bits", 4, "--effort", "thorough"), ("--effort is about how a budget",), 2),
        (("--bits", 4, "--no-correct"), ("--correct corrects with images: give --data",), 2),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, parts: Any, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(attempt(place, *words), *parts, code=code)
    assert not list(tmp_path.iterdir())


def test_a_drop_that_eight_bits_miss_is_refused(place: Path, tmp_path: Path) -> None:
    ended = attempt(
        place, "--drop", "0%", "--prune", 0.8, "--data", place / "images.npz",
        to=tmp_path / "small.onnx",
    )  # fmt: skip
    refused(ended, "at 8 bits the accuracy is ", "allow a larger --drop, or prune less")


def test_images_and_labels_that_do_not_fit_are_refused(place: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"other": (5, 2, 7, 6), "labels": (5, 2, 7, 5)}
    for name, shape in shapes.items():
        np.savez(tmp_path / f"{name}.npz", images=rng.random(shape), labels=[0, 1, 2, 3, 4])
    np.savez(tmp_path / "count.npz", images=rng.random((5, 2, 7, 5)), labels=[0, 1, 2])
    found = [
        attempt(place, "--bits", 3, "--data", tmp_path / f"{name}.npz", to=tmp_path / "small.onnx")
        for name in ("other", "labels", "count")
    ]
    refused(found[0], "are 2×7×6, but input 'x' takes 2×7×5")
    refused(found[1], "go from 2 to 4, but the model has 4 classes")
    refused(found[2], "3 labels", "for 5 images")
    assert not (tmp_path / "small.onnx").exists()


def test_inputs_are_not_overwritten(place: Path, tmp_path: Path) -> None:
    before = (place / "model.onnx").read_bytes()
    refused(attempt(place, to=place / "model.onnx"), "would overwrite", code=2)
    widths = tmp_path / "small.json"
    widths.write_text('{"first": 3}')
    ended = attempt(place, "--bits-per-filter", widths, to=tmp_path / "small.onnx")
    refused(ended, "small.json' would overwrite", code=2)
    refused(attempt(place, to=tmp_path / "a.json"), "is where the report goes", code=2)
    assert (place / "model.onnx").read_bytes() == before


def test_a_folder_that_is_not_there_is_refused_at_once(place: Path, tmp_path: Path) -> None:
    refused(attempt(place, to=tmp_path / "no" / "small.onnx"), "cannot write", "folder that exists")


def test_a_full_disk_leaves_what_was_there(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "small.onnx"
    target.write_bytes(b"old")
    opened = Path.open

    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(path: Path, mode: str = "r", *more: Any, **others: Any) -> Any:
        return Full() if "x" in mode else opened(path, mode, *more, **others)

    monkeypatch.setattr(Path, "open", full)
    refused(attempt(place, "--bits", 3, to=target), "No space left on device", "has room")
    monkeypatch.undo()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("small.onnx", b"old")]


def test_a_model_without_float_weights_is_refused(place: Path, tmp_path: Path) -> None:
    compress(place, tmp_path / "small.onnx", "--bits", 3)
    again = ("compress", tmp_path / "small.onnx", "-o", tmp_path / "again.onnx")
    refused(esnsim(*again), "there are no weights to quantise: it is quantised already", code=2)
    ended = esnsim(*again, "--prune", 0.5)
    refused(ended, "quantised already, and those keep their filters: prune the float", code=2)


def test_pruning_that_removes_nothing_is_said_and_writes_nothing_alone(
    place: Path, tmp_path: Path
) -> None:
    to = tmp_path / "small.onnx"
    for words in ((), ("--no-quantize",)):
        ended = attempt(place, "--prune", 0.01, *words, to=to)
        refused(ended, "a share of 0.01 removes no filter", "give a larger --prune")
        assert not to.exists()
    ended = attempt(place, "--prune", 0.01, "--bits", 3, to=to)
    assert ended.code == 0
    assert "a share of 0.01 removes no filter" in ended.err
    assert "--prune 0 removes no filter" in attempt(place, "--prune", "0%", to=to).err
    assert "removes no filter" not in attempt(place, "--bits", 8, to=to).err


@pytest.mark.parametrize("spare", [1.0, 1.3])
def test_a_budget_says_how_much_of_it_was_used(place: Path, tmp_path: Path, spare: float) -> None:
    exact = costs(place / "model.onnx", "--bits", 2)["totals"]["esn_d_tilde"]["macs"]
    words = ("--budget", spare * exact, "--policy", "uniform")
    ended = attempt(place, *words, to=tmp_path / "s.onnx")
    used = json.loads((tmp_path / "s.json").read_text())["done"]["budget_used"]
    assert used == pytest.approx(1 / spare)
    assert f"{100 * used:.0f}% of it used" in ended.out
    note = "uniform used 77 % of the budget: a wider uniform width does not fit"
    assert (note in ended.err) == (spare > 1)


def test_a_cost_that_grows_is_said_as_more(place: Path, tmp_path: Path) -> None:
    ended = attempt(place, "--bits", 16, to=tmp_path / "small.onnx")
    assert " times more; before at 8 bits" in ended.out
    assert "times less" not in ended.out


@pytest.mark.parametrize("words", [(), ("--calibration",), ("--images", 3)])
def test_compare_scores_the_images_that_compress_scored(
    place: Path, tmp_path: Path, words: tuple[Any, ...]
) -> None:
    """The same options, the same number: also where other images calibrate."""
    small, given = tmp_path / "small.onnx", ("--data", place / "images.npz", *words)
    given = (*given, place / "images.npz") if words == ("--calibration",) else given
    assert esnsim("compress", place / "model.onnx", "-o", small, *given, "--bits", 3).code == 0
    compressed = json.loads(small.with_suffix(".json").read_text("utf-8"))
    both = report(esnsim("compare", place / "model.onnx", small, *given, "--json"))["models"]
    for side, model in zip(("before", "after"), both, strict=True):
        wanted = compressed[side]["evaluation"]
        for key in ("images", "top1", "agreement"):
            assert model["evaluation"][key] == wanted[key]


def test_embedded_models_are_compared_on_all_embedded_images() -> None:
    found = report(esnsim("compare", "builtin:resnet8", "builtin:resnet8", "--json"))
    assert found["images"] == 1000
    refused(esnsim("compare", "a.onnx", "b.onnx", "--calibration", "c.npz"), "give --data", code=2)
