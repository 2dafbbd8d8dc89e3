"""What every figure shares: options, data, training with checkpoints, quantised points."""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.harness import versions, write
from benchmarks.paper.plots import Bars, Panel, panels
from esnsim.costs.cost import Cost, cost
from esnsim.images.sets import ImageSet as Fed
from esnsim.model.network import Network
from esnsim.quantization.quantizer import QuantizedNetwork, quantize
from esnsim.quantization.scheme import Scheme
from esnsim.training.catalog import entry
from esnsim.training.data import ImageSet, read_images
from esnsim.training.export import from_torch, load_onnx
from esnsim.training.fit import Companion, Epoch, Recipe, accuracy, fit, load_weights
from esnsim.training.inference import correct_statistics, load_quantized
from esnsim.training.tracker import ESNTracker

RESULTS = Path(__file__).parent / "results"
Draw = Callable[[Mapping[str, Any]], Sequence[Panel | Bars]]
BUILTIN = Path("builtin")
CORRECTION = 1000  # unlabelled images for the statistics of BatchNormalization


@dataclass(frozen=True, slots=True)
class Quick:
    """What `--quick` sets where no option says otherwise."""

    epochs: int
    images: int
    test_images: int = 2000


class Validation(Companion):
    """Accuracy on the test images after each epoch, and the training loss."""

    def __init__(self, model: nn.Module, test: ImageSet, device: str) -> None:
        self.model, self.test, self.device = model, test, device
        self.accuracies: list[float] = []
        self.losses: list[float] = []

    def epoch(self) -> None:
        test = self.test
        self.accuracies.append(accuracy(self.model, test.images, test.labels, self.device))

    def state_dict(self) -> dict[str, Any]:
        return {"accuracies": self.accuracies, "losses": self.losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.accuracies, self.losses = list(state["accuracies"]), list(state["losses"])


@dataclass(slots=True)
class Runs:
    """The data and options of one figure."""

    options: argparse.Namespace
    train: ImageSet
    test: ImageSet
    started: float = field(default_factory=time.monotonic)

    @property
    def channels(self) -> int:
        return int(self.train.images.shape[1])

    def build(self, name: str, seed: int | None = None, **changes: Any) -> nn.Module:
        """A network of the catalogue for this data, seeded."""
        torch.manual_seed(self.options.seed if seed is None else seed)
        fitted: dict[str, Any] = {"channels": self.channels, "classes": self.train.classes}
        if name.startswith("vgg"):
            fitted["size"] = self.train.images.shape[2]
        network: nn.Module = entry(name).build(**fitted, **changes)
        return network.to(self.options.device)

    def recipe(self, **changes: Any) -> Recipe:
        """The options as a recipe; warm-up is a tenth of the run, at most 200 steps."""
        steps = self.options.epochs * len(self.train.images) // 125
        base = Recipe(
            epochs=self.options.epochs, warmup=min(200, steps // 10), seed=self.options.seed,
            bfloat16=self.options.device == "cpu", device=self.options.device,
        )  # fmt: skip
        return replace(base, **changes)

    def fit(self, key: str, model: nn.Module, recipe: Recipe, **companions: Companion) -> nn.Module:
        """Train to the end; goes on at the last finished epoch of the checkpoint named `key`."""
        folder: Path = self.options.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{key}-e{recipe.epochs}-n{len(self.train.images)}-s{recipe.seed}.pt"
        if not self.options.resume:
            path.unlink(missing_ok=True)

        def report(epoch: Epoch) -> None:
            for companion in companions.values():
                if isinstance(companion, Validation):
                    companion.losses.append(epoch.loss)
            told = f"{key} {epoch.index + 1}/{recipe.epochs} loss {epoch.loss:.4f}"
            print(f"{told} after {time.monotonic() - self.started:.0f} s", flush=True)

        images, labels = self.train.images, self.train.labels
        recipe = replace(recipe, batch=min(recipe.batch, len(images)))
        fit(model, images, labels, recipe, path, report, companions)
        return model

    def pretrained(self, name: str, seed: int) -> nn.Module:
        """A trained network: the embedded one or a file, by --start, else trained here."""
        model, start = self.build(name, seed), self.options.start
        if start is None:
            return self.fit(f"base-{name}", model, self.recipe(seed=seed))
        if start == BUILTIN:
            load_onnx(model, f"builtin:{name}")
        else:
            load_weights(start / f"{name}.pt", model)
        return model

    def tracked(self, key: str, model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
        """Train with ESNa and test accuracy of each epoch."""
        tracker = ESNTracker(model)
        validation = Validation(model, self.test, self.options.device)
        self.fit(key, model, recipe, tracker=tracker, validation=validation)
        return [
            {
                "epoch": noise.epoch, "loss": loss, "accuracy": top1, "esn_a": noise.total.esn_a,
                "pruned_filters": noise.total.pruned_filters,
                "esn_a_per_layer": [row.esn_a for row in noise.layers],
            }
            for noise, top1, loss in zip(
                tracker.history, validation.accuracies, validation.losses, strict=True
            )
        ]  # fmt: skip

    def accuracy(self, model: nn.Module) -> float:
        return accuracy(model, self.test.images, self.test.labels, self.options.device)

    @property
    def example(self) -> Tensor:
        """An input of the shape of the images, batch 1."""
        shape = (1, *self.train.images.shape[1:])
        return torch.zeros(shape, device=self.options.device)

    @staticmethod
    def images(found: ImageSet) -> Fed:
        """Images and labels as `esnsim compress` takes them."""
        labels = np.asarray(found.labels, np.int64)
        return Fed(
            "images", len(found.images), lambda a, b: found.images[a:b].astype(np.float32) / 255,
            labels,
        )  # fmt: skip

    def network(self, model: nn.Module) -> Network:
        """The model as esnsim reads it."""
        return from_torch(model, self.example)

    def costs(self, model: nn.Module, schemes: Iterable[Scheme]) -> list[Cost]:
        """The cost of the model under each scheme."""
        network = self.network(model)
        return [cost(quantize(network, scheme)) for scheme in schemes]

    def points(
        self, model: nn.Module, schemes: Iterable[Scheme], correct: bool = False
    ) -> list[dict[str, Any]]:
        """Cost and accuracy of the model under each scheme, with statistics corrected or not."""
        network = self.network(model)
        found = []
        for scheme in schemes:
            quantized = quantize(network, scheme)
            loaded = load_quantized(model, quantized)
            if correct:
                images = self.train.images[:CORRECTION]
                correct_statistics(loaded, images, self.options.device)
            found.append(self._point(quantized, self.accuracy(loaded)))
        return found

    @staticmethod
    def _point(quantized: QuantizedNetwork, top1: float) -> dict[str, Any]:
        total, scheme = (result := cost(quantized)).total, quantized.scheme
        return {
            "rule": scheme.resolved_rule,
            "bits": scheme.nominal_bits,
            "alpha": scheme.alpha if scheme.resolved_rule == "filter-sigma" else None,
            "accuracy": top1,
            "esn_a": {key: value / 4 for key, value in asdict(total.esn_a_x4).items()},
            "esn_d": asdict(total.esn_d),
            "esn_d_tilde": asdict(total.esn_d_tilde),
            "esn_a_per_layer": [row.metrics.esn_a_x4.weights / 4 for row in result.layers],
            "histogram": {str(bits): count for bits, count in result.histogram.items()},
        }

    def save(self, figure: str, results: Mapping[str, Any], draw: Draw) -> None:
        """Write the results beside how they were made, and their picture."""
        o = self.options
        path: Path = o.output / f"{figure}{'-quick' if o.quick else ''}"
        document = {
            "schema": "esnsim.paper/1",
            "figure": figure,
            "quick": o.quick,
            "options": {
                "epochs": o.epochs, "images": len(self.train.images), "seeds": o.seeds,
                "test_images": len(self.test.images), "device": o.device,
                "pretrained": o.start is not None,
            },
            "seconds": round(time.monotonic() - self.started),
            "versions": versions(("esnsim", "torch")),
            **results,
        }  # fmt: skip
        write(path.with_suffix(".json"), document)
        print(json.dumps(results.get("statements", {}), indent=1), flush=True)
        panels(path, *draw(document))


def widths(rule: str, bits: Iterable[int] = range(8, 0, -1)) -> list[Scheme]:
    """A step rule at each width."""
    return [Scheme(rule=rule, bits=b) for b in bits]


def start(argv: list[str], description: str, quick: Quick, epochs: int) -> Runs:
    """Read the options of a figure and its data."""
    p = argparse.ArgumentParser(prog="benchmarks.paper", description=description)
    where = "folder of images (esnsim/training/data.py)"
    p.add_argument("--data", type=Path, required=True, help=where)
    p.add_argument("--epochs", type=int, help=f"default {epochs}, with --quick {quick.epochs}")
    p.add_argument("--images", type=int, help="train on the first N only")
    p.add_argument("--test-images", type=int, help="test on the first N only")
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--seeds", type=int, nargs="+", help="repeat with each; default --seed alone")
    p.add_argument("--models", nargs="+", help="networks of `esnsim models`, where the figure asks")
    p.add_argument("--ways", nargs="+", help="points by name, where the figure asks")
    begin = "folder of checkpoints NAME.pt to begin with; or: builtin"
    p.add_argument("--start", type=Path, help=begin)
    p.add_argument("--checkpoints", type=Path, default=Path("checkpoints/paper"))
    p.add_argument("--resume", action="store_true", help="go on from the checkpoints")
    p.add_argument("--quick", action="store_true", help="under 15 minutes on two cores")
    p.add_argument("--output", type=Path, default=RESULTS)
    options = p.parse_args(argv)
    options.seeds = options.seeds or [options.seed]
    if options.quick:
        options.images = options.images or quick.images
        options.test_images = options.test_images or quick.test_images
    options.epochs = options.epochs or (quick.epochs if options.quick else epochs)
    train, test = (read_images(options.data, split) for split in ("train", "test"))
    return Runs(options, train.first(options.images), test.first(options.test_images))
