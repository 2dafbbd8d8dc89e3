"""Options that decide on codes: widths, steps, zeros."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from esnsim.quantization.rules import RULES
from tests.commandline import Ended, esnsim, report
from tests.importer.models import model
from tests.samples import saved

BITS = ("--bits", 2)
TOTALS = {
    "filters": 5, "pruned_filters": 1, "weights": 8, "live_weights": 6, "macs": 48,
    "live_macs": 36, "mac_bits_layerwise": 6 * (3 * 2 + 3 * 2),
    "esn_a": {"weights": 2 * (2.25 + 2.25 + 0.25), "macs": 12 * (2.25 + 2.25 + 0.25)},
    "esn_d": {"weights": 2 * (2 + 2 + 1), "macs": 12 * (2 + 2 + 1)},
    "esn_d_tilde": {"weights": 2 + 2 + 1 + 3 * 2, "macs": 6 * (2 + 2 + 1 + 3 * 2)},
    "bits_histogram": {"0": 1, "1": 1, "2": 3},
}  # fmt: skip


def bits(ended: Ended) -> dict[str, list[int]]:
    return {layer["name"]: layer["bits_per_filter"] for layer in report(ended)["layers"]}


def test_json_holds_the_numbers_worked_out_by_hand(tiny: Path) -> None:
    totals = report(esnsim("cost", tiny, *BITS, "--json"))["totals"]
    assert {key: totals[key] for key in TOTALS} == TOTALS


def test_the_flag_works_before_and_after_the_model(tiny: Path) -> None:
    before = esnsim("cost", "--bits-per-filter", tiny, *BITS)
    after = esnsim("cost", tiny, *BITS, "--bits-per-filter")
    assert before == after
    assert before.code == 0
    assert "MAC×bit   66, each filter by its own width (ESNd~); shares are of" in before.out


def test_mac_times_bit_is_one_number_with_and_without_the_flag(tiny: Path) -> None:
    plain = esnsim("cost", tiny, *BITS).out
    flagged = esnsim("cost", tiny, *BITS, "--bits-per-filter").out
    assert flagged.startswith(plain)
    assert "MAC×bit   66, each filter by its own width (ESNd~); shares are of this,\n" in plain
    assert "72 with every filter as wide as its layer's widest: 8.3% saved" in plain
    assert "width     1.83 bits, mean by MACs; 1.83 by weights" in plain


def test_the_flag_changes_no_number(tiny: Path) -> None:
    assert (
        esnsim("cost", tiny, "--json").out
        == esnsim("cost", tiny, "--json", "--bits-per-filter").out
    )


def test_the_flag_adds_the_histogram_of_widths(tiny: Path) -> None:
    lines = esnsim("cost", tiny, *BITS, "--bits-per-filter").out.splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["0", "1", "20.0%", "█" * 13],
        ["1", "1", "20.0%", "█" * 13],
        ["2", "3", "60.0%", "█" * 40],
    ]
    assert "█" not in esnsim("cost", tiny, *BITS).out


@pytest.mark.parametrize("words", [("--bits-per-filter", "4"), ("--bits-per-filter=4",)])
def test_a_number_assigns_one_width_to_every_filter(tiny: Path, words: Any) -> None:
    ended = esnsim("cost", *words, tiny, "--json")
    assert bits(ended) == {"first": [4, 4, 4, 4], "y": [4]}
    assert report(ended)["quantizer"]["rule"] == "filter-max"
    assert report(ended)["quantizer"]["widths_given"] is True


def write_json(path: Path, values: dict[str, Any]) -> Path:
    path = path / "bits.json"
    path.write_text(json.dumps(values))
    return path


def write_csv(path: Path, values: dict[str, Any]) -> Path:
    path = path / "bits.csv"
    rows = [f"{name},{' '.join(map(str, np.ravel(v)))}\n" for name, v in values.items()]
    path.write_text("layer,bits\n" + "".join(rows))
    return path


def write_csv_of_a_spreadsheet(path: Path, values: dict[str, Any]) -> Path:
    path = path / "bits.CSV"
    rows = [f"{name},{v}\r\n" for name, vs in values.items() for v in np.ravel(vs)]
    path.write_bytes(b"\xef\xbb\xbflayer,bits\r\n" + "".join(rows).encode())
    return path


def write_npz(path: Path, values: dict[str, Any]) -> Path:
    path = path / "bits.npz"
    np.savez(path, **{name: np.asarray(v) for name, v in values.items()})
    return path


@pytest.mark.parametrize("write", [write_json, write_csv, write_csv_of_a_spreadsheet, write_npz])
@pytest.mark.parametrize("names", [("first", "y"), ("w", "v")])
def test_a_file_assigns_widths_by_layer_or_by_weight(
    tiny: Path, write: Callable[..., Path], names: tuple[str, str]
) -> None:
    path = write(tiny.parent, {names[0]: [1, 0, 5, 3], names[1]: 6})
    assert bits(esnsim("cost", "--bits-per-filter", path, tiny, "--json")) == {
        "first": [1, 0, 5, 3], "y": [6],
    }  # fmt: skip


def test_layers_that_a_file_leaves_out_keep_the_nominal_width(tiny: Path) -> None:
    path = write_json(tiny.parent, {"y": 3})
    ended = esnsim("cost", tiny, "--bits-per-filter", path, "--bits", 5, "--json")
    assert bits(ended) == {"first": [5, 5, 5, 5], "y": [3]}
    said = "1 of 2 layers are given no width: they have 5 bits"
    assert report(ended)["notes"] == [said]
    assert said in ended.err


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_report_serves_as_a_file_of_widths_and_of_steps(tiny: Path, suffix: str) -> None:
    path = tiny.parent / f"report.{suffix}"
    assert esnsim("cost", tiny, *BITS, "-o", path).code == 0
    again = esnsim("cost", tiny, "--bits-per-filter", path, "--step", path, "--json")
    first = esnsim("cost", tiny, *BITS, "--json")
    assert report(again)["totals"] == report(first)["totals"]


def test_bits_is_the_nominal_width(tiny: Path) -> None:
    assert report(esnsim("cost", tiny, "--json"))["quantizer"]["bits"] == 8
    assert max(bits(esnsim("cost", tiny, "--bits", 3, "--json"))["first"]) == 3


@pytest.mark.parametrize("rule", RULES)
def test_every_step_rule_has_its_name(tiny: Path, rule: str) -> None:
    assert report(esnsim("cost", tiny, "--step", rule, "--json"))["quantizer"]["rule"] == rule


def test_a_number_is_the_step_of_all_layers(tiny: Path) -> None:
    result = report(esnsim("cost", tiny, "--step", "0.5", "--json"))
    assert result["quantizer"]["rule"] == "given"
    assert [layer["steps"] for layer in result["layers"]] == [[0.5] * 4, [0.5]]


def test_a_file_gives_steps_by_layer_or_by_filter(tiny: Path) -> None:
    path = write_json(tiny.parent, {"first": [0.5, 0.25, 0.125, 1.0], "v": 2.0})
    result = report(esnsim("cost", tiny, "--step", path, "--json"))
    assert [layer["steps"] for layer in result["layers"]] == [[0.5, 0.25, 0.125, 1.0], [2.0]]


def test_alpha_scales_the_step_of_filter_sigma(tiny: Path) -> None:
    first, second = (
        report(esnsim("cost", tiny, "--step", "filter-sigma", "--alpha", alpha, "--json"))
        for alpha in (1, 0.5)
    )
    assert first["quantizer"]["alpha"] == 1
    assert second["layers"][0]["steps"] == [step / 2 for step in first["layers"][0]["steps"]]


def test_width_names_the_rule_for_plus_minus_one_half(tiny: Path) -> None:
    code = report(esnsim("cost", tiny, *BITS, "--json"))
    paper = report(esnsim("cost", tiny, *BITS, "--json", "--width", "paper"))
    assert [r["layers"][0]["bits_per_filter"] for r in (code, paper)] == [
        [2, 2, 1, 0],
        [2, 2, 0, 0],
    ]
    assert code["totals"]["other_width"]["esn_d"] == paper["totals"]["esn_d"]


def test_zeros_are_kept_unless_told_otherwise(tiny: Path) -> None:
    proto = onnx.load(tiny)
    proto.graph.initializer[1].CopyFrom(
        onnx.numpy_helper.from_array(np.float32([1, 0, 0, 1]).reshape(1, 4, 1, 1), "v")
    )
    onnx.save(proto, tiny)
    for words, nonzero in (((), 2), (("--keep-zeros",), 2), (("--no-keep-zeros",), 4)):
        result = report(esnsim("cost", tiny, *words, "--json"))
        assert result["layers"][1]["nonzero_weights"] == nonzero


def test_fold_batchnorm_folds_and_says_so(tmp_path: Path) -> None:
    one, gain = np.ones(2, np.float32), np.float32([4, 1])
    proto = model(
        "h = Conv(x, w) y = BatchNormalization<epsilon=0.0>(h, g, b, b, one)", "float[1,1,2,3] x",
        w=np.ones((2, 1, 1, 1), np.float32), g=gain, b=one, one=one,
    )  # fmt: skip
    path = saved(proto, tmp_path)
    plain, folded = (esnsim("cost", path, *words, "--json") for words in ([], ["--fold-batchnorm"]))
    assert bits(plain) == {"h": [8, 8]}
    assert bits(folded) == {"h": [8, 7]}
    assert "1 of 1 BatchNormalizations are folded into weights" in folded.err
    assert [report(r)["model"]["batchnorms_folded"] for r in (plain, folded)] == [0, 1]
    table = esnsim("cost", path).out
    assert "1 BatchNormalizations in the graph, not folded (--fold-batchnorm)" in table
