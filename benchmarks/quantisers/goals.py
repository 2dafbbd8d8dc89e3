"""What compression reaches of its goals on unseen images: `benchmarks quantisers.goals`.

Weights only, nothing trained, no labels; each seed draws other images to calibrate with. DIR holds
Fashion-MNIST as idx files. Rows that are there already are kept.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from benchmarks.harness import Benchmark, Document, kept, say, table, write
from benchmarks.quantisers.paired import Task, task
from esnsim.compression.allocate.effort import EFFORTS
from esnsim.compression.allocate.weighing import gains_of
from esnsim.compression.compress import compress
from esnsim.compression.prune.noise import order
from esnsim.compression.prune.prune import Kept
from esnsim.compression.recipe import Recipe
from esnsim.compression.workspace import prepare
from esnsim.costs.cost import cost
from esnsim.graph.substitute import with_weights
from esnsim.images.sets import ImageSet, embedded
from esnsim.quantization.scheme import Scheme

HEAD = ("row", "MAC×bit", "accuracy, %", "SQNR, dB", "seeds")
LEFT = 0.7  # of the filters

#: A candidate on a task: its MAC×bit, or MACs times 8 in float, and its model.
Made = tuple[int, ModelProto]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A network, the images that calibrate, how the candidate is made, and on what it is scored."""

    network: str
    make: Callable[[Task], Made]
    calibrated: int = 512


def of_recipe(recipe: Recipe, on: Task, scored: ImageSet | None = None) -> Made:
    """By `compress`, with the effort that takes all images that calibrate."""
    effort = "normal" if on.calibration.count <= EFFORTS["normal"].images else "thorough"
    recipe = replace(recipe, effort=effort)
    found = compress(
        on.model, recipe, scored or _one(on), on.calibration, on.threads, lambda step: None
    )
    return found.after.total.esn_d_tilde.macs, found.model


def at_width(bits: int, on: Task) -> Made:
    """One width for all filters under mse."""
    workspace = prepare(on.model, _one(on), on.calibration, threads=on.threads)
    found = workspace.candidate(Scheme("mse", bits))
    spent = cost(found.quantized).total.esn_d_tilde.macs
    return spent, with_weights(on.model, found.changes)


def on_average(bits: int, on: Task) -> Made:
    """A budget of so many bits for each MAC."""
    return of_recipe(Recipe(budget=bits * sum(x.macs for x in on.model.network.layers)), on)


def by_noise(on: Task) -> Made:
    """Filters go by the noise that stays after a refit, in float."""
    plain = prepare(on.model, _one(on), on.calibration, threads=on.threads)
    gains = gains_of(plain, on.calibration, "normal", on.threads)
    going = order(on.model, on.calibration, gains, on.threads)
    every = sum(layer.filters for layer in on.model.network.layers)

    def left(kept: Kept) -> float:
        return sum(int(mask.sum()) for mask in kept) / every

    kept = next(
        k for share in range(99, 0, -1) if left(k := going.kept(share / 100)) <= LEFT + 0.01
    )
    found = prepare(on.model, _one(on), on.calibration, kept, threads=on.threads)
    return 8 * sum(x.macs for x in found.network.layers), with_weights(
        found.model, found.statistics
    )


def within_drop(on: Task, **how: Any) -> Made:
    """A point of accuracy is lost on the embedded images."""
    return of_recipe(Recipe(drop=0.01, **how), on, embedded())


def _one(on: Task) -> ImageSet:
    return ImageSet(name="one", count=1, read=lambda a, b: on.pixels[a:b])


def _pruned(**how: Any) -> Callable[[Task], Made]:
    return partial(of_recipe, Recipe(ratio=1 - LEFT, quantize=False, form="float", **how))


def _budget(budget: float, **how: Any) -> Callable[[Task], Made]:
    return partial(of_recipe, Recipe(budget=budget, **how))


FEW: Mapping[str, Row] = {
    "direction classifier, 2 bits, 128 lines": Row(
        network="direction", make=partial(at_width, 2), calibrated=128
    ),
    "direction classifier, 2 bits on average, 128 lines": Row(
        network="direction", make=partial(on_average, 2), calibrated=128
    ),
    "recogniser, 4 bits on average, 64 lines": Row(
        network="text", make=partial(on_average, 4), calibrated=64
    ),
    "recogniser, 4 bits, 64 lines": Row(network="text", make=partial(at_width, 4), calibrated=64),
    "70 % of the filters, by noise, float": Row(network="resnet20", make=by_noise),
    "70 % of the filters, by norm, float": Row(network="resnet20", make=_pruned()),
    "70 % of the filters, by norm over the network, float": Row(
        network="resnet20", make=_pruned(scope="network")
    ),
    "ResNet-20, 3 bits": Row(network="resnet20", make=partial(at_width, 3)),
    "ResNet-20, 2 bits": Row(network="resnet20", make=partial(at_width, 2)),
    "ResNet-20, 1 bit": Row(network="resnet20", make=partial(at_width, 1)),
    "ResNet-20, 27M": Row(network="resnet20", make=_budget(27e6, ratio=None)),
    "half its filters, 13M": Row(network="resnet20_05x", make=_budget(13e6, ratio=None)),
    "half its filters, 13M, unpruned": Row(network="resnet20_05x", make=_budget(13e6)),
    "three quarters of its filters, 13M": Row(
        network="resnet20_075x", make=_budget(13e6, ratio=None)
    ),
    "ResNet-20, --drop 1%": Row(network="resnet20", make=within_drop),
    "ResNet-20, --drop 1%, pruned": Row(
        network="resnet20", make=partial(within_drop, ratio=None)
    ),
}  # fmt: skip

#: Rows on Fashion-MNIST, with as many images to calibrate as `--effort thorough` takes.
MORE = {
    f"{title}, 2,048 images": replace(row, calibrated=2048)
    for title, row in FEW.items() if row.calibrated == 512
}  # fmt: skip
ROWS = {**FEW, **MORE}


def scored(on: Task, made: Made, unseen: bool) -> Document:
    """Right answers and SQNR, of images that were not looked at."""
    spent, proto = made
    if unseen:
        seen = {image.tobytes() for image in embedded().read(0, embedded().count)}
        new = np.array([image.tobytes() not in seen for image in on.pixels])
        on = replace(on, pixels=on.pixels[new], floats=on.floats[new], labels=on.labels[new])
    right, sqnr = on.scores(proto)
    floats = float((on.floats.argmax(axis=-1) == on.labels).mean())
    return {
        "mac_bits": spent, "accuracy": float(right.mean()), "sqnr_db": sqnr, "float": floats,
        "images": len(on.pixels),
    }  # fmt: skip


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every row and seed that is not there yet."""
    path: Path = arguments.output
    found = kept(path)
    for seed in range(arguments.seeds):
        for title, row in ROWS.items():
            key = f"{title}, seed {seed}"
            if key in found or title not in (arguments.rows or ROWS):
                continue
            on = task(row.network, seed, arguments, row.calibrated)
            found[key] = scored(on, row.make(on), "--drop" in title)
            say(f"{key}: {found[key]}")
            write(path, found)
    return {"found": found}


def render(results: Document) -> str:
    """A row a goal: means over the seeds, and ranges."""
    lines = []
    for title in ROWS:
        runs = [run for key, run in results["found"].items() if key.startswith(f"{title}, seed")]
        if runs:
            cells = [_told(runs, key, by) for key, by in COLUMNS]
            lines.append([title, *cells, str(len(runs))])
    return table(HEAD, lines)


COLUMNS = (("mac_bits", 1e-6), ("accuracy", 100.0), ("sqnr_db", 1.0))


def _told(runs: list[Document], key: str, by: float) -> str:
    every = [by * run[key] for run in runs]
    span = f" ({min(every):.2f}–{max(every):.2f})" if len(every) > 1 else ""
    return f"{np.mean(every):.2f}{span}"


main = Benchmark(
    name="quantisers.goals", text=__doc__, measure=measure, render=render,
    options={
        "--data": {"type": Path, "help": "Fashion-MNIST as idx files"},
        "--rows": {"nargs": "+", "metavar": "TITLE", "help": "these, else all"},
        "--images": {"type": int, "default": 10_000, "help": "test images"},
        "--seeds": 3, "--threads": 1,
    },
    resumes=True,
)  # fmt: skip
