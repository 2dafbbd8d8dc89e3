"""Structured pruning with ADMM regularisation (Wang et al. 2019, arXiv:1907.02124)."""

from typing import Any

import torch
from torch import Tensor, nn

from esnsim.training.export import from_torch
from esnsim.training.fit import Companion
from esnsim.training.layers import weighted_layers
from esnsim.training.masks import Masks, masks, norms, squared_norms
from esnsim.training.units import Alive, units


class Admm(Companion):
    """Draws weights towards those with a share `keep` of the filters, as a companion of `fit`.

    Minimises f(W) + ρ/2·‖W − Z + U‖² with Z = Π(W + U), U ← U + W − Z after each epoch: Π keeps
    the filters of largest norm, those whose outputs are added together. ρ grows by `growth` an
    epoch. `finish` prunes, and gives the masks for fine-tuning. `example` is an input (N, C, …).
    """

    def __init__(
        self, model: nn.Module, example: Tensor, keep: float, rho: float = 0.01, growth: float = 2
    ) -> None:
        self.model, self.example, self.keep = model, example, keep
        self.rho, self.growth = rho, growth
        self._units = units(from_torch(model, example))
        layers = weighted_layers(model)
        self._weights = {n: layers[n.removesuffix(".weight")].weight for n in self._units.of}
        self._dual = {n: torch.zeros_like(w.detach()) for n, w in self._weights.items()}
        self._target = self._project()

    @torch.no_grad()
    def after_backward(self) -> None:
        """Add the gradient of the penalty, ρ·(W − Z + U)."""
        for name, weight in self._weights.items():
            weight.grad += self.rho * (weight - self._target[name] + self._dual[name])

    @torch.no_grad()
    def epoch(self) -> None:
        """Project, update the dual, raise ρ."""
        self._target = self._project()
        for name, weight in self._weights.items():
            self._dual[name] += weight - self._target[name]
        self.rho *= self.growth

    def finish(self) -> Masks:
        """Zero all but the share of filters with the largest norm; the masks that hold them so."""
        found = masks(self.model, self.example, self._units.alive(norms(self.model), self.keep))
        found.step()
        return found

    @property
    def residual(self) -> float:
        """‖W − Π(W)‖ / ‖W‖ over the layers: how far the weights are from the constraint."""
        alive = self._units.alive(norms(self.model), self.keep)
        away = sum(float((w - z).square().sum()) for w, z in self._pairs(alive))
        return float((away / sum(float(w.square().sum()) for w, _ in self._pairs(alive))) ** 0.5)

    def state_dict(self) -> dict[str, Any]:
        """Z, U and ρ."""
        return {"target": self._target, "dual": self._dual, "rho": self.rho}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        for mine, theirs in ((self._target, state["target"]), (self._dual, state["dual"])):
            for name, tensor in mine.items():
                tensor.copy_(theirs[name])
        self.rho = state["rho"]

    @torch.no_grad()
    def _project(self) -> dict[str, Tensor]:
        """Π(W + U)."""
        moved = {n: w + self._dual[n] for n, w in self._weights.items()}
        alive = self._units.alive({n: squared_norms(w) for n, w in moved.items()}, self.keep)
        return {n: w * _rows(alive, n, w) for n, w in moved.items()}

    def _pairs(self, alive: Alive) -> list[tuple[Tensor, Tensor]]:
        found = [(n, w.detach()) for n, w in self._weights.items()]
        return [(w, w * _rows(alive, n, w)) for n, w in found]


def _rows(alive: Alive, name: str, weight: Tensor) -> Tensor:
    rows = torch.from_numpy(alive[name]).to(weight.device)
    return rows.reshape(-1, *[1] * (weight.dim() - 1))
