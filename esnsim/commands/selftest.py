"""`esnsim selftest`: published numbers and random cross-checks on this machine."""

import argparse

from esnsim.report.write import write

HELP = "published numbers and random cross-checks on this machine"
DESCRIPTION = """\
Reproduces published numbers and checks the kernels against NumPy's integer convolution on random
layers, in under 30 seconds. Exit code 1 if anything differs."""


def add_options(p: argparse.ArgumentParser) -> None:
    """It has none."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.selfcheck import selftest

    failed = 0
    for outcome in selftest.run():
        mark = "ok    " if outcome.passed else "FAILED"
        write(f"{mark}  {outcome.name}: {outcome.detail} ({outcome.seconds:.1f} s)\n", None)
        failed += not outcome.passed
    return 1 if failed else 0
