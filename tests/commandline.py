"""The command line as a function of this process."""

import contextlib
import io
import json
from typing import Any, NamedTuple

from esnsim.cli import main


class Terminal(io.StringIO):
    """A screen that keeps what is written on it."""

    def isatty(self) -> bool:
        return True


class Ended(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


def esnsim(*words: Any) -> Ended:
    """Run a command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # argparse: --help, --version, wrong usage
            code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def report(ended: Ended) -> dict[str, Any]:
    """The document that --json printed."""
    assert ended.code == 0, ended.err
    return dict(json.loads(ended.out))


def refused(ended: Ended, *parts: str, code: int = 1) -> None:
    """The run ended with one line of error, which holds these parts in order, and with no data."""
    assert ended.out == ""
    assert (ended.code, ended.err.count("\n")) == (code, 1), ended.err
    assert ended.err.startswith("esnsim: error: ")
    at = 0
    for part in parts:
        assert part in ended.err[at:], ended.err
        at = ended.err.index(part, at) + len(part)
