"""Compensated beside nearest rounding at 8 and 6 bits: `python -m benchmarks quantisers.wide`.

One width in every layer, several sets of calibration images, the same test images. A set changes
both roundings, so the difference of an image is its mean over the sets, and the interval is over
images (of text models over places). --networks takes ONNX files for Fashion-MNIST too.
"""

from argparse import Namespace
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Benchmark, Document, kept, say, table, write
from benchmarks.quantisers.paired import NETWORKS, SURE, task, workspace_of
from esnsim.graph.substitute import with_weights
from esnsim.quantization.scheme import Scheme

HEAD = ("network", "bits", "nearest, %", "compensated, %", "more, points (95 %)", "sets")


def compared(name: str, bits: int, seed: int, arguments: Namespace) -> Document:
    """Accuracies and SQNRs of both, and the test images that only one of them has right."""
    on = task(name, seed, arguments)
    found, right = dict[str, Any](), {}
    for rounding in ("nearest", "compensated"):
        made = workspace_of(on, rounding).candidate(Scheme("mse", bits))
        right[rounding], sqnr = on.scores(with_weights(on.model, made.changes))
        found[rounding] = {"accuracy": float(right[rounding].mean()), "sqnr_db": sqnr}
    more = right["compensated"].astype(int) - right["nearest"]
    for key, sign in (("gained", 1), ("lost", -1)):
        found[key] = np.flatnonzero(more == sign).tolist()
    return found | {"images": len(more)}


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every network, width and set that is not there yet."""
    path: Path = arguments.output
    found = kept(path)
    for seed in range(arguments.seeds):
        for bits in arguments.bits:
            for name in arguments.networks:
                if (key := f"{Path(name).stem}, {bits} bits, seed {seed}") not in found:
                    found[key] = compared(name, bits, seed, arguments)
                    say(f"{key}: {found[key]}")
                    write(path, found)
    return {"found": found}


def pooled(runs: Sequence[Document]) -> tuple[float, float]:
    """What compensated has more in points of a hundred, and half its 95 % interval over images."""
    more = np.zeros(runs[0]["images"])
    for run in runs:
        more[run["gained"]] += 1
        more[run["lost"]] -= 1
    more *= 100 / len(runs)
    return float(more.mean()), SURE * float(more.std()) / sqrt(len(more))


def render(results: Document) -> str:
    """A row a network and width."""
    found, lines = results["found"], []
    for name, bits in dict.fromkeys(tuple(key.split(", ")[:2]) for key in found):
        runs = [run for key, run in found.items() if key.startswith(f"{name}, {bits},")]
        mean, half = pooled(runs)
        cells = [_told(runs, rounding) for rounding in ("nearest", "compensated")]
        row = [
            NETWORKS.get(name, name),
            bits[:1],
            *cells,
            f"{mean:+.3f} ± {half:.3f}",
            str(len(runs)),
        ]
        lines.append(row)
    return table(HEAD, lines)


def _told(runs: Sequence[Document], rounding: str) -> str:
    every = [run[rounding] for run in runs]
    accuracy, sqnr = (np.mean([run[key] for run in every]) for key in ("accuracy", "sqnr_db"))
    return f"{100 * accuracy:.2f}, {sqnr:.1f} dB"


main = Benchmark(
    name="quantisers.wide", text=__doc__, measure=measure, render=render,
    options={
        "--data": {"type": Path, "help": "Fashion-MNIST as idx files; else the embedded images"},
        "--networks": {"nargs": "+", "default": ["resnet8", "resnet20_05x", "resnet20"]},
        "--bits": {"type": int, "nargs": "+", "default": [8, 6]},
        "--images": {"type": int, "default": 10_000, "help": "test images"},
        "--seeds": 3, "--threads": 1,
    },
    resumes=True,
)  # fmt: skip
