"""A sweep in words, as a table, as JSON and CSV, and as a picture."""

import csv
import io
import json
from dataclasses import replace
from math import inf

import pytest

from esnsim.errors import EsnsimError
from esnsim.report.sweep import document as pareto_document
from esnsim.report.sweep import picture as frontier_picture
from esnsim.report.sweep import table as pareto
from esnsim.sweeps.compare import METHODS
from esnsim.sweeps.frontier import Sweep
from tests.compress.points import baseline, point, sweep

SLIM = "builtin:resnet20"
FAT = [
    point(80_000_000, 0.942, 0, 8),
    point(40_000_000, 0.936, 0, 4),
    point(20_000_000, 0.70, 0, 2),
]
PRUNED = [point(60_000_000, 0.90, 0.25, 8), point(25_000_000, 0.895, 0.25, 4)]
SWEEP = sweep([*FAT, *PRUNED])
OTHER = [point(10_000_000, 0.925, 0, 4, model=SLIM)]


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_table_has_every_point_cheapest_first_and_marks_the_frontier() -> None:
    rows = lines(pareto.render(SWEEP))
    assert rows[0] == "network policy step pruned bits by MACs MAC×bit top-1 95% SQNR"
    assert [row.split()[3:] for row in rows[2:7]] == [
        ["0%", "2", "2.09", "20.0M", "70.0%", "68.5–71.5", "10.0", "●"],
        ["25%", "4", "2.62", "25.0M", "89.5%", "88.0–91.0", "10.0", "●"],
        ["0%", "4", "4.19", "40.0M", "93.6%", "92.1–95.1", "10.0", "●"],
        ["25%", "8", "6.28", "60.0M", "90.0%", "88.5–91.5", "10.0"],
        ["0%", "8", "8.38", "80.0M", "94.2%", "92.7–95.7", "10.0", "●"],
    ]


def test_the_table_can_be_of_the_frontier_alone() -> None:
    shown = lines(pareto.render(SWEEP, frontier_only=True))[2:]
    whole = lines(pareto.render(SWEEP))[2:]
    assert shown == [row for row in whole if row != whole[3]]


def test_a_long_frontier_is_cut_to_one_screen() -> None:
    many = sweep([point(10**6 * (n + 1), 0.5 + n / 200) for n in range(90)])
    assert len(many.frontier) == 90
    assert "… and 70 cheaper points of the frontier" in repr(many)
    assert len(repr(many).splitlines()) < 40
    assert "94.5%" in repr(many)
    assert "cheaper points" not in repr(SWEEP)


def test_the_words_name_the_cheapest_point_within_the_drop() -> None:
    words = lines(pareto.words(SWEEP))
    assert words[:6] == [
        "float resnet8: top-1 94.0% (92.5–95.5%), 9.55M MACs",
        "scored output 'y': 10 classes along axis 1, one a pixel, 6×5 of each of 1,000 images",
        "data 1,000 images",
        "cheapest within 1 point of float (93.0%): resnet8, unpruned, 4 bits (uniform, layer-max)",
        "40.0M MAC×bit, 93.6%, a tie with float",
        "2.00 times less than resnet8, unpruned, 8 bits (uniform, layer-max)",
    ]


def test_the_words_compare_methods_at_equal_accuracy() -> None:
    words = lines(pareto.words(SWEEP))
    at = words.index("MAC×bit at equal accuracy; prune only keeps 8 bits")
    assert words[at + 1 : at + 9] == [
        "at least quantise only (Q) prune only (P) prune then quantise (PQ) Q ÷ PQ P ÷ PQ",
        words[at + 2],
        "93.0% 40.0M – – – –",
        "92.0% 40.0M – – – –",
        "89.0% 40.0M 60.0M 25.0M 1.60× 2.40×",
        "84.0% 40.0M 60.0M 25.0M 1.60× 2.40×",
        "74.0% 40.0M 60.0M 25.0M 1.60× 2.40×",
        "at 89.0% prune then quantise costs 1.60 times less than quantise only",
    ]


def test_the_words_end_with_the_widths_of_what_each_method_chooses() -> None:
    words = lines(pareto.words(SWEEP))
    assert words[-12:-8] == [
        "filters by bits, cheapest within 1 point, else most accurate",
        "bits quantise only, 93.6% prune only, 90.0% prune then quantise, 89.5%",
        words[-10],
        "0 10 10 10",
    ]
    assert words[-5:] == ["4 30 0 30", "5 0 0 0", "6 0 0 0", "7 0 0 0", "8 0 30 0"]


def test_the_words_call_a_difference_inside_the_interval_a_tie() -> None:
    near = point(24_000_000, 0.888, 0, 3)  # misses 89 % by less than the interval
    words = pareto.words(sweep([*FAT, *PRUNED, near]))
    assert (
        "at 89.0% prune then quantise costs 1.60 times less than quantise only: a tie, as within "
        "that cost both may reach it" in words
    )


def test_the_words_say_where_no_level_is_shared() -> None:
    words = pareto.words(sweep([*FAT, point(10, 0.2, 0.5, 4)]))
    assert (
        "no level is reached by both: at most 20.0% by prune then quantise and 94.2% by " in words
    )


def test_the_words_say_what_comes_closest_where_nothing_is_within_the_drop() -> None:
    assert (
        "cheapest  no point is within 0.5 points of float (93.5%); the best is 90.0%"
        in pareto.words(sweep(PRUNED, drop=0.005))
    )


def test_models_are_compared_with_the_first() -> None:
    both = sweep([*FAT, *OTHER], baseline(), baseline(0.945, SLIM))
    words = lines(pareto.words(both))
    assert [*pareto.chosen_named(both)] == ["resnet8", "resnet20"]
    assert "MAC×bit at equal accuracy, between networks" in words
    assert "at least resnet8 resnet20 resnet8 ÷ resnet20" in words
    assert "92.5% 40.0M 10.0M 4.00×" in words
    assert "at 92.5% resnet20 costs 4.00 times less than resnet8" in words


def test_a_verdict_is_a_sentence_a_metric() -> None:
    good = [replace(each, evaluation=point(1, 0.94).evaluation) for each in OTHER]
    found = pareto.verdicts(sweep([*FAT, *good], baseline(), baseline(0.945, SLIM)))
    assert len(found) == len(pareto.VERDICTS)
    assert found[0].startswith("by MAC×bit, within 1 point of float: resnet20 costs ")
    assert all(" resnet20" in text and " resnet8" in text for text in found)
    none = pareto.verdicts(sweep(FAT, baseline(), baseline(0.945, SLIM)))
    assert none[0] == "by MAC×bit, within 1 point of float: no two networks reach it"


def test_models_of_one_name_go_by_their_paths() -> None:
    both = sweep([], baseline(model="a/net.onnx"), baseline(model="b/net.onnx"))
    assert [*pareto.titles(both).values()] == ["a/net.onnx", "b/net.onnx"]


def test_without_labels_the_accuracy_is_called_agreement() -> None:
    unlabelled = replace(baseline(), evaluation=point(1, 0.9, labels=False).evaluation)
    rows = pareto.render(sweep([point(9, 0.9, labels=False)], unlabelled))
    assert "agreement" in rows
    assert "top-1" not in rows


def test_progress_says_how_far_and_what_is_best() -> None:
    assert pareto.so_far(replace(SWEEP, grid=32)) == "5 of 32 points, best 40.0M at 93.6%"
    assert pareto.so_far(replace(sweep(PRUNED), grid=9)) == "2 of 9 points, none within 1 point"


def test_the_document_holds_every_point_and_the_answers() -> None:
    text = pareto_document.FORMS["json"].text(SWEEP)
    found = json.loads(text)
    costs = [p["cost"] for p in found["points"]]
    assert (found["schema"], found["options"]) == ("esnsim.pareto/1", {"correct": True})
    assert costs == sorted(costs)
    assert found["frontier"] == [i for i, p in enumerate(found["points"]) if p["frontier"]]
    assert found["points"][found["cheapest_within_drop"]]["cost"] == 40_000_000
    assert [*found["chosen"]] == list(METHODS)
    assert {"accuracy": 0.89, "ratio": 1.6, "tie": False}.items() <= {
        key: value for item in found["equal_accuracy"] for key, value in item.items()
        if item["accuracy"] == 0.89 and item["theirs"] == "quantise only"
    }.items()  # fmt: skip


def test_outputs_without_noise_are_null_in_the_document() -> None:
    exact = replace(FAT[0], evaluation=replace(FAT[0].evaluation, sqnr_db=inf))
    found = json.loads(pareto_document.FORMS["json"].text(sweep([exact])))
    assert found["points"][0]["evaluation"]["sqnr_db"] is None


def test_csv_has_a_row_a_point_and_the_same_columns_in_each() -> None:
    rows = list(csv.DictReader(io.StringIO(SWEEP.to_csv())))
    assert [float(row["cost"]) for row in rows] == sorted(
        p.total.esn_d_tilde.macs for p in [*FAT, *PRUNED]
    )
    assert rows[0]["bits_histogram.2"] == "30"
    assert rows[1]["bits_histogram.2"] == "0"
    assert rows[0]["evaluation.interval"].count(" ") == 1


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_the_picture_is_of_the_form_that_its_name_says(suffix: str, magic: bytes) -> None:
    pytest.importorskip("matplotlib")
    both = sweep([*FAT, *PRUNED, *OTHER, point(0, 0.1, 0.9)], baseline(), baseline(0.93, SLIM))
    assert frontier_picture.picture(both, suffix).startswith(magic)


def test_the_picture_has_a_curve_a_width_of_network_and_the_frontier() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    _, axis = plt.subplots()
    frontier_picture.draw_curves(axis, SWEEP, "esn_d_tilde")
    curves = {line.get_label(): line for line in axis.get_lines()}
    assert {"resnet8 (1×)", "resnet8 (0.75×)", "frontier"} <= set(curves)
    assert [*curves["frontier"].get_xdata()] == [20e6, 25e6, 40e6, 80e6]
    assert axis.get_xscale() == "log"
    frontier_picture.draw_widths(axis, SWEEP)
    heights = [[bar.get_height() for bar in bars] for bars in axis.containers]
    assert [sum(bars) for bars in heights] == [40, 40, 40]
    plt.close("all")


def test_without_matplotlib_the_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(EsnsimError, match=r"pip install 'esnsim\[report\]'"):
        frontier_picture.picture(SWEEP)


def test_an_empty_sweep_has_words_too() -> None:
    empty: Sweep = sweep([])
    assert "no point is within 1 point of float (93.0%)" in pareto.words(empty)
