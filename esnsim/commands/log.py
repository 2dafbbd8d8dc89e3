"""What a run did, by standard logging: -v on standard error, --log-file in a file."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esnsim.commands.paths import OutputFile
from esnsim.report.write import SAID, cannot_write

ROOT = logging.getLogger("esnsim")
FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def add_log(parser: argparse.ArgumentParser) -> None:
    """Add the options of the log."""
    group = parser.add_argument_group("log")
    group.add_argument("-v", "--verbose", action="store_true", help="say what is done, with times")
    group.add_argument(
        "--log-file", type=OutputFile(), metavar="FILE",
        help="append what is done and said, and where errors come from",
    )  # fmt: skip


@contextmanager
def logged(arguments: argparse.Namespace) -> Iterator[None]:
    """Let the log of a run go where its options say. Raises EsnsimError where it cannot."""
    handlers: list[logging.Handler] = []
    if arguments.verbose and sys.stderr is not None:
        screen = logging.StreamHandler(sys.stderr)
        screen.setLevel(logging.INFO)
        screen.addFilter(lambda record: record.name != SAID.name)  # that is on the screen already
        handlers.append(screen)
    if arguments.log_file is not None:
        handlers.append(_file(arguments.log_file))
    before = ROOT.level
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORM))
        ROOT.addHandler(handler)
        ROOT.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        ROOT.setLevel(before)
        for handler in handlers:
            ROOT.removeHandler(handler)
            handler.close()


def _file(path: Path) -> logging.Handler:
    try:
        return logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from None
