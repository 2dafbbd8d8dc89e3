"""Options that decide on the output: form, rows, file, exit code."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from esnsim.report.cost.table import SORTS
from tests.commandline import Ended, esnsim, report

BITS = ("--bits", 2)


def columns(text: str, column: int) -> list[str]:
    """A column of the table's rows, between its two rules."""
    lines = text.splitlines()
    first, last = (i for i, line in enumerate(lines) if line.startswith("──"))
    return [line.split()[column] for line in lines[first + 1 : last]]


def test_the_table_has_a_row_a_layer_in_graph_order_and_a_total(tiny: Path) -> None:
    lines = esnsim("cost", tiny, *BITS, "--bits-per-filter").out.splitlines()
    assert [" ".join(lines[i].split()) for i in (0, 2, 3, 5)] == [
        "layer op shape MACs filters pruned bits ESNa ESNd ESNd~ share",
        "first Conv 4×1×1×1 24 4 1 1.67 28.5 30 30 45.5%",
        "y Conv 1×4×1×1 24 1 0 2.00 28.5 30 36 54.5%",
        "total 48 5 1 1.83 57 60 66",
    ]


def test_shares_are_of_mac_times_bit(tiny: Path) -> None:
    for words in ((), ("--bits-per-filter",)):
        assert columns(esnsim("cost", tiny, *BITS, *words).out, -1) == ["45.5%", "54.5%"]


def test_the_summary_says_what_the_numbers_depend_on(tiny: Path) -> None:
    out = esnsim("cost", tiny, *BITS).out
    assert "ESNa      57 by MACs, 9.50 by weights" in out
    assert "ESNd      60 bits by MACs, 10 by weights; stored by filter: 11 bits" in out
    assert "weights   8, of live filters and channels 6, not zero 6" in out
    assert "MACs      48 dense, 36 live; multiply–accumulates of weights, no bias" in out
    assert "machines  cpu 288, gpu 384, int8 array 384, ideal digital 66, analog 57" in out
    assert "codes     midrise, layer-max steps, 2 bits, zeros kept, width rule code" in out
    assert "input     x 1×1×2×3" in out


@pytest.mark.parametrize("key", SORTS)
def test_sort_puts_the_largest_first_and_top_cuts(key: str) -> None:
    rows = list(csv.DictReader(io.StringIO(esnsim("cost", "builtin:resnet8", "--csv").out)))
    names = {"pruned": "pruned_filters", "bits": None}
    column = names.get(key, key)
    column = f"{column}.macs" if key.startswith("esn") else column
    by_hand = [
        float(row[column]) if column
        else float(row["esn_d_tilde.weights"]) / float(row["live_weights"])
        for row in rows
    ]  # fmt: skip
    order = sorted(range(len(rows)), key=lambda i: -by_hand[i])[:4]
    words = ("cost", "builtin:resnet8", "--sort", key, "--top", 4)
    assert columns(esnsim(*words).out, 0) == [rows[i]["name"] for i in order] + ["…"]
    cut = csv.DictReader(io.StringIO(esnsim(*words, "--csv").out))
    assert [row["name"] for row in cut] == [rows[i]["name"] for i in order]


def test_top_says_how_many_rows_are_left_out_and_totals_stay(tiny: Path) -> None:
    out = esnsim("cost", tiny, *BITS, "--top", 1).out
    assert "… and 1 more\n" in out
    assert "MACs      48 dense" in out


def test_exact_writes_all_digits() -> None:
    macs = report(esnsim("cost", "builtin:resnet20", "--json"))["totals"]["macs"]
    assert f"{macs / 1e6:.1f}M dense" in esnsim("cost", "builtin:resnet20").out
    assert f"{macs:,} dense" in esnsim("cost", "builtin:resnet20", "--exact").out
    exact = report(esnsim("cost", "builtin:resnet20", "--exact", "--json"))
    assert exact["totals"]["macs"] == macs


def test_quiet_leaves_the_notes_out() -> None:
    assert esnsim("cost", "builtin:resnet8").err != ""
    assert esnsim("cost", "builtin:resnet8", "-q").err == ""


def test_csv_has_a_row_a_layer_with_the_numbers_of_the_json(tiny: Path) -> None:
    layers = report(esnsim("cost", tiny, *BITS, "--json"))["layers"]
    rows = list(csv.DictReader(io.StringIO(esnsim("cost", tiny, *BITS, "--csv").out)))
    for row, layer in zip(rows, layers, strict=True):
        assert row["name"] == layer["name"]
        assert row["esn_a_class_a.network.macs"] == str(layer["esn_a_class_a"]["network"]["macs"])
        assert row["bits_per_filter"] == " ".join(map(str, layer["bits_per_filter"]))
        assert row["stored_bits"] == ""


@pytest.mark.parametrize("suffix", [".json", ".CSV", ".txt"])
def test_the_suffix_of_the_output_says_the_form(tiny: Path, suffix: str) -> None:
    path = tiny.parent / f"out{suffix}"
    form = {".json": ["--json"], ".CSV": ["--csv"], ".txt": []}[suffix]
    assert esnsim("cost", tiny, "-o", path) == Ended(0, "", "")
    assert path.read_text() == esnsim("cost", tiny, *form).out


def test_an_option_for_the_form_holds_for_any_suffix_but_the_other_forms(tiny: Path) -> None:
    path = tiny.parent / "out.txt"
    assert esnsim("cost", tiny, "--csv", "-o", path).code == 0
    assert path.read_text() == esnsim("cost", tiny, "--csv").out
    assert esnsim("cost", tiny, "--csv", "-o", path.with_suffix(".json")).code == 2


@pytest.mark.parametrize("path", ["-", "/dev/stdout"])
def test_the_output_can_be_standard_output(tiny: Path, path: str) -> None:
    assert esnsim("cost", tiny, "-o", path).out == esnsim("cost", tiny).out


def test_an_output_replaces_a_file_whole_and_leaves_nothing_beside_it(tiny: Path) -> None:
    path = tiny.parent / "out.json"
    path.write_text("old " * 100_000)
    assert esnsim("cost", tiny, "-o", path).code == 0
    assert json.loads(path.read_text())["schema"] == "esnsim.cost/1"
    assert sorted(p.name for p in tiny.parent.iterdir()) == ["model.onnx", "out.json"]


def test_an_output_through_a_link_replaces_what_the_link_points_to(tiny: Path) -> None:
    (tiny.parent / "real").mkdir()
    link, real = tiny.parent / "link.json", tiny.parent / "real" / "out.json"
    link.symlink_to(real)
    assert esnsim("cost", tiny, "-o", link).code == 0
    assert link.is_symlink()
    assert json.loads(real.read_text())


def test_an_output_respects_the_umask(tiny: Path) -> None:
    path = tiny.parent / "out.json"
    before = os.umask(0o027)
    try:
        assert esnsim("cost", tiny, "-o", path).code == 0
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("limit", "line"),
    [
        ("esn_d_tilde=60", "esn_d_tilde is 66: above 60 by 6 (10.0%)"),
        ("mac_bits=0.06k", "mac_bits is 66: above 60 by 6 (10.0%)"),
        ("esn_d_tilde.weights=10", "esn_d_tilde.weights is 11: above 10 by 1 (10.0%)"),
        ("mac_bits_layerwise=40", "mac_bits_layerwise is 72: above 40 by 32 (80.0%)"),
        ("esn_a=56.5", "esn_a is 57: above 56.50 by 0.50 (0.9%)"),
        ("esn_d=0", "esn_d is 60: above 0 by all of it"),
        ("macs=1", "macs is 48: above 1 by 47 (4700.0%)"),
        ("live_macs=35", "live_macs is 36: above 35 by 1 (2.9%)"),
        ("weights=7", "weights is 8: above 7 by 1 (14.3%)"),
    ],
)
def test_fail_above_ends_with_3_and_says_by_how_much(tiny: Path, limit: str, line: str) -> None:
    ended = esnsim("cost", tiny, *BITS, "--fail-above", limit)
    assert (ended.code, ended.err) == (3, f"esnsim: {line}\n")
    assert ended.out == esnsim("cost", tiny, *BITS).out


def test_fail_above_passes_at_the_limit_and_checks_every_one(tiny: Path) -> None:
    at = ["--fail-above", "esn_d_tilde=66", "--fail-above", "esn_d_tilde.weights=11"]
    assert esnsim("cost", tiny, *BITS, *at).code == 0
    both = esnsim("cost", tiny, *BITS, "--fail-above", "macs=1", "--fail-above", "weights=1", *at)
    assert both.code == 3
    assert len(both.err.splitlines()) == 2
