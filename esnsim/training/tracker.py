"""ESNTracker: the signal-to-noise ratio of weights during training (Section 2.3 of the paper)."""

from typing import Any

import torch
from torch import Tensor, nn

from esnsim.errors import EsnsimError, ModelError
from esnsim.training import history
from esnsim.training.fit import Companion
from esnsim.training.history import EpochNoise, LayerNoise
from esnsim.training.layers import filters_first, weight_of, weighted_layers

CHECK_EVERY = 100  # steps between checks for NaN where a check waits for an accelerator
NEVER = -1


class ESNTracker(Companion):
    """Eq. 5 of the paper for each weighted layer of a model, epoch by epoch.

        tracker = ESNTracker(model)
        for each epoch:
            for each batch: ...; optimizer.step(); tracker.step()
            print(tracker.epoch().total.esn_a)

    S_j = Σ_i ‖W^{j,i}‖² and N_j = Σ_i ‖W^{j,i} − W^{init,j}‖² over the optimiser steps i of epoch
    j, from a snapshot at its start: the first is taken here, the next by `epoch`. Weights may move
    to another device in between. Two copies of the weights are held, and rewritten in place.
    Raises ModelError for a model without weighted layers.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = weighted_layers(model)
        self._weights: list[Tensor] = [weight_of(m) for m in self._layers.values()]
        self._start = [w.clone() for w in self._weights]
        self._moved = [torch.empty_like(w) for w in self._weights]
        self._steps = 0
        self.history: list[EpochNoise] = []
        self._reset()

    @torch.no_grad()
    def step(self) -> None:
        """Add the weights as they are; call it after each step of the optimiser.

        Raises EsnsimError with layer and step where weights are not finite: at once on the CPU,
        within 100 steps on an accelerator.
        """
        self._follow()
        torch._foreach_copy_(self._moved, self._weights)
        torch._foreach_sub_(self._moved, self._start)
        signal, noise = _squared_norms(self._weights), _squared_norms(self._moved)
        self._signal += signal
        self._noise += noise
        self._steps += 1
        self._iterations += 1
        fresh = ~torch.isfinite(signal) & (self._broken == NEVER)
        self._broken[fresh] = self._steps
        if self._signal.device.type == "cpu" or self._steps % CHECK_EVERY == 0:
            self._check()

    @torch.no_grad()
    def epoch(self) -> EpochNoise:
        """End an epoch: its record, which `history` keeps too; the next snapshot is taken."""
        if not self._iterations:
            raise EsnsimError(
                "an epoch ended without a step: call ESNTracker.step() after optimizer.step()"
            )
        self._check()
        sums = zip(self._signal.tolist(), self._noise.tolist(), strict=True)
        rows = [
            self._row(name, module, *pair)
            for (name, module), pair in zip(self._layers.items(), sums, strict=True)
        ]
        record = EpochNoise(len(self.history) + 1, self._iterations, tuple(rows))
        self.history.append(record)
        torch._foreach_copy_(self._start, self._weights)
        self._reset()
        return record

    def to_json(self) -> str:
        """All epochs so far, schema `esnsim.training/1` (docs/training.md)."""
        return history.as_json(self.history)

    def to_csv(self) -> str:
        """All epochs so far, a row for each layer of each epoch."""
        return history.as_csv(self.history)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to hold to go on, in the middle of an epoch too."""
        return {
            "layers": {n: list(w.shape) for n, w in zip(self._layers, self._weights, strict=True)},
            "start": [w.clone() for w in self._start],
            "signal": self._signal.clone(),
            "noise": self._noise.clone(),
            "iterations": self._iterations,
            "steps": self._steps,
            "history": history.document(self.history),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called; load the model's own checkpoint first.

        Raises ModelError for the state of another model.
        """
        mine = {n: list(w.shape) for n, w in zip(self._layers, self._weights, strict=True)}
        if state["layers"] != mine:
            raise ModelError(
                f"the checkpoint is of another model: it has {len(state['layers'])} weighted "
                f"layers, of which {sum(mine.get(n) == s for n, s in state['layers'].items())} "
                f"have the name and shape of one of this model's {len(mine)}; "
                "build the model that was trained"
            )
        self._reset()
        torch._foreach_copy_(self._start, [w.to(self._signal.device) for w in state["start"]])
        self._signal.copy_(state["signal"])
        self._noise.copy_(state["noise"])
        self._iterations, self._steps = state["iterations"], state["steps"]
        self.history = history.read(state["history"])

    def _reset(self) -> None:
        device = self._weights[0].device
        self._signal = torch.zeros(len(self._weights), dtype=torch.float64, device=device)
        self._noise = torch.zeros_like(self._signal)
        self._broken = torch.full_like(self._signal, NEVER, dtype=torch.int64)
        self._iterations = 0

    def _follow(self) -> None:
        """Move the snapshot to where the weights are: `model.to` moves them in place."""
        self._weights = [weight_of(m) for m in self._layers.values()]
        device = self._weights[0].device
        if self._signal.device != device:
            self._start = [w.to(device) for w in self._start]
            self._moved = [w.to(device) for w in self._moved]
            for name in ("_signal", "_noise", "_broken"):
                setattr(self, name, getattr(self, name).to(device))

    def _check(self) -> None:
        for name, step in zip(self._layers, self._broken.tolist(), strict=True):
            if step != NEVER:
                raise EsnsimError(
                    f"the weights of layer '{name}' are not finite after step {step} "
                    f"(epoch {len(self.history) + 1}): lower the learning rate or clip gradients"
                )

    def _row(self, name: str, module: nn.Module, signal: float, noise: float) -> LayerNoise:
        largest = filters_first(module).abs().amax(1)
        nonzero = int(weight_of(module).count_nonzero())
        step = history.implied_step(noise, self._iterations, nonzero)
        pruned = int((largest < step / 2).sum())
        return LayerNoise.of(name, signal, noise, nonzero, len(largest), pruned, self._iterations)


def _squared_norms(tensors: list[Tensor]) -> Tensor:
    """‖W‖² of each, (L,) float64."""
    return torch.stack([n.double() for n in torch._foreach_norm(tensors)]).square()
