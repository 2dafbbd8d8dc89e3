"""The figures run from data to picture with the same commands on every kind of data."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.paper import statistics
from benchmarks.paper.__main__ import main
from tests.training.test_data import cifar, pictures


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> int:
    options = ["--checkpoints", f"{folder}/checkpoints", "--output", f"{folder}/results"]
    arguments = [*words, "--data", str(folder), "--epochs", "1", "--test-images", "8", *options]
    monkeypatch.setattr(sys, "argv", ["benchmarks.paper", *arguments])
    return main()


CASES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "CIFAR-10": (lambda folder: cifar(folder, False, 4), ["fig3", "--models", "resnet8"]),
    "CIFAR-100": (lambda folder: cifar(folder, True, 8), ["fig6", "--models", "resnet8"]),
    "pictures": (pictures, ["fig4", "--models", "resnet18-0.25x"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_figure_runs_to_its_results_and_picture(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, words = CASES[case]
    make(tmp_path)
    assert run(monkeypatch, tmp_path, *words) == 0
    document = json.loads((tmp_path / "results" / f"{words[0]}.json").read_text())
    assert document["schema"] == "esnsim.paper/1"
    assert document["statements"] is not None
    assert (tmp_path / "results" / f"{words[0]}.png").stat().st_size > 1000


def test_a_folder_without_data_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "fig2") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: there are no train images in '")
    assert error.count("\n") == 1


def test_rank_correlation_is_that_of_ranks() -> None:
    assert statistics.rank_correlation([(1, 10), (2, 20), (30, 21)]) == pytest.approx(1)
    assert statistics.rank_correlation([(1, 3), (2, 2), (3, 1)]) == pytest.approx(-1)
    # ranks 0, 1½, 1½, 3 and 0, 1, 2, 3: 4.5 / √(4.5·5), by hand
    tied = [(1.0, 1.0), (2.0, 2.0), (2.0, 3.0), (5.0, 4.0)]
    assert statistics.rank_correlation(tied) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    assert statistics.rank_correlation([(1, 1), (2, 1)]) is None


def test_accuracy_at_a_cost_and_cost_at_an_accuracy() -> None:
    curve = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.8), (4.0, 0.7)]
    assert [statistics.accuracy_at(curve, c) for c in (0, 1, 2, 9)] == [0, 0.5, 0.5, 0.8]
    assert [statistics.cost_at(curve, a) for a in (0.4, 0.6, 0.9)] == [1.0, 3.0, None]
    assert statistics.frontier(curve) == [(1.0, 0.5), (3.0, 0.8)]
