"""Noise of a given ESNa on the weights while they train: robust to quantisation by design."""

from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from esnsim.errors import UsageError
from esnsim.training.fit import Companion
from esnsim.training.layers import plain_layers, sharing


class Noise(nn.Module):
    """The parametrisation of a weight: in training it plus uniform noise of one step Δ."""

    def __init__(self, sn: float, generator: torch.Generator) -> None:
        super().__init__()
        self.sn, self.generator = sn, generator

    def forward(self, weight: Tensor) -> Tensor:
        """W + U(−Δ/2, Δ/2) of the weights that are not 0, with ‖W‖² over the noise's S/N."""
        if not self.training:
            return weight
        kept = weight.detach() != 0
        step = (12 * weight.detach().square().sum() / (self.sn * kept.sum().clamp(min=1))).sqrt()
        uniform = torch.rand(weight.shape, generator=self.generator).to(weight) - 0.5
        return weight + step * uniform * kept


class InjectedNoise(Companion):
    """Noise as quantisation to a given ESNa would make it, drawn anew in each forward pass.

    Each layer has the same S/N, 12·ESNa/‖W‖₀ of the whole model (Eq. 4 of the paper, by weights),
    so that Δ follows the norm of a layer's weights (Section 2.5; Baskin et al. 2018,
    arXiv:1804.10969). Gradients go straight to the weights; in evaluation mode there is no noise.
    As a companion of `fit` it resumes bit for bit. `finish()` takes the noise away.

    Raises UsageError for an ESNa that is not above 0, ModelError for a model without
    weights, or with parametrised ones.
    """

    def __init__(self, model: nn.Module, esn_a: float, seed: int = 0) -> None:
        if not (isfinite(esn_a) and esn_a > 0):
            raise UsageError(f"an ESNa of {esn_a}: give a number above 0")
        self._generator = torch.Generator().manual_seed(seed)
        layers = list(plain_layers(model).values())
        nonzero = sum(int(layer.weight.count_nonzero()) for layer in layers)
        noise = Noise(12 * esn_a / max(1, nonzero), self._generator)
        self._noisy = [same for layer in layers for same in sharing(model, layer)]
        for layer in self._noisy:
            parametrize.register_parametrization(layer, "weight", noise)

    def finish(self) -> None:
        """Take the noise away: the model is a plain one again, with the weights it has."""
        noise = self._noisy[0].parametrizations["weight"][0]  # type: ignore[index]
        noise.eval()
        for layer in self._noisy:
            parametrize.remove_parametrizations(layer, "weight")

    def state_dict(self) -> dict[str, Any]:
        """Where its random numbers are."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self._generator.set_state(state["generator"])
