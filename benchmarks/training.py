"""What ESNTracker adds to a training step of ResNet-20, batch 125: `python -m benchmarks training`.

Steps with and without the tracker take turns in one process, pair by pair; processor time is
compared, so that other processes do not count. The tracker's sums are checked against the weights.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, versions
from benchmarks.timing import Spread

RESULTS = Path(__file__).parent / "results" / "training.json"
BATCH = 125
WARM = 2  # pairs that are not kept
LIMIT = 2.0  # percent of a training step


def main(argv: list[str]) -> int:
    options = parser().parse_args(argv)
    result = measure(options.pairs, options.threads)
    document = {
        "benchmark": "training",
        "machine": machine(),
        "versions": versions(("torch", "numpy")),
        "threads": options.threads,
        "batch": BATCH,
        **result,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(document, indent=1) + "\n")
    overhead = result["overhead_percent"]
    print(
        f"training step {1e3 * result['plain_seconds']['median']:.1f} ms, tracker "
        f"{1e3 * result['tracker_seconds']['median']:.2f} ms: {overhead['median']:.2f} % "
        f"({overhead['least']:.2f} to {overhead['most']:.2f}) of the step without it, "
        f"{options.pairs} pairs; {result['copies']:.2f} copies of the weights"
    )
    return int(overhead["median"] > LIMIT)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="benchmarks training", description=__doc__)
    p.add_argument("--pairs", type=int, default=30)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--output", type=Path, default=RESULTS)
    return p


def measure(pairs: int, threads: int) -> dict[str, Any]:
    """Seconds of processor time of steps without and with the tracker, and of the tracker alone."""
    import torch
    from torch import nn

    from esnsim.training.catalog import entry
    from esnsim.training.tracker import ESNTracker

    torch.set_num_threads(threads)
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
    signal = 0.0
    seconds: dict[str, list[float]] = {"plain": [], "tracked": [], "tracker": []}
    for index in range(pairs + WARM):
        for kind, job in _turns(index, train, tracker.step):
            started = time.process_time()
            job()
            seconds[kind].append(time.process_time() - started)
            if kind != "plain":
                signal += sum(float(w.double().square().sum()) for w in tracker._weights)
    total = tracker.epoch().total.signal
    if abs(total / signal - 1) > 1e-6:
        raise SystemExit(f"the tracker's signal {total} is not that of the weights, {signal}")
    plain, tracked, own = (times[WARM:] for times in seconds.values())
    weights = sum(w.numel() for w in tracker._weights)
    held = sum(t.numel() for t in (*tracker._start, *tracker._moved))
    return {
        "plain_seconds": asdict(Spread.of(plain)),
        "tracked_seconds": asdict(Spread.of(tracked)),
        "tracker_seconds": asdict(Spread.of(own)),
        "overhead_percent": asdict(
            Spread.of([100 * o / p for o, p in zip(own, plain, strict=True)])
        ),
        "copies": held / weights,
    }


def _turns(
    index: int, train: Callable[[], None], track: Callable[[], None]
) -> list[tuple[str, Callable[[], object]]]:
    """A step without and one with the tracker, in turns which comes first; the tracker alone."""

    def tracked() -> None:
        train()
        track()

    pair: list[tuple[str, Callable[[], object]]] = [("plain", train), ("tracked", tracked)]
    return [*(pair if index % 2 else pair[::-1]), ("tracker", track)]
