"""ESNTracker is Eq. 5 of the paper, whatever the optimiser, and says where training broke."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from esnsim.errors import EsnsimError, ModelError
from esnsim.training import history
from esnsim.training.layers import weighted_layers
from esnsim.training.tracker import ESNTracker
from tests.naive.training import noise_of_epoch
from tests.training.tiny import EXAMPLE, tiny

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.5, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, 0.05),
}


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int, autocast: bool) -> Any:
    """Train on noise; after each step, the state is the caller's."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        x = torch.rand((4, *EXAMPLE.shape[1:]), generator=generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = nn.functional.cross_entropy(model(x).float(), torch.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield


def weights(model: nn.Module) -> dict[str, Any]:
    return {n: m.weight.detach().numpy().copy() for n, m in weighted_layers(model).items()}


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_tracker_is_a_naive_recomputation_from_stored_weights(
    optimizer: str, autocast: bool
) -> None:
    model = tiny()
    tracker, sgd = ESNTracker(model), OPTIMIZERS[optimizer](model.parameters())
    for _ in range(2):
        start, stored = weights(model), []
        for _ in steps(model, sgd, 5, autocast):
            tracker.step()
            stored.append(weights(model))
        record = tracker.epoch()
        for row in record.layers:
            assert row.name is not None
            naive = noise_of_epoch(start[row.name], [after[row.name] for after in stored])
            found = {key: getattr(row, key) for key in naive}
            assert found == pytest.approx(naive, rel=1e-5)  # norms are summed in float32
    assert record.total.esn_a == pytest.approx(sum(row.esn_a or 0 for row in record.layers))
    assert record.total.sn == pytest.approx(record.total.signal / record.total.noise)
    assert (record.epoch, record.iterations) == (2, 5)


def test_gradient_accumulation_counts_optimiser_steps() -> None:
    model = tiny()
    tracker, sgd = ESNTracker(model), OPTIMIZERS["sgd"](model.parameters())
    start, stored = weights(model), []
    for index in range(6):
        model(torch.rand(4, *EXAMPLE.shape[1:])).square().sum().backward()
        if index % 2:
            sgd.step()
            sgd.zero_grad()
            tracker.step()
            stored.append(weights(model))
    record = tracker.epoch()
    naive = noise_of_epoch(start["conv"], [after["conv"] for after in stored])
    assert record.iterations == 3
    assert record.layers[0].esn_a == pytest.approx(naive["esn_a"], rel=1e-5)


def test_a_filter_below_half_the_noise_counts_as_pruned() -> None:
    model = nn.Sequential(nn.Linear(2, 3, bias=False))
    model[0].weight.data = torch.tensor([[5.0, 5.0], [0.1, 0.1], [5.0, 5.0]])
    tracker = ESNTracker(model)
    model[0].weight.data[0] += 1
    tracker.step()
    (row,) = tracker.epoch().layers  # N = 2 of 6 weights: Δ² = 12·2/6 = 4, half of Δ is 1
    assert (row.step, row.pruned_filters) == (pytest.approx(2.0), 1)


def test_filters_of_a_transposed_convolution_lie_on_its_second_axis() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(4, 6, (2, 3), groups=2, bias=False))
    model[0].weight.data.fill_(1)
    model[0].weight.data[2:, 1] = 1e-6  # the filter 1 of the group 1
    tracker = ESNTracker(model)
    model[0].weight.data[0] += 0.1
    tracker.step()
    (row,) = tracker.epoch().layers
    assert (row.filters, row.pruned_filters) == (6, 1)


def test_a_layer_that_does_not_move_has_no_signal_to_noise_ratio() -> None:
    model = tiny()
    model.conv.weight.requires_grad = False
    tracker, sgd = ESNTracker(model), torch.optim.SGD([*model.fc.parameters()], 0.1)
    for _ in steps(model, sgd, 2, False):
        tracker.step()
    rows = {row.name: row for row in tracker.epoch().layers}
    assert (rows["conv"].sn, rows["conv"].esn_a, rows["conv"].step) == (None, None, None)
    assert rows["fc"].esn_a is not None


def test_two_copies_of_the_weights_are_held_and_rewritten_in_place() -> None:
    model = tiny()
    tracker, sgd = ESNTracker(model), OPTIMIZERS["sgd"](model.parameters())

    def held() -> list[int]:
        return [t.data_ptr() for t in (*tracker._start, *tracker._moved)]

    before = held()
    for _ in steps(model, sgd, 3, False):
        tracker.step()
    tracker.epoch()
    assert held() == before
    assert len(before) == 2 * len(weighted_layers(model))


def test_a_model_wrapped_for_data_parallel_training_keeps_its_names() -> None:
    model = tiny()
    assert list(weighted_layers(nn.DataParallel(model))) == list(weighted_layers(model))


@pytest.mark.parametrize("split", [2, 5])
def test_a_tracker_resumed_within_or_between_epochs_is_an_uninterrupted_one(split: int) -> None:
    model = tiny()
    whole = part = ESNTracker(model)
    sgd = OPTIMIZERS["sgd"](model.parameters())
    for index, _ in enumerate(steps(model, sgd, 10, False)):
        whole.step()
        if part is not whole:
            part.step()
        if index % 5 == 4:
            whole.epoch()
            if part is not whole:
                part.epoch()
        if index == split:
            part = ESNTracker(model)
            part.load_state_dict(whole.state_dict())
    assert part.history == whole.history


def test_json_and_csv_hold_every_layer_of_every_epoch() -> None:
    model = tiny()
    tracker, sgd = ESNTracker(model), OPTIMIZERS["sgd"](model.parameters())
    for _ in steps(model, sgd, 4, False):
        tracker.step()
        tracker.epoch()
    document = json.loads(tracker.to_json())
    assert document["schema"] == "esnsim.training/1"
    assert history.read(document) == tracker.history
    rows = list(csv.DictReader(io.StringIO(tracker.to_csv())))
    assert len(rows) == 4 * len(weighted_layers(model))
    assert float(rows[0]["esn_a"]) == tracker.history[0].layers[0].esn_a


def test_weights_that_are_not_finite_are_reported_with_layer_and_step() -> None:
    model = tiny()
    tracker = ESNTracker(model)
    tracker.step()
    model.blocks[0].conv2.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(EsnsimError) as error:
        tracker.step()
    assert str(error.value) == (
        "the weights of layer 'blocks.0.conv2' are not finite after step 2 (epoch 1): "
        "lower the learning rate or clip gradients"
    )


def test_a_model_without_weighted_layers_is_refused() -> None:
    with pytest.raises(ModelError, match="ReLU has no layer with weights: give a model with conv"):
        ESNTracker(nn.ReLU())


def test_the_state_of_another_model_is_refused() -> None:
    state = ESNTracker(nn.Sequential(nn.Linear(2, 3))).state_dict()
    with pytest.raises(ModelError, match="the checkpoint is of another model: it has 1 weighted"):
        ESNTracker(tiny()).load_state_dict(state)


def test_an_epoch_without_a_step_is_refused() -> None:
    with pytest.raises(EsnsimError, match="an epoch ended without a step"):
        ESNTracker(tiny()).epoch()


def test_a_document_of_another_schema_is_refused() -> None:
    with pytest.raises(ModelError, match=r"schema is 'esnsim\.cost/1'; give a file of schema"):
        history.read({"schema": "esnsim.cost/1"})
