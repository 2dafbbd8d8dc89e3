"""`esnsim bench`: the bit-serial kernel on random tensors, against the popcount roofline."""

import argparse

from esnsim.commands import options
from esnsim.commands.paths import OutputFile
from esnsim.errors import EsnsimError
from esnsim.report.write import write

HELP = "the bit-serial kernel on random tensors"
DESCRIPTION = """\
The kernels of the MAC array on random tensors, for each width of weights: bit plane by bit plane,
with the share of the popcount roofline measured in the same run (the same work on operands that
stay in L1), and as `simulate` runs layers, by products of whole codes where they have more than a
few bits. Times stand against NumPy's integer product and, where installed, torch's float32 product
and ONNX Runtime's int8 convolution. Every result is checked against the exact answer."""

MOST_MACS = 1 << 34  # MACs: beyond, NumPy's exact answer takes minutes


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
    from esnsim.selfcheck.bench import Task, bench

    a = arguments
    task = Task(
        filters=a.filters,
        reduction=a.reduction,
        windows=a.windows,
        activation_bits=a.activation_bits,
        seed=a.seed,
    )
    if task.macs > MOST_MACS or max(a.bits) > 16 or a.activation_bits > 16:
        raise EsnsimError(
            f"{task.macs:,} MACs of {max(a.bits)} bits by {a.activation_bits}: give at most "
            f"{MOST_MACS:,} MACs of 16 bits by 16"
        )
    found = bench(task, a.bits, a.threads, a.repeats, peers=not a.no_peers)
    write(found.as_json() if a.json else found.table(), a.output)
    return 0
