"""What ESNTracker adds to a training step of ResNet-20, batch 125: `python -m benchmarks training`.

Steps with and without the tracker take turns in one process, pair by pair; processor time is
compared, so that other processes do not count. The tracker's sums are checked against the weights.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Benchmark, Document, check, spread, timed

BATCH = 125
WARM = 2  # pairs that are not kept
LIMIT = 2.0  # percent of a training step


def measure(arguments: Namespace) -> dict[str, Any]:
    """Seconds of processor time of steps without and with the tracker, and of the tracker alone."""
    import torch
    from torch import nn

    from esnsim.training.catalog import entry
    from esnsim.training.tracker import ESNTracker

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = entry("resnet20").build().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    x = torch.rand(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (BATCH,))

    def train() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x).float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    tracker = ESNTracker(model)

    def tracked() -> None:
        train()
        tracker.step()

    signal = 0.0
    seconds: dict[str, list[float]] = {"plain": [], "tracked": [], "tracker": []}
    pair: list[tuple[str, Callable[[], None]]] = [("plain", train), ("tracked", tracked)]
    for index in range(arguments.pairs + WARM):  # in turns which comes first; the tracker alone
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
        "threads": arguments.threads,
        "batch": BATCH,
        **{f"{kind}_seconds": spread(times) for kind, times in zip(seconds, kept, strict=True)},
        "overhead_percent": spread(100 * o / p for o, p in zip(own, plain, strict=True)),
        "copies": held / weights,
    }


def render(results: Document) -> str:
    overhead = results["overhead_percent"]
    return (
        f"training step {1e3 * results['plain_seconds']['median']:.1f} ms, tracker "
        f"{1e3 * results['tracker_seconds']['median']:.2f} ms: {overhead['median']:.2f} % "
        f"({overhead['least']:.2f} to {overhead['most']:.2f}) of the step without it; "
        f"{results['copies']:.2f} copies of the weights"
    )


main = Benchmark(
    name="training", text=__doc__, measure=measure, render=render,
    missed=lambda results: results["overhead_percent"]["median"] > LIMIT,
    libraries=("torch", "numpy"),
    options={"--pairs": 30, "--threads": 2},
)  # fmt: skip
