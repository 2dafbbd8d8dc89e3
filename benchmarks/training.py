"""What esnsim adds to a training step: `python -m benchmarks training`.

The tracker on ResNet-20, batch 125; widths that are learned with their cost in the loss, and
settled ones, on the embedded ResNet-20 and its half-width form, 28×28×1. Steps with and without
take turns in one process; processor time is compared, so that others count less. The tracker's
sums are checked against the weights, the cost of training against that of its file.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Document, check, goal, ratio, spread, timed, turns

BATCH = 125
WARM = 2  # pairs that are not kept
LIMIT = 2.0  # percent of a training step, of the tracker
STEP_LIMIT = 1.6  # times a plain step, of fake quantisation and cost
WIDTHS = {"resnet20": 16, "resnet20_05x": 8}


def measure(arguments: Namespace) -> dict[str, Any]:
    """Seconds of processor time of training steps, with and without what is measured."""
    import torch

    torch.set_num_threads(arguments.threads)
    return {
        "threads": arguments.threads,
        "batch": BATCH,
        "learned": {name: learned(name, arguments.pairs) for name in WIDTHS},
        **tracked(arguments.pairs),
    }


def trainer(model: Any, shape: tuple[int, ...], along: Any = None) -> Callable[[], None]:
    """A training step of a model on images (C, H, W), with a companion or none."""
    import torch
    from torch import nn

    from esnsim.training.fit import has_bfloat16

    model.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    x = torch.rand(BATCH, *shape).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (BATCH,))

    def train() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16("cpu")):
            loss = nn.functional.cross_entropy(model(x).float(), y)
        if along is not None:
            loss = loss + along.loss()
        optimizer.zero_grad()
        loss.backward()
        if along is not None:
            along.after_backward()
        optimizer.step()
        if along is not None:
            along.step()

    return train


def learned(name: str, pairs: int) -> dict[str, Any]:
    """A plain step, one that learns widths with their cost, and one with widths that stay."""
    import torch

    from esnsim.costs.cost import cost
    from esnsim.graph.model import open_model
    from esnsim.quantization.quantizer import quantize
    from esnsim.training.export import load_onnx
    from esnsim.training.learned import LearnedWidths
    from esnsim.training.models import CifarResNet

    jobs: dict[str, Callable[[], float]] = {}
    for kind in ("plain", "learned", "settled"):
        model, along = CifarResNet(20, 1, 10, width=WIDTHS[name]), None
        load_onnx(model, f"builtin:{name}")
        if kind != "plain":
            along = LearnedWidths(
                model, torch.zeros(1, 1, 28, 28), budget=WIDTHS[name] ** 2 * 0.25e6
            )
        jobs[kind] = timed(trainer(model, (1, 28, 28), along), clock=time.process_time)
        if along and kind == "settled":
            along.settle()
    found = turns(jobs, pairs, WARM)
    assert along is not None
    told, read = along.cost().total, cost(quantize(open_model(along.export()).network)).total
    check(told.esn_d_tilde == read.esn_d_tilde, f"training says {told}, its file costs {read}")
    return {
        **{f"{kind}_seconds": seconds for kind, seconds in found.items()},
        **{f"{kind}_ratio": ratio(found[kind], found["plain"]) for kind in ("learned", "settled")},
    }


def tracked(pairs: int) -> dict[str, Any]:
    """Steps without and with the tracker, and the tracker alone."""
    import torch

    from esnsim.training.catalog import entry
    from esnsim.training.tracker import ESNTracker

    torch.manual_seed(0)
    model = entry("resnet20").build()
    train, tracker = trainer(model, (3, 32, 32)), ESNTracker(model)

    def both() -> None:
        train()
        tracker.step()

    signal = 0.0
    seconds: dict[str, list[float]] = {"plain": [], "tracked": [], "tracker": []}
    pair: list[tuple[str, Callable[[], None]]] = [("plain", train), ("tracked", both)]
    for index in range(pairs + WARM):  # in turns which comes first; the tracker alone
        for kind, job in (*pair[:: 1 if index % 2 else -1], ("tracker", tracker.step)):
            seconds[kind].append(timed(job, clock=time.process_time)())
            if kind != "plain":
                signal += sum(float(w.double().square().sum()) for w in tracker._weights)
    total = tracker.epoch().total.signal
    right = abs(total / signal - 1) <= 1e-6
    check(right, f"the tracker's signal {total} is not that of the weights, {signal}")
    plain, _, own = kept = [times[WARM:] for times in seconds.values()]
    weights = sum(w.numel() for w in tracker._weights)
    held = sum(t.numel() for t in (*tracker._start, *tracker._moved))
    return {
        **{f"{kind}_seconds": spread(times) for kind, times in zip(seconds, kept, strict=True)},
        "overhead_percent": spread(100 * o / p for o, p in zip(own, plain, strict=True)),
        "copies": held / weights,
    }


def render(results: Document) -> str:
    overhead = results["overhead_percent"]
    rows = [
        f"{name}: training step {1e3 * found['plain_seconds']['median']:.0f} ms, with widths that "
        f"are learned × {found['learned_ratio']:.2f}, that stay × {found['settled_ratio']:.2f}"
        for name, found in results["learned"].items()
    ]
    return "\n".join(
        [
            f"training step {1e3 * results['plain_seconds']['median']:.1f} ms, tracker "
            f"{1e3 * results['tracker_seconds']['median']:.2f} ms: {overhead['median']:.2f} % "
            f"({overhead['least']:.2f} to {overhead['most']:.2f}) of the step without it; "
            f"{results['copies']:.2f} copies of the weights",
            *rows,
            goal(not slow(results), f"at most {STEP_LIMIT} times a plain step"),
        ]
    )


def slow(results: Document) -> bool:
    found = results["learned"].values()
    return any(max(x["learned_ratio"], x["settled_ratio"]) > STEP_LIMIT for x in found)


main = Benchmark(
    name="training", text=__doc__, measure=measure, render=render,
    missed=lambda results: results["overhead_percent"]["median"] > LIMIT or slow(results),
    libraries=("torch", "numpy"),
    options={"--pairs": 30, "--threads": 2},
)  # fmt: skip
