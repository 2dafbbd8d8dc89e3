"""Training for cost: widths learned with MAC×bit in the loss, against widths that are fixed.

All start from the embedded networks, with fixed widths as `esnsim compress` codes them without
training, and learn what ResNet-20 says of the training images (soft labels, T = 4); widths that are
learned begin at 2 bits everywhere and move for a quarter of the epochs. With --resume points that a
results file has are not made again, and one that was interrupted goes on.
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

from benchmarks.harness import RESULTS as UNTRAINED
from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import CORRECTION, Quick, Runs
from benchmarks.paper.statistics import curve, frontier, percent
from esnsim.compression.compress import compress
from esnsim.compression.compressed import Compressed
from esnsim.compression.recipe import Recipe as CodeRecipe
from esnsim.costs.cost import Cost
from esnsim.graph.model import open_model
from esnsim.images.sets import ImageSet
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import WIDEST, Scheme
from esnsim.training.distillation import soft_labels
from esnsim.training.export import export_proto, load_onnx
from esnsim.training.fit import Companion, Epoch, Recipe, fit
from esnsim.training.inference import correct_statistics
from esnsim.training.learned import LearnedWidths

TEMPERATURE = 4.0
CALIBRATION = 512  # training images, without their labels, over which codes compensate
BEGIN = 2  # bits everywhere, where widths that are learned begin
STARTS = {"resnet20_025x": 4, "resnet20_05x": 8, "resnet20_075x": 12, "resnet20": 16}
SHOWN = 85  # %: networks below are of no use
METRICS = {"esn_d_tilde": "MAC×bit", "esn_d": "ESNd", "esn_a": "ESNa"}
QUICK, EPOCHS = Quick(epochs=2, images=2000), 6


@dataclass(frozen=True, slots=True)
class Way:
    """A point: a start, and how its widths come about.

    "uniform" is the same width everywhere, "allocated" what `esnsim compress` makes of a budget,
    both fixed; "cost" learns widths under the same budget.
    """

    start: str
    kind: str
    aim: float

    @property
    def name(self) -> str:
        return (
            f"{self.kind} {self.aim / 1e6:g}M" if self.aim > WIDEST else f"{self.kind} {self.aim}"
        )


WAYS = (
    Way("resnet20_05x", "cost", 8e6),
    Way("resnet20_05x", "cost", 5e6),
    Way("resnet20_05x", "uniform", 1),
    Way("resnet20_05x", "allocated", 8e6),
    Way("resnet20_05x", "uniform", 2),
    Way("resnet20_05x", "allocated", 12e6),
    Way("resnet20_05x", "cost", 12e6),
    Way("resnet20_025x", "uniform", 2),
    Way("resnet20_025x", "uniform", 3),
    Way("resnet20_025x", "cost", 5e6),
    Way("resnet20", "cost", 8e6),
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
    """Four ways: nearest and compensated codes without training, fixed and learned widths."""
    names = sorted({(p["start"], p["way"].split()[0]) for p in document["points"]})
    return [
        Panel(
            {
                f"{model}, {rounding}": [
                    point for point in percent(frontier(curve(points, metric))) if point[1] > SHOWN
                ]
                for rounding in ("nearest", "compensated")
                for model, points in untrained(rounding).items()
            }
            | {
                f"{start}, trained, {way}": sorted(
                    (p[metric]["macs"], 100 * p["accuracy"])
                    for p in document["points"]
                    if p["start"] == start and p["way"].split()[0] == way
                )
                for start, way in names
            },
            title, "accuracy, %", log="x", marks_only=[f"{s}, trained, {w}" for s, w in names],
        )
        for metric, title in METRICS.items()
    ]  # fmt: skip


def untrained(rounding: str) -> dict[str, list[dict[str, Any]]]:
    """The points that `esnsim pareto` made of each embedded model without training."""
    lines = (UNTRAINED / f"pareto-{rounding}.jsonl").read_text().splitlines()
    found: dict[str, list[dict[str, Any]]] = {}
    for row in map(json.loads, lines):
        if row.get("kind") == "point":
            total = row["total"] | {"accuracy": row["evaluation"]["top1"]}
            total["esn_a"] = {key: value / 4 for key, value in total["esn_a_x4"].items()}
            found.setdefault(row["candidate"]["model"].removeprefix("builtin:"), []).append(total)
    return found


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


def coded(runs: Runs, model: nn.Module, way: Way) -> Compressed:
    """What `esnsim compress` makes of the model without training, compensated."""
    found = runs.train.images[:CALIBRATION]
    images = ImageSet("training", len(found), lambda a, b: found[a:b].astype(np.float32) / 255)
    recipe = CodeRecipe(budget=way.aim)
    if way.kind == "uniform":
        recipe = CodeRecipe(scheme=Scheme(rule="mse", bits=int(way.aim)))
    return compress(
        open_model(export_proto(model, runs.example, free_batch=True)), recipe, calibration=images
    )


def trained(runs: Runs, way: Way, labels: Any, seed: int) -> dict[str, Any]:
    """Accuracy and cost of a way: a quarter of the epochs for widths, if they are learned."""
    o, begun = runs.options, time.process_time()
    model = embedded(runs, way.start)
    learner, about = started(runs, model, way)
    first = max(1, o.epochs // 4) if way.kind == "cost" else 0
    key = f"trained-{way.start}-{way.name}-{seed}-{o.epochs}".replace(" ", "-")
    shared = {"learning_rate": 0.02, "weight_decay": 1e-4, "temperature": TEMPERATURE}
    recipe = Recipe(seed=2 * seed, epochs=first, constant=True, bfloat16=False, **shared)  # type: ignore[arg-type]
    _fit(runs, f"{key}-a", model, labels, recipe, learner)
    learner.settle()
    recipe = Recipe(seed=2 * seed + 1, epochs=o.epochs - first, bfloat16=False, **shared)  # type: ignore[arg-type]
    _fit(runs, f"{key}-b", model, labels, recipe, learner)
    correct_statistics(model, runs.train.images[:CORRECTION])
    onnx.save(learner.export(), o.checkpoints / f"{key}.onnx")
    return {
        "accuracy": runs.accuracy(model),
        **about,
        "processor_seconds": round(time.process_time() - begun),
        **spent(learner.cost()),
    }


def started(runs: Runs, model: nn.Module, way: Way) -> tuple[LearnedWidths, dict[str, Any]]:
    """The learner of a way, and how its fixed widths do before training."""
    if way.kind == "cost":
        return LearnedWidths(model, runs.example, budget=way.aim, bits=BEGIN), {}
    start = coded(runs, model, way)
    codes = quantize(open_model(start.model).network)
    learner = LearnedWidths(model, runs.example, price=0.0, start=codes)
    correct_statistics(model, runs.train.images[:CALIBRATION])
    return learner, {"untrained": {"accuracy": runs.accuracy(model), **spent(start.after)}}


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
