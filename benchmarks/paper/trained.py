"""Training for cost: widths learned with MAC×bit in the loss, against the same width everywhere.

Both start from the embedded networks and learn what ResNet-20 says of the training images (soft
labels, T = 4); both are whole widths for the last two thirds of the epochs. With --resume points
that a results file has are not made again, and one that was interrupted goes on.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, Runs
from esnsim.costs.cost import Cost
from esnsim.training.distillation import soft_labels
from esnsim.training.export import load_onnx
from esnsim.training.fit import Companion, Epoch, Recipe, fit
from esnsim.training.learned import LearnedWidths

TEMPERATURE = 4.0
STARTS = {"resnet20_025x": 4, "resnet20_05x": 8, "resnet20_075x": 12, "resnet20": 16}
METRICS = {"esn_d_tilde": "MAC×bit", "esn_d": "ESNd", "esn_a": "ESNa"}
QUICK, EPOCHS = Quick(epochs=2, images=2000), 6


@dataclass(frozen=True, slots=True)
class Way:
    """A point: its start, and its width everywhere, or a budget of widths that are learned."""

    start: str
    bits: int
    budget: float | None = None

    @property
    def name(self) -> str:
        return f"uniform {self.bits}" if self.budget is None else f"cost {self.budget / 1e6:g}M"


WAYS = (
    Way("resnet20_05x", 2, 8e6),
    Way("resnet20_05x", 2, 5e6),
    Way("resnet20_05x", 1),
    Way("resnet20_05x", 2),
    Way("resnet20_025x", 2),
    Way("resnet20_025x", 3),
    Way("resnet20", 2, 8e6),
    Way("resnet20_05x", 2, 12e6),
    Way("resnet20_025x", 3, 5e6),
)


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    path: Path = o.output / f"trained{'-quick' if o.quick else ''}.json"
    kept = json.loads(path.read_text())["points"] if o.resume and path.exists() else []
    labels = taught(runs)
    for seed in o.seeds:
        for way in WAYS:
            about = {"start": way.start, "way": way.name, "seed": seed, "epochs": o.epochs}
            chosen = way.start in (o.models or [way.start]) and way.name in (o.ways or [way.name])
            if chosen and not any(about.items() <= point.items() for point in kept):
                kept.append(about | trained(runs, way, labels, seed))
                yield {"temperature": TEMPERATURE, "points": kept}


def draw(document: Mapping[str, Any]) -> list[Panel]:
    names = sorted({(p["start"], p["way"].split()[0]) for p in document["points"]})
    return [
        Panel(
            {
                f"{start}, {way}": sorted(
                    (p[metric]["macs"], 100 * p["accuracy"])
                    for p in document["points"]
                    if p["start"] == start and p["way"].split()[0] == way
                )
                for start, way in names
            },
            title, "accuracy, %", log="x",
        )
        for metric, title in METRICS.items()
    ]  # fmt: skip


def embedded(runs: Runs, name: str) -> nn.Module:
    """The embedded network of a name."""
    model = runs.build("resnet20", width=STARTS[name])
    load_onnx(model, f"builtin:{name}")
    return model


def taught(runs: Runs) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """What the embedded ResNet-20 says of the training images, kept beside the checkpoints."""
    path: Path = runs.options.checkpoints / f"taught-{len(runs.train.images)}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        teacher = embedded(runs, "resnet20").to(memory_format=torch.channels_last)
        np.save(path, soft_labels(teacher, runs.train.images, TEMPERATURE))
    labels: np.ndarray[Any, np.dtype[np.float32]] = np.load(path)
    return labels


def trained(runs: Runs, way: Way, labels: Any, seed: int) -> dict[str, Any]:
    """Accuracy and cost of a way: a third of the epochs for widths, if they are learned."""
    o, begun = runs.options, time.process_time()
    model = embedded(runs, way.start)
    price = 0.0 if way.budget is None else None
    learner = LearnedWidths(model, runs.example, bits=way.bits, budget=way.budget, price=price)
    first = 0 if way.budget is None else max(1, o.epochs // 3)
    key = f"trained-{way.start}-{way.name}-{seed}-{o.epochs}".replace(" ", "-")
    shared = {"learning_rate": 0.02, "weight_decay": 1e-4, "bfloat16": False}
    recipe = Recipe(seed=2 * seed, epochs=first, constant=True, temperature=TEMPERATURE, **shared)  # type: ignore[arg-type]
    _fit(runs, f"{key}-a", model, labels, recipe, learner)
    learner.settle()
    recipe = Recipe(seed=2 * seed + 1, epochs=o.epochs - first, temperature=TEMPERATURE, **shared)  # type: ignore[arg-type]
    _fit(runs, f"{key}-b", model, labels, recipe, learner)
    file = o.checkpoints / f"{key}.onnx"
    onnx.save(learner.export(), file)
    seconds = round(time.process_time() - begun)
    return {"accuracy": runs.accuracy(model), "processor_seconds": seconds, **spent(learner.cost())}


def _fit(
    runs: Runs, key: str, model: nn.Module, labels: Any, recipe: Recipe, learner: LearnedWidths
) -> None:
    path = runs.options.checkpoints / f"{key}.pt"
    if not runs.options.resume:
        path.unlink(missing_ok=True)

    def report(epoch: Epoch) -> None:
        cost, seconds = learner.mac_bits().item(), time.process_time()
        print(f"{key} {epoch} MAC×bit {cost:.4g} {seconds:.0f} s", flush=True)

    companions: dict[str, Companion] = {"widths": learner}
    fit(model, runs.train.images, labels, recipe, path, report, companions)


def spent(cost: Cost) -> dict[str, Any]:
    total = cost.total
    return {
        "esn_a": {key: value / 4 for key, value in asdict(total.esn_a_x4).items()},
        "esn_d": asdict(total.esn_d),
        "esn_d_tilde": asdict(total.esn_d_tilde),
        "histogram": {str(bits): count for bits, count in cost.histogram.items()},
    }
