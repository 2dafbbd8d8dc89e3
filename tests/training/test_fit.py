"""A run that was interrupted and resumed is an uninterrupted one, bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from esnsim.errors import EsnsimError, ModelError
from esnsim.training.admm import Admm
from esnsim.training.fit import (
    Companion,
    Epoch,
    Recipe,
    fit,
    learning_rate,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from esnsim.training.masks import prune_by_norm
from esnsim.training.tracker import ESNTracker
from tests.bad_input.damage import refusals
from tests.training.tiny import EXAMPLE, images, tiny

RECIPE = Recipe(epochs=4, batch=10, warmup=3)


class StoppedError(Exception):
    """What a user's Ctrl-C stands for."""


def companions(model: nn.Module) -> dict[str, Companion]:
    return {"tracker": ESNTracker(model), "admm": Admm(model, EXAMPLE, 0.5)}


def trained(path: Path, stop_after: int | None) -> tuple[nn.Module, ESNTracker]:
    def report(epoch: Epoch) -> None:
        if epoch.index == stop_after:
            raise StoppedError

    model = tiny()
    along = companions(model)
    fit(model, *images(), RECIPE, path, report, along)
    tracker = along["tracker"]
    assert isinstance(tracker, ESNTracker)
    return model, tracker


def test_resumed_training_is_uninterrupted_training_bit_for_bit(tmp_path: Path) -> None:
    whole, of_whole = trained(tmp_path / "whole.pt", None)
    with pytest.raises(StoppedError):
        trained(tmp_path / "part.pt", 2)
    assert torch.load(tmp_path / "part.pt")["epochs"] == 2
    resumed, of_resumed = trained(tmp_path / "part.pt", None)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert of_whole.history == of_resumed.history


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, _ = trained(tmp_path / "run.pt", None)
    again, _ = trained(tmp_path / "run.pt", 0)  # would be interrupted after its first epoch
    assert torch.equal(first.state_dict()["fc.weight"], again.state_dict()["fc.weight"])


def test_pruned_filters_stay_pruned_through_a_checkpoint(tmp_path: Path) -> None:
    for epochs in (2, 4):
        model = tiny()
        masks = prune_by_norm(model, EXAMPLE, 0.5)
        recipe = Recipe(epochs=epochs, batch=10)
        fit(model, *images(), recipe, tmp_path / "run.pt", companions={"masks": masks})
        assert int((model.conv.weight.flatten(1) == 0).all(1).sum()) == 2


@pytest.mark.parametrize(
    ("recipe", "step", "expected"),
    [
        (Recipe(epochs=10, warmup=0), 0, 0.1),
        (Recipe(epochs=10, warmup=0), 50, 0.05),
        (Recipe(epochs=10, warmup=4), 1, 0.1 * 2 / 4),
        (Recipe(epochs=10, warmup=0, constant=True), 99, 0.1),
        (Recipe(epochs=10, warmup=0, drops=(3, 6)), 29, 0.1),
        (Recipe(epochs=10, warmup=0, drops=(3, 6)), 30, 0.01),
        (Recipe(epochs=10, warmup=0, drops=(3, 6)), 60, 0.001),
    ],
)
def test_learning_rates_follow_the_schedule(recipe: Recipe, step: int, expected: float) -> None:
    assert learning_rate(recipe, step, steps=10) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "run.pt", None)
    with pytest.raises(ModelError, match=r"is of another model: 0 of its \d+ tensors fit the 2"):
        fit(nn.Sequential(nn.Linear(2, 3)), *images(), RECIPE, tmp_path / "run.pt")


def test_a_checkpoint_without_a_companion_is_refused(tmp_path: Path) -> None:
    fit(tiny(), *images(), Recipe(epochs=1, batch=10), tmp_path / "run.pt")
    model = tiny()
    with pytest.raises(ModelError, match=r"is of another run \(KeyError: 'tracker'\): go on with"):
        fit(model, *images(), RECIPE, tmp_path / "run.pt", companions=companions(model))


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match=r"run\.pt' is no checkpoint \(.*\): give another file"):
        load_weights(tmp_path / "run.pt", tiny())


@pytest.mark.parametrize("place", ["pickle", "numbers", "table of contents"])
def test_damaged_checkpoints_are_read_or_refused_in_a_line(place: str, tmp_path: Path) -> None:
    path, model = tmp_path / "run.pt", tiny()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    save_checkpoint(path, model, optimizer, {}, 3)
    data = path.read_bytes()
    first = {"pickle": 0, "numbers": len(data) // 2, "table of contents": len(data) - 1500}[place]
    part = tmp_path / "part"

    def read(_: Path) -> None:
        path.write_bytes(data[:first] + part.read_bytes() + data[first + 1500 :])
        assert load_checkpoint(path, model, optimizer, {}) >= 0

    assert len(refusals(part, data[first : first + 1500], read, times=50)) > 5


WRONG_MODELS = {
    "a list": [1, 2],
    "None": None,
    "no model": {"model": None},
    "a list as model": {"model": [1]},
    "numbers": {"model": dict.fromkeys(tiny().state_dict(), 1.0)},
    "sparse": {"model": {n: t.to_sparse() for n, t in tiny().state_dict().items() if t.ndim}},
    "whole": {"model": {n: t.to(torch.int32) for n, t in tiny().state_dict().items()}},
    "complex": {"model": {n: t.to(torch.complex64) for n, t in tiny().state_dict().items()}},
    "elsewhere": {"model": {n: t.to("meta") for n, t in tiny().state_dict().items()}},
}


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_a_checkpoint_of_other_values_is_refused(tmp_path: Path, name: str) -> None:
    path, model = tmp_path / "run.pt", tiny()
    torch.save(WRONG_MODELS[name], path)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=r"'.*run\.pt' is (no checkpoint|of another model)"):
        load_weights(path, model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": "many"}, {"epochs": -1}, {"epochs": True}, {"epochs": 1e400},
        {"optimizer": None}, {"optimizer": {"state": 3, "param_groups": [1]}}, {"companions": []},
        {"companions": {"tracker": None}}, {"companions": {"tracker": {"layers": 7}}},
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_state_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path, model = tmp_path / "run.pt", tiny()
    fit(model, *images(), Recipe(epochs=1, batch=10), path, companions=companions(model))
    torch.save({**torch.load(path, weights_only=True), **change}, path)
    model = tiny()
    with pytest.raises(ModelError, match="checkpoint"):
        fit(model, *images(), RECIPE, path, companions=companions(model))


def test_nothing_is_left_beside_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "run.part").write_bytes(b"another's")
    fit(tiny(), *images(), Recipe(epochs=1, batch=10), tmp_path / "run.pt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.part", "run.pt"]


def test_fewer_images_than_a_batch_are_refused() -> None:
    with pytest.raises(EsnsimError, match="5 images are less than a batch of 10"):
        fit(tiny(), *images(5), RECIPE)
