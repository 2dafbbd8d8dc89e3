"""The figures run from data to picture with the same commands on every kind of data."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from benchmarks.paper import fig9, statistics, trained
from benchmarks.paper.__main__ import main
from benchmarks.paper.runs import Runs
from esnsim.compression.compress import compress
from esnsim.compression.compressed import Compressed
from esnsim.training.data import ImageSet
from esnsim.training.layers import weighted_layers
from tests.training.test_data import cifar, pictures
from tests.training.tiny import images, tiny


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


def test_what_a_layer_bears_is_how_its_noise_raises_the_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a loss of Σ a·‖W' − W‖²/‖W‖², codes of step Δ raise it by a·n·Δ²/12/‖W‖² = a·n/12/ESNa.

    Layers of few weights stray from Δ²/12. One that never raises it has the least of the others.
    """
    model, (pixels, labels) = tiny(), images()
    data = ImageSet(pixels, labels.astype(np.int64))
    runs = Runs(Namespace(device="cpu"), data, data)
    weights = {name: m.weight.detach().clone() for name, m in weighted_layers(model).items()}
    steep = {name: 3.0**index for index, name in enumerate(weights)}
    steep[list(weights)[1]] = -1.0

    def loss(_: Runs, coded: nn.Module) -> float:
        apart = {n: m.weight.detach() - weights[n] for n, m in weighted_layers(coded).items()}
        lost = {n: float((w.norm() / weights[n].norm()) ** 2) for n, w in apart.items()}
        return 1 + sum(steep[name] * lost[name] for name in lost)

    monkeypatch.setattr(fig9, "loss", loss)
    rises = {name: steep[name] * weight.numel() / 12 for name, weight in weights.items()}
    least = min(rise for rise in rises.values() if rise > 0)
    expected = [rise if rise > 0 else least for rise in rises.values()]
    assert fig9.borne(runs, model) == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize(("start", "kind"), [("resnet20_025x", "noise"), ("depthwise", "cost")])
def test_noise_and_depthwise_ways_are_trained_to_their_points(
    start: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    data = ImageSet(rng.integers(0, 256, (125, 1, 28, 28), np.uint8), np.arange(125) % 10)
    options = Namespace(
        seed=0, seeds=[0], epochs=1, images=125, models=None, ways=None, resume=True, quick=False,
        device="cpu", checkpoints=tmp_path, output=tmp_path,
    )  # fmt: skip
    runs, way = Runs(options, data, data.first(8)), trained.Way(start, kind, 5e6)
    monkeypatch.setattr(trained, "WAYS", (way,))
    monkeypatch.setattr(trained, "CALIBRATION", 8)
    made: list[Compressed] = []
    monkeypatch.setattr(
        trained, "compress", lambda *a, **k: made.append(compress(*a, **k)) or made[-1]
    )
    (point,) = next(trained.measure(runs))["points"]
    assert (point["start"], point["way"]) == (start, f"{kind} 5M")
    assert 0 < point["esn_d_tilde"]["macs"] <= 5e6
    if kind == "noise":
        before, after = (codes.after.total for codes in made)  # of training
        assert point["noise_esn_a"] == before.esn_a_x4.weights / 4
        assert point["esn_a"]["weights"] == after.esn_a_x4.weights / 4
        assert 0 <= point["float"] <= 1
    else:  # in float before, then widths are learned
        assert (tmp_path / "depthwise-1-125.pt").exists()
        assert sum(n for bits, n in point["histogram"].items() if bits not in "02") > 0
