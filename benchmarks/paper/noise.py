"""Figure 3's factor: what noise of training costs, against independent noise of the same energy.

At a constant learning rate weights wander about their mean of an epoch. Is the loss there higher
than at the mean plus independent noise, layer by layer of the same energy? If so, by how much more
energy, which is how much less ESNa, does independent noise cost as much? Statistics of
BatchNormalization are corrected for each.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import CORRECTION, Quick, Runs
from benchmarks.paper.statistics import spread
from esnsim.training.fit import Companion, pixels
from esnsim.training.inference import correct_statistics
from esnsim.training.layers import weight_of, weighted_layers

ENERGIES = tuple(4.0**k for k in range(6))  # of independent noise, times that of training
RATES = (0.1,)
QUICK, EPOCHS = Quick(epochs=3, images=5000), 6


class Mean(Companion):
    """The mean of the weights over the steps of the last epoch."""

    def __init__(self, model: nn.Module) -> None:
        self._layers = weighted_layers(model)
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self.weights: dict[str, Tensor] = {}

    def step(self) -> None:
        self._steps += 1
        for name, module in self._layers.items():
            weight = weight_of(module).double()
            self._sums[name] = self._sums.get(name, torch.zeros_like(weight)) + weight

    def epoch(self) -> None:
        self.weights = {name: (x / self._steps).float() for name, x in self._sums.items()}
        self._sums, self._steps = {}, 0

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights = dict(state["weights"])


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    (name,) = o.models or ["resnet8"]
    rows = [wandering(runs, name, rate, seed) for rate in RATES for seed in o.seeds]
    factors = {
        f"independent noise of as high a loss, learning rate {rate}: times the energy": spread(
            [row["factor"] for row in rows if row["rate"] == rate]
        )
        for rate in RATES
    }
    yield {"model": name, "statements": factors, "rows": rows}


def draw(document: Mapping[str, Any]) -> list[Panel]:
    return [
        Panel(
            {
                f"seed {row['seed']}": list(zip(ENERGIES, row["independent"], strict=True))
                for row in document["rows"]
                if row["rate"] == rate
            }
            | {
                f"training, seed {row['seed']}": [(1.0, row["trained"])]
                for row in document["rows"]
                if row["rate"] == rate
            },
            f"energy of independent noise, learning rate {rate}", "loss on test images", log="xy",
        )
        for rate in RATES
    ]  # fmt: skip


def wandering(runs: Runs, name: str, rate: float, seed: int) -> dict[str, Any]:
    """Loss at the mean of an epoch, where training is at its end, and under independent noise."""
    model = runs.pretrained(name, seed)
    mean = Mean(model)
    recipe = runs.recipe(seed=seed, learning_rate=rate, constant=True, warmup=0)
    runs.fit(f"noise-{name}-{rate}", model, recipe, mean=mean)
    last = {n: weight_of(m).clone() for n, m in weighted_layers(model).items()}
    away = {n: float((last[n] - mean.weights[n]).norm()) for n in last}
    generator = torch.Generator().manual_seed(seed)

    def noisy(energy: float) -> float:
        each = {}
        for layer, weight in mean.weights.items():
            noise = torch.randn(weight.shape, generator=generator)
            each[layer] = weight + noise * (away[layer] * energy**0.5 / float(noise.norm()))
        return loss(runs, model, each)

    independent = [noisy(energy) for energy in ENERGIES]
    trained = loss(runs, model, last)
    above = [e for e, value in zip(ENERGIES, independent, strict=True) if value >= trained]
    return {
        "rate": rate, "seed": seed, "mean": loss(runs, model, mean.weights), "trained": trained,
        "independent": independent, "factor": min(above, default=None),
    }  # fmt: skip


def loss(runs: Runs, model: nn.Module, weights: Mapping[str, Tensor]) -> float:
    """Cross-entropy on the test images under some weights, statistics corrected."""
    copied = copy.deepcopy(model)
    for name, module in weighted_layers(copied).items():
        weight_of(module).copy_(weights[name])
    correct_statistics(copied, runs.train.images[:CORRECTION])
    total = 0.0
    with torch.inference_mode():
        for first in range(0, len(runs.test.images), 500):
            part = slice(first, first + 500)
            scores = copied(pixels(runs.test.images[part], "cpu"))
            wanted = torch.from_numpy(runs.test.labels[part])
            total += float(nn.functional.cross_entropy(scores, wanted, reduction="sum"))
    return total / len(runs.test.images)
