"""Noise injected while training: its ESNa, its gradient, evaluation without it, resumption."""

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esnsim.errors import EsnsimError
from esnsim.training.fit import Recipe, fit
from esnsim.training.layers import weight_of, weighted_layers
from esnsim.training.learned import LearnedWidths
from esnsim.training.noise import InjectedNoise, Noise
from tests.training.test_learned import Tied
from tests.training.tiny import EXAMPLE, images, tiny

RECIPE = Recipe(epochs=4, batch=10, warmup=2, bfloat16=False, learning_rate=0.02)


@given(st.floats(1e-2, 1e4), st.integers(0, 2**32 - 1))
def test_the_noise_of_all_layers_has_the_esn_a_that_was_asked_for(esn_a: float, seed: int) -> None:
    """Uniform noise of step Δ: |W' − W| ≤ Δ/2, and Σ S/N·‖W‖₀/12 with N = ‖W‖₀·Δ²/12 is ESNa."""
    model = tiny(seed % 7)
    InjectedNoise(model, esn_a, seed)
    found = 0.0
    for layer in weighted_layers(model).values():
        weight = weight_of(layer)
        parametrization = layer.parametrizations["weight"][0]
        sn = parametrization.sn
        found += sn * int(weight.count_nonzero()) / 12
        step = (12 * weight.square().sum() / (sn * weight.count_nonzero())).sqrt()
        apart = (layer.weight.detach() - weight).abs().max()
        assert apart <= step / 2 * 1.001 + 1e-5 * weight.abs().max()
    assert found == pytest.approx(esn_a)


def test_noise_has_the_power_of_its_s_n_and_keeps_zeros() -> None:
    weight = torch.randn(64, 500, generator=torch.Generator().manual_seed(1))
    weight[:, ::5] = 0
    noise = Noise(30.0, torch.Generator().manual_seed(0))
    apart = noise(weight) - weight
    assert (weight.square().sum() / apart.square().sum()).item() == pytest.approx(30, rel=0.03)
    assert not apart[:, ::5].any()


def test_gradients_go_straight_to_the_weights_and_evaluation_has_no_noise() -> None:
    weight = torch.randn(3, 5, requires_grad=True)
    wanted = torch.randn(3, 5)
    noise = Noise(2.0, torch.Generator().manual_seed(0))
    (noise(weight) * wanted).sum().backward()
    assert torch.equal(weight.grad, wanted)
    assert torch.equal(noise.eval()(weight), weight)


def test_a_finished_model_is_a_plain_one_with_tied_weights_tied() -> None:
    model = Tied()
    plain = {name: w.clone() for name, w in model.state_dict().items()}
    learner = InjectedNoise(model.train(), 10)
    assert not torch.equal(model.one.weight, plain["one.weight"])
    learner.finish()
    assert model.state_dict().keys() == plain.keys()
    assert all(torch.equal(w, plain[name]) for name, w in model.state_dict().items())


def test_resumed_training_is_uninterrupted_training_bit_for_bit(tmp_path: Path) -> None:
    def run(path: Path, epochs: int) -> dict[str, torch.Tensor]:
        model = tiny()
        noise = InjectedNoise(model, 50)

        def report(epoch: object) -> None:
            if epoch.index + 1 == epochs:  # type: ignore[attr-defined]
                raise InterruptedError

        with suppress(InterruptedError):
            fit(model, *images(), RECIPE, path, report, {"noise": noise})
        return model.state_dict()

    whole = run(tmp_path / "whole", 9)
    run(tmp_path / "part", 3)
    resumed = run(tmp_path / "part", 9)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("esn_a", [0, -1, float("nan"), float("inf")])
def test_an_esn_a_that_is_none_is_refused(esn_a: float) -> None:
    with pytest.raises(EsnsimError, match="give a number above 0"):
        InjectedNoise(tiny(), esn_a)


def test_noise_makes_training_follow_another_path_and_the_seed_gives_it_again() -> None:
    def run(seed: int) -> torch.Tensor:
        model = tiny()
        noise = InjectedNoise(model, 20, seed)
        fit(model, *images(), RECIPE, companions={"noise": noise})
        noise.finish()
        with torch.no_grad():
            return model.eval()(EXAMPLE + 0.5)

    one, same, other = run(1), run(1), run(2)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_layers_that_are_parametrised_already_are_refused() -> None:
    model = tiny()
    InjectedNoise(model, 20)
    with pytest.raises(EsnsimError, match="layer 'conv' is parametrised already: take that away"):
        InjectedNoise(model, 20)
    with pytest.raises(EsnsimError, match="layer 'conv' is parametrised already"):
        LearnedWidths(model, EXAMPLE, price=1)
