"""ESNa targets of a training, and the steps that meet them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from esnsim.compression.allocate.targets import Target, read_targets, target_steps, within_budget
from esnsim.costs.cost import cost
from esnsim.costs.metric import metric_value
from esnsim.errors import WidthError
from esnsim.model.network import Layer, Network
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme
from esnsim.training.history import EpochNoise, LayerNoise, as_csv, as_json
from tests.networks import chain

RNG = np.random.default_rng(0)
NET = chain(RNG.normal(size=(5, 12)), RNG.normal(size=(3, 5)), 0.1 * RNG.normal(size=(7, 3)))


NEGATIVE = {"name": "a", "weight": "a", "esn_a": -1}
ENDLESS = {"name": "a", "weight": "a", "esn_a": float("inf")}
LONG = {"name": "a", "weight": "a", "esn_a": 10**400}


def targets(*values: float) -> tuple[Target, ...]:
    return tuple(Target(f"m{i}", f"layer{i}.weight", v) for i, v in enumerate(values))


def history() -> list[EpochNoise]:
    """Two epochs of two layers; one did not move in the first."""
    return [
        EpochNoise(
            epoch,
            10,
            tuple(
                LayerNoise.of(name, 100.0, noise, 24, 4, 0, 10)
                for name, noise in (("conv", 2.0 * epoch), ("fc", float(epoch - 1)))
            ),
        )
        for epoch in (1, 2)
    ]


def esn_a(network: Network, scheme: Scheme) -> list[float]:
    return [row.metrics.esn_a_x4.weights / 4 for row in cost(quantize(network, scheme)).layers]


def every_esn_a(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """ESNa on both sides of every decision boundary: it changes nowhere else. Not of no filters."""
    edges = np.unique(np.abs(weights)[..., None] / np.append(np.arange(1, 60), 0.5))
    edges = edges[edges > 0.02 * np.abs(weights).max()]
    found = []
    for step in [*edges, *np.nextafter(edges, np.inf)]:
        alive = np.abs(weights).max(axis=1) >= step / 2
        found.append((np.square(np.floor(weights[alive] / step) + 0.5)).sum())
    return np.array([value for value in found if value])


@given(st.floats(1, 300), st.sampled_from(NET.layers))
def test_no_step_comes_nearer_to_a_target(value: float, chosen: Layer) -> None:
    weights = chosen.weight.load()
    steps = target_steps(chain(weights), targets(value / 3), factor=3)
    found = esn_a(chain(weights), Scheme(given_steps=steps))[0]
    nearest = np.abs(every_esn_a(weights) - value).min()
    assert abs(found - value) == pytest.approx(nearest, abs=1e-9)


def test_no_layer_is_pruned_whole_and_dead_channels_take_no_part() -> None:
    steps = target_steps(NET, targets(1e-9, 1e-9, 1e-9))
    rows = cost(quantize(NET, Scheme(given_steps=steps))).layers
    assert [row.metrics.filters - row.metrics.pruned_filters for row in rows] == [1, 1, 1]
    assert [row.metrics.esn_a_x4.weights for row in rows] == [12, 1, 1]


def test_layers_of_zeros_have_no_step() -> None:
    net = chain(np.zeros((2, 3)), np.ones((2, 2)))
    steps = target_steps(net, targets(4, 4))
    assert np.isnan(steps["layer0"])
    assert esn_a(net, Scheme(given_steps=steps)) == [0, 0]


@settings(max_examples=15)
@given(st.floats(20, 2000), st.sampled_from(["esn_d_tilde", "esn_a", "esn_d.weights"]))
def test_a_budget_is_never_exceeded_and_nearly_used(budget: float, metric: str) -> None:
    wanted = targets(100, 30, 60)
    scheme = within_budget(NET, wanted, budget, metric)
    assert metric_value(cost(quantize(NET, scheme)).total, metric) <= budget


def test_a_budget_of_what_the_targets_cost_gives_at_least_them() -> None:
    wanted = targets(100, 30, 60)
    steps = target_steps(NET, wanted)
    price = metric_value(cost(quantize(NET, Scheme(given_steps=steps))).total, "esn_a")
    scheme = within_budget(NET, wanted, price, "esn_a")
    assert metric_value(cost(quantize(NET, scheme)).total, "esn_a") == pytest.approx(
        price, rel=0.05
    )


def test_a_budget_below_the_least_is_refused() -> None:
    with pytest.raises(WidthError, match="with one filter of each layer left, 14: give"):
        within_budget(NET, targets(100, 30, 60), 13)


@pytest.mark.parametrize("text", [as_json, as_csv], ids=["esna.json", "esna.csv"])
def test_what_the_tracker_writes_is_read(
    text: Callable[[list[EpochNoise]], str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """ESNa = S/N · ‖W‖₀ / 12 (Eq. 5): 100/4·24/12, 100/1·2; of the first epoch 100/2·2."""
    path = tmp_path / request.node.callspec.id
    path.write_text(text(history()))
    assert read_targets(path) == (
        Target("conv", "conv.weight", 50.0),
        Target("fc", "fc.weight", 200.0),
    )
    assert [t.esn_a for t in read_targets(path, 1)] == [100.0, None]
    with pytest.raises(WidthError, match="no epoch 7: it has 1 to 2"):
        read_targets(path, 7)


def document(**changes: Any) -> str:
    return json.dumps({**json.loads(as_json(history())), **changes})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as ESNa"),
        ("[]", "cannot be read as ESNa"),
        ("{}", "no 'schema'"),
        (document(schema="other/1"), "its schema is 'other/1'"),
        (document(epochs=[]), "holds no epoch"),
        (document(epochs=[{"epoch": 1}]), "no 'layers'"),
        (document(epochs=[{"epoch": 1, "layers": [NEGATIVE]}]), "an ESNa of -1"),
        ("[" * 100_000, "cannot be read as ESNa"),
        (document(epochs=[{"epoch": 1, "layers": [ENDLESS]}]), "an ESNa of inf"),
        (document(epochs=[{"epoch": 1, "layers": [LONG]}]), "int too large to convert to float"),
    ],
)  # fmt: skip
def test_files_that_are_none_are_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "esna.json"
    path.write_text(content)
    with pytest.raises(WidthError, match=message):
        read_targets(path)


def test_a_field_too_long_for_a_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "esna.csv"
    path.write_text(f"epoch,name,weight,esn_a\n1,{'x' * 140_000},a,1\n")
    with pytest.raises(WidthError, match="field larger than field limit"):
        read_targets(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WidthError, match="there is no file"):
        read_targets(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (targets(1, 2), "have none for layer 'layer2', whose weight is 'layer2.weight'"),
        (targets(1, 2, 3, 4), "a target for 'm3', but no layer reads 'layer3.weight'"),
        ((*targets(1, 2), Target("m2", "layer2.weight", None)), "'m2' did not move in that epoch"),
        (targets(1, 2, 1e15), "layer 'layer2' codes of more than 16 bits: scale"),
    ],
)
def test_targets_that_do_not_fit_are_refused(wanted: tuple[Target, ...], message: str) -> None:
    with pytest.raises(WidthError, match=message):
        target_steps(NET, wanted)


def test_a_weight_that_torch_renamed_is_answered_with_how_to_export() -> None:
    [first, *rest] = NET.layers
    layer = replace(first, weight=replace(first.weight, name="onnx::Conv_147", origin=""))
    network = replace(NET, layers=(layer, *rest))
    with pytest.raises(WidthError, match="'onnx::Conv_147': torch folded a BatchNormalization"):
        target_steps(network, (Target("a", "b", 1.0),))
