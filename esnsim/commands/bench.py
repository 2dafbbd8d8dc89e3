"""`esnsim bench`: the bit-serial kernel on random tensors, against the popcount roofline."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from esnsim.commands import options
from esnsim.commands.paths import OutputFile
from esnsim.errors import EsnsimError
from esnsim.report.write import write
from esnsim.units import human

if TYPE_CHECKING:
    from esnsim.selfcheck.bench import Figure, Task

HELP = "the bit-serial kernel on random tensors"
DESCRIPTION = """\
The kernel of the MAC array on random tensors, for each width of weights: rates, the share of the
popcount roofline measured in the same run (the same work on operands that stay in L1), and times
against NumPy's integer product and, where installed, torch's float32 product and ONNX Runtime's
int8 convolution. Every result is checked against the exact answer."""

LARGEST = 1 << 34  # MACs: beyond, NumPy's exact answer takes minutes


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `bench`."""
    for name, size, what in (
        ("filters", 256, "filters (output channels)"),
        ("reduction", 2304, "weights of a filter: kernel taps × channels"),
        ("windows", 196, "output positions"),
        ("activation-bits", 8, "bits of an activation"),
        ("repeats", 5, "rounds; the median counts"),
    ):
        p.add_argument(
            f"--{name}", type=options.at_least_one, default=size, help=f"{what} ({size})"
        )
    p.add_argument("--bits", type=options.span, default=range(1, 9), metavar="1-8", help="widths")
    p.add_argument("--threads", type=options.count, default=0, help="0 (default): one a core")
    p.add_argument("--seed", type=options.count, default=0)
    p.add_argument("--no-peers", action="store_true", help="leave torch and ONNX Runtime out")
    p.add_argument("--json", action="store_true", help="figures as JSON")
    p.add_argument("-o", "--output", type=OutputFile(), metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    import json
    import os
    from dataclasses import asdict

    from esnsim.selfcheck.bench import PEERS, Task, measure, peer, popcount_roofline

    a = arguments
    task = Task(a.filters, a.reduction, a.windows, a.activation_bits, a.seed)
    if task.macs > LARGEST or max(a.bits) > 16 or a.activation_bits > 16:
        raise EsnsimError(
            f"{task.macs:,} MACs of {max(a.bits)} bits by {a.activation_bits}: give at most "
            f"{LARGEST:,} MACs of 16 bits by 16"
        )
    threads = a.threads or os.cpu_count() or 1
    peak = popcount_roofline(threads)
    figures = [measure(task, bits, threads, a.repeats, peak) for bits in a.bits]
    peers = {} if a.no_peers else {name: peer(name, task, threads, a.repeats) for name in PEERS}
    result = {
        "schema": "esnsim.bench/1",
        "task": asdict(task),
        "threads": threads,
        "roofline_one_bit_macs_per_second": peak,
        "widths": [asdict(figure) for figure in figures],
        "peers": peers,
    }
    text = json.dumps(result, indent=1) + "\n" if a.json else _table(task, figures, peak, peers)
    write(text, a.output)
    return 0


def _table(
    task: "Task",
    figures: "Sequence[Figure]",
    peak: float,
    peers: Mapping[str, Mapping[str, Any] | None],
) -> str:
    lines = [
        f"{task.filters} filters × {task.reduction} weights × {task.windows} windows, "
        f"{task.activation_bits}-bit activations: {human(task.macs)} MACs",
        f"popcount roofline {human(peak)} one-bit MACs/s",
        "",
        f"{'bits':>4}  {'ms':>8}  {'one-bit MACs/s':>14}  {'MACs/s':>8}  {'roofline':>8}  "
        f"{'NumPy int64 ÷ ours':>18}",
    ]
    lines += [
        f"{f.bits:4d}  {1e3 * f.seconds:8.2f}  {human(f.one_bit_macs):>14}  {human(f.macs):>8}  "
        f"{100 * f.roofline:6.0f} %  {f.numpy_seconds / f.seconds:18.1f}"
        for f in figures
    ]
    for result in peers.values():
        if result is not None:
            ratio = figures[-1].seconds / result["seconds"]
            lines.append(
                f"{result['what']}: {1e3 * result['seconds']:.2f} ms; ours at "
                f"{figures[-1].bits} bits takes {ratio:.1f} times that"
            )
    return "\n".join(lines) + "\n"
