"""How cost and simulation grow with a model, in time and memory: `python -m benchmarks scaling`.

A process a size; MACs are checked by hand. Exponents are slopes of logarithms over the sizes, of
what the algorithm promises to be at most proportional: one that is above by more than SLACK fails.
"""

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from statistics import linear_regression
from typing import Any

from benchmarks.grown import Case, words
from benchmarks.harness import Benchmark, Document, python, say, table

SLACK = 0.2  # of an exponent: caches, and memory that comes in steps
NOISE = 0.02, 4e6  # seconds and bytes below which a size says nothing
EXTREMES = {
    "100,000 nodes": Case(work="cost", nodes=100_000),
    "10 GB of external data": Case(work="cost", external=10 * 10**9),
    "a layer of 65,536 filters": Case(work="cost", filters=65_536),
    "65,536 filters, simulated": Case(work="simulate", filters=65_536, side=4),
}


@dataclass(frozen=True, slots=True)
class Axis:
    """Sizes along one direction, what grows there, and the exponents that are promised."""

    case: Case
    field: str
    values: Sequence[int]
    grown: Callable[[int], int] = lambda value: value
    promised: float = 1.0


def square(value: int) -> int:
    """The pixels of a side, the weights of a width."""
    return value * value


COST, RUN = Case(work="cost"), Case(work="simulate", side=32)
AXES = {
    "cost, layers": Axis(COST, "depth", (64, 256, 1024)),
    "cost, other nodes": Axis(COST, "nodes", (1_000, 4_000, 16_000)),
    "cost, weights by width": Axis(replace(COST, depth=3), "channels", (256, 512, 1_024), square),
    "cost, filters": Axis(replace(COST, channels=128), "filters", (2_048, 8_192, 32_768)),
    "cost, pixels": Axis(replace(COST, filters=4_096), "side", (16, 64, 256), square, 0.0),
    "cost, images": Axis(replace(COST, filters=4_096), "batch", (1, 16, 256), promised=0.0),
    "cost, bits": Axis(replace(COST, filters=4_096), "bits", (2, 4, 8, 16), promised=0.0),
    "simulate, layers": Axis(RUN, "depth", (16, 64, 256)),
    "simulate, weights by width": Axis(RUN, "channels", (128, 256, 512, 1_024), square),
    "simulate, filters": Axis(replace(RUN, channels=128), "filters", (4_096, 8_192, 16_384)),
    "simulate, pixels": Axis(replace(RUN, channels=128), "side", (32, 64, 128, 256), square),
    "simulate, images": Axis(replace(RUN, channels=128), "batch", (4, 16, 64)),
    "simulate, bits": Axis(replace(RUN, channels=256, filters=1_024), "bits", (2, 4, 8, 16)),
}
THREADS = replace(RUN, channels=256, filters=1_024)


def measure(arguments: Namespace) -> dict[str, Any]:
    """Seconds and bytes of every size, exponents, the largest models, one thread and two."""
    axes = {name: walk(name, AXES[name]) for name in arguments.axes or AXES}
    extremes, threads = {}, {}
    if not arguments.axes:
        extremes = {name: ran(case) for name, case in EXTREMES.items()}
        threads = {n: ran(replace(THREADS, threads=n))["clock"] for n in (1, 2)}
    return {"axes": axes, "extremes": extremes, "threads": threads}


def walk(name: str, axis: Axis) -> dict[str, Any]:
    """The sizes of an axis."""
    say(name)
    fields: list[dict[str, Any]] = [{axis.field: value} for value in axis.values]
    found = [ran(replace(axis.case, **field)) for field in fields]
    grown = [axis.grown(value) for value in axis.values]
    return {
        "values": list(axis.values), "sizes": found, "promised": axis.promised,
        "time": exponent(grown, [each["processor"] for each in found], NOISE[0]),
        "memory": exponent(grown, [each["bytes"] for each in found], NOISE[1]),
    }  # fmt: skip


def ran(case: Case) -> dict[str, float]:
    """What a process measures on one model."""
    done = python(Path.cwd(), "-m", "benchmarks.grown", words(case))
    if done.code:
        raise RuntimeError(done.errors)
    return dict(json.loads(done.output.splitlines()[-1]))


def exponent(sizes: Sequence[int], taken: Sequence[float], noise: float) -> float | None:
    """The slope of logarithms over the sizes that take more than noise; None for fewer than two."""
    pairs = [(log(n), log(t)) for n, t in zip(sizes, taken, strict=True) if t > noise]
    return linear_regression(*zip(*pairs, strict=True)).slope if len(pairs) > 1 else None


def above(axis: Document) -> bool:
    """Whether an exponent is above what is promised."""
    limit = axis["promised"] + SLACK
    return any(axis[kind] is not None and axis[kind] > limit for kind in ("time", "memory"))


def render(results: Document) -> str:
    """The table of axes, and that of the largest models."""
    rows = [
        (
            name, ", ".join(f"{value:,}" for value in axis["values"]),
            ", ".join(f"{size['processor']:.2f}" for size in axis["sizes"]), shown(axis["time"]),
            ", ".join(f"{size['bytes'] / 1e6:.0f}" for size in axis["sizes"]),
            shown(axis["memory"]), f"{axis['promised']:.0f}{': above' if above(axis) else ''}",
        )
        for name, axis in results["axes"].items()
    ]  # fmt: skip
    head = ("grows", "sizes", "CPU, s", "exponent", "MB", "exponent", "promised at most")
    parts = [table(head, rows)]
    if results["extremes"]:
        largest = [
            (name, f"{found['processor']:.2f}", f"{found['bytes'] / 1e6:,.0f}")
            for name, found in results["extremes"].items()
        ]
        parts.append(table(("model", "CPU, s", "MB"), largest))
        one, two = results["threads"].values()
        parts.append(f"one thread ÷ two: {one / two:.2f}")
    return "\n\n".join(parts)


def shown(exponent: float | None) -> str:
    """An exponent with its sign, a dash where nothing was above noise."""
    return "–" if exponent is None else f"{exponent:.2f}"


main = Benchmark(
    name="scaling", text=__doc__, measure=measure, render=render,
    missed=lambda results: any(above(axis) for axis in results["axes"].values()),
    libraries=("numpy", "numba", "onnx"),
    options={"--axes": {"nargs": "+", "choices": AXES, "metavar": "AXIS", "help": "only these"}},
)  # fmt: skip
