"""Training for cost: widths learned with MAC×bit in the loss, against widths that are fixed.

All start from the embedded networks, with fixed widths as `esnsim compress` codes them without
training, and learn what ResNet-20 says of the training images (soft labels, T = 4); widths that are
learned begin at 2 bits everywhere and move for a quarter of the epochs. "noise" trains without
codes, under noise of the ESNa that codes of the budget have, and codes the weights afterwards. With
--resume points that a results file has are not made again, and one that was interrupted goes on.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from benchmarks.harness import RESULTS as UNTRAINED
from benchmarks.paper.depthwise import depthwise
from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import CORRECTION, Quick, Runs
from benchmarks.paper.statistics import frontier, percent
from esnsim.compression.compress import compress
from esnsim.compression.compressed import Compressed
from esnsim.compression.recipe import Recipe as CodeRecipe
from esnsim.costs.cost import Cost
from esnsim.graph.model import open_model
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import WIDEST, Scheme
from esnsim.training.distillation import soft_labels
from esnsim.training.export import export_proto, load_onnx
from esnsim.training.fit import Companion, Epoch, Recipe, fit
from esnsim.training.inference import correct_statistics
from esnsim.training.learned import LearnedWidths
from esnsim.training.noise import InjectedNoise

TEMPERATURE = 4.0
CALIBRATION = 512  # training images, without their labels, over which codes compensate
BEGIN = 2  # bits everywhere, where widths that are learned begin
STARTS = {"resnet20_025x": 4, "resnet20_05x": 8, "resnet20_075x": 12, "resnet20": 16}
DEPTHWISE = "depthwise"  # trained here before
SHOWN = 85  # %: networks below are of no use
METRICS: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "MAC×bit (BOPs: times the bits of activations)": lambda total: total["esn_d_tilde"]["macs"],
    "ESNd": lambda total: total["esn_d"]["macs"],
    "ESNa": lambda total: total["esn_a"]["macs"],
    "bytes of weights": lambda total: total["esn_d_tilde"]["weights"] / 8,
}
SHARED: Mapping[str, Any] = {
    "learning_rate": 0.02, "weight_decay": 1e-4, "temperature": TEMPERATURE
}  # fmt: skip
QUICK, EPOCHS = Quick(epochs=2, images=2000), 6


@dataclass(frozen=True, slots=True)
class Way:
    """A point: a start, and how its widths come about.

    "uniform" is the same width everywhere, "allocated" what `esnsim compress` makes of a budget,
    both fixed; "cost" learns widths under the same budget; "noise" is that of codes of the budget.
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
    Way("resnet20_075x", "cost", 8e6),
    Way("resnet20", "cost", 8e6),
    Way("resnet20_05x", "noise", 8e6),
    Way(DEPTHWISE, "uniform", 2),
    Way(DEPTHWISE, "cost", 5e6),
)


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    path: Path = o.output / f"trained{'-quick' if o.quick else ''}.json"
    kept = json.loads(path.read_text())["points"] if o.resume and path.exists() else []
    labels = taught(runs)
    for seed in o.seeds:
        for way in WAYS:
            about = {"start": way.start, "way": way.name, "seed": seed, "epochs": o.epochs}
            about |= {"images": o.images} if o.images else {}
            chosen = way.start in (o.models or [way.start]) and way.name in (o.ways or [way.name])
            if chosen and not any(about.items() <= point.items() for point in kept):
                kept.append(about | trained(runs, way, labels, seed))
                yield {"temperature": TEMPERATURE, "points": kept}


def draw(document: Mapping[str, Any]) -> list[Panel]:
    """Four ways: nearest and compensated codes without training, fixed and learned widths."""
    points = [p for p in document["points"] if "images" not in p]  # of all training images
    names = sorted({(p["start"], p["way"].split()[0]) for p in points})
    return [
        Panel(
            {
                f"{model}, {rounding}": [
                    point
                    for point in percent(frontier([(spent(p), p["accuracy"]) for p in each]))
                    if point[1] > SHOWN
                ]
                for rounding in ("nearest", "compensated")
                for model, each in untrained(rounding).items()
            }
            | {
                f"{start}, trained, {way}": sorted(
                    (spent(p), 100 * p["accuracy"])
                    for p in points
                    if p["start"] == start and p["way"].split()[0] == way
                )
                for start, way in names
            },
            title, "accuracy, %", log="x", marks_only=[f"{s}, trained, {w}" for s, w in names],
        )
        for title, spent in METRICS.items()
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


def begun(runs: Runs, name: str) -> nn.Module:
    """The network to start with: an embedded one, or the depthwise one as it was trained here."""
    if name == DEPTHWISE:
        return trained_in_float(runs)
    model = runs.build("resnet20", width=STARTS[name])
    load_onnx(model, f"builtin:{name}")
    return model


def trained_in_float(runs: Runs) -> nn.Module:
    """The depthwise network after as many epochs of soft labels as points get."""
    o = runs.options
    torch.manual_seed(o.seed)
    model = depthwise(runs.channels, runs.train.classes)
    recipe = Recipe(
        seed=o.seed, epochs=o.epochs, bfloat16=False, **{**SHARED, "learning_rate": 0.1}
    )
    _fit(
        runs,
        f"{DEPTHWISE}-{o.epochs}-{len(runs.train.images)}",
        model,
        taught(runs),
        recipe,
        Companion(),
    )
    return model


def taught(runs: Runs) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """What the embedded ResNet-20 says of the training images, kept beside the checkpoints."""
    path: Path = runs.options.checkpoints / f"taught-{len(runs.train.images)}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        teacher = begun(runs, "resnet20").to(memory_format=torch.channels_last)
        np.save(path, soft_labels(teacher, runs.train.images, TEMPERATURE))
    labels: np.ndarray[Any, np.dtype[np.float32]] = np.load(path)
    return labels


def coded(runs: Runs, model: nn.Module, way: Way) -> Compressed:
    """What `esnsim compress` makes of the model without training, compensated."""
    recipe = CodeRecipe(budget=way.aim)
    if way.kind == "uniform":
        recipe = CodeRecipe(scheme=Scheme(rule="mse", bits=int(way.aim)))
    return compress(
        open_model(export_proto(model, runs.example, free_batch=True)), recipe,
        calibration=runs.images(runs.train.first(CALIBRATION)),
    )  # fmt: skip


def trained(runs: Runs, way: Way, labels: Any, seed: int) -> dict[str, Any]:
    """Accuracy and cost of a way, and the seconds that it took a processor."""
    o, before = runs.options, time.process_time()
    model = begun(runs, way.start)
    key = f"trained-{way.start}-{way.name}-{seed}-{o.epochs}".replace(" ", "-")
    make = under_noise if way.kind == "noise" else with_widths
    found = make(runs, way, model, labels, seed, key)
    return {**found, "processor_seconds": round(time.process_time() - before)}


def with_widths(
    runs: Runs, way: Way, model: nn.Module, labels: Any, seed: int, key: str
) -> dict[str, Any]:
    """Codes are trained: a quarter of the epochs for widths, if they are learned."""
    o = runs.options
    learner, about = started(runs, model, way)
    first = max(1, o.epochs // 4) if way.kind == "cost" else 0
    recipe = Recipe(seed=2 * seed, epochs=first, constant=True, bfloat16=False, **SHARED)
    _fit(runs, f"{key}-a", model, labels, recipe, learner)
    learner.settle()
    recipe = Recipe(seed=2 * seed + 1, epochs=o.epochs - first, bfloat16=False, **SHARED)
    _fit(runs, f"{key}-b", model, labels, recipe, learner)
    correct_statistics(model, runs.train.images[:CORRECTION])
    onnx.save(learner.export(), o.checkpoints / f"{key}.onnx")
    return {"accuracy": runs.accuracy(model), **about, **prices(learner.cost())}


def under_noise(
    runs: Runs, way: Way, model: nn.Module, labels: Any, seed: int, key: str
) -> dict[str, Any]:
    """Weights are trained under the noise of codes of the budget, then coded."""
    esn_a = coded(runs, model, way).after.total.esn_a_x4.weights / 4
    noise = InjectedNoise(model, esn_a, seed)
    recipe = Recipe(seed=2 * seed, epochs=runs.options.epochs, bfloat16=False, **SHARED)
    _fit(runs, key, model, labels, recipe, noise)
    noise.finish()
    correct_statistics(model, runs.train.images[:CORRECTION])
    floats = runs.accuracy(model)
    _, about = started(runs, model, way)
    return {"float": floats, "noise_esn_a": esn_a, **about["untrained"]}


def started(runs: Runs, model: nn.Module, way: Way) -> tuple[LearnedWidths, dict[str, Any]]:
    """The learner of a way, and how its fixed widths do before training."""
    if way.kind == "cost":
        return LearnedWidths(model, runs.example, budget=way.aim, bits=BEGIN), {}
    start = coded(runs, model, way)
    codes = quantize(open_model(start.model).network)
    learner = LearnedWidths(model, runs.example, price=0.0, start=codes)
    correct_statistics(model, runs.train.images[:CALIBRATION])
    return learner, {"untrained": {"accuracy": runs.accuracy(model), **prices(start.after)}}


def _fit(
    runs: Runs, key: str, model: nn.Module, labels: Any, recipe: Recipe, along: Companion
) -> None:
    path = runs.options.checkpoints / f"{key}.pt"
    if not runs.options.resume:
        path.unlink(missing_ok=True)

    def report(epoch: Epoch) -> None:
        print(f"{key} {epoch} {time.process_time():.0f} s", flush=True)

    fit(model, runs.train.images, labels, recipe, path, report, {"widths": along})


def prices(cost: Cost) -> dict[str, Any]:
    total = cost.total
    return {
        "esn_a": {key: value / 4 for key, value in asdict(total.esn_a_x4).items()},
        "esn_d": asdict(total.esn_d),
        "esn_d_tilde": asdict(total.esn_d_tilde),
        "histogram": {str(bits): count for bits, count in cost.histogram.items()},
    }
