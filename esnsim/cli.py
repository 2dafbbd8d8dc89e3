"""The command line: a parser, and one place that turns errors into exit codes."""

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence

import esnsim
from esnsim.commands import (
    annotate,
    bench,
    compare,
    compress,
    cost,
    machines,
    models,
    options,
    pareto,
    selftest,
    simulate,
)
from esnsim.commands.log import add_log, logged
from esnsim.commands.machine import join_compared
from esnsim.commands.parser import WRONG_USAGE, Parser
from esnsim.commands.paths import check_files
from esnsim.commands.shell import add_told
from esnsim.errors import EsnsimError, UsageError
from esnsim.report.write import say

LOG = logging.getLogger(__name__)
BAD_INPUT = 1
INTERRUPTED, CLOSED_PIPE = 130, 141  # 128 + the signal, as shells report them

COMMANDS = {
    "cost": cost, "compress": compress, "simulate": simulate, "pareto": pareto,
    "compare": compare, "annotate": annotate, "bench": bench, "selftest": selftest,
    "machines": machines, "models": models,
}  # fmt: skip


def parser(command: str | None = None) -> Parser:
    """The options of every command, or of `command` alone; with "" all are just named."""
    p = Parser(
        prog="esnsim",
        description="What a convolutional network costs on ideal hardware, filter by filter.",
        epilog="Example: esnsim cost builtin:resnet20 --bits-per-filter",
        allow_abbrev=False,
    )
    p.add_argument("--version", action="version", version=f"esnsim {esnsim.__version__}")
    add_told(p, parser)
    commands = p.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        if command and name != command:
            continue
        each = commands.add_parser(
            name, help=module.HELP, description=module.DESCRIPTION, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        each.set_defaults(run=module.run, parser=each)
        if command != "":
            module.add_options(each)
            add_log(each)
    return p


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of a command line. Leaves with exit code 2 where it can't be read."""
    words = join_compared(_split_bare_flag(argv))
    first = words[0] if words else ""
    return parser(first if first in COMMANDS else "").parse_args(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code: 0, 1 for bad input, 2 for wrong usage."""
    _fill_closed_streams()
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        with warnings.catch_warnings():
            if not sys.warnoptions:  # what libraries say is not for the reader of a report
                warnings.simplefilter("ignore")
            check_files(arguments)
            with logged(arguments):
                return _run(arguments)
    except UsageError as error:
        return _fail(error, WRONG_USAGE)
    except EsnsimError as error:
        return _fail(error, BAD_INPUT)
    except MemoryError:
        return _fail("out of memory: the model needs more than this machine has", BAD_INPUT)
    except BrokenPipeError:  # the reader of a pipe went away: nothing more to say
        return CLOSED_PIPE
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _run(arguments: argparse.Namespace) -> int:
    """Run a command, with its start, its end and its errors in the log."""
    start = time.monotonic()
    LOG.info("esnsim %s %s", esnsim.__version__, arguments.command)
    try:
        code = int(arguments.run(arguments))
    except BaseException as error:
        LOG.info("%s after %.2f s: %s", type(error).__name__, time.monotonic() - start, error)
        LOG.debug("where it comes from", exc_info=True)
        raise
    LOG.info("exit code %d after %.2f s", code, time.monotonic() - start)
    return code


def _fill_closed_streams() -> None:
    """Where the shell closed a standard stream, no file that is opened later takes its number."""
    number = 0
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)


def _split_bare_flag(argv: Sequence[str]) -> list[str]:
    """`--bits-per-filter MODEL`: the flag alone, and not the model as its value."""
    words = list(argv)
    for index, word in enumerate(words):
        following = words[index + 1 : index + 2]
        if word == "--bits-per-filter" and following and not options.is_widths(following[0]):
            words[index] = f"--bits-per-filter={options.ALONE}"
    return words


def _fail(message: object, code: int) -> int:
    say(f"error: {' '.join(str(message).split())}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
