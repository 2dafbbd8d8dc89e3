"""An argument parser whose errors are one line, and that keeps what was given."""

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from esnsim.errors import UsageError
from esnsim.report.write import say, write

WRONG_USAGE = 2  # exit code
NEGATIVE = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)  # a value, and no option


class Parser(argparse.ArgumentParser):
    """Its namespace holds, as `given`, the names of all options that the command line has."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._negative_number_matcher = NEGATIVE
        for name, action in (
            (None, _Store), ("store", _Store), ("store_true", _Flag), ("append", _Append),
            (argparse.BooleanOptionalAction, _Switch),
        ):  # fmt: skip
            self.register("action", name, action)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with exit code 2."""
        say(f"error: {message}; see {self.prog} --help")
        raise SystemExit(WRONG_USAGE)

    def _print_message(self, message: str, file: object = None) -> None:
        """Help and version, through the one writer that says when it could not."""
        write(message, None)


def refuse(arguments: argparse.Namespace, names: Iterable[str], reason: str) -> None:
    """Raise UsageError, `reason` after its name, for an option that means nothing here."""
    for name in names:
        if name in getattr(arguments, "given", ()):
            raise UsageError(f"--{name.replace('_', '-')} {reason}")


class _Noted:
    """An action that adds the name of its option to `given`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *rest: Any
    ) -> None:
        namespace.given = {*getattr(namespace, "given", ()), self.dest}  # type: ignore[attr-defined]
        super().__call__(parser, namespace, *rest)  # type: ignore[misc]


class _Flag(_Noted, argparse._StoreTrueAction):
    pass


class _Append(_Noted, argparse._AppendAction):
    """Values that are collected; of two pairs of one name, which counts is anybody's guess."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        *rest: Any,
    ) -> None:
        if isinstance(values, tuple) and values[0] in dict(getattr(namespace, self.dest)):
            what = f"names '{values[0]}' twice" if values[0] else "is given twice"
            raise argparse.ArgumentError(self, f"{what}: give it once")
        super().__call__(parser, namespace, values, *rest)


class _Switch(_Noted, argparse.BooleanOptionalAction):
    pass


class _Store(_Noted, argparse._StoreAction):
    """A value that is given once: which of two would count is anybody's guess."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *rest: Any
    ) -> None:
        if self.option_strings and self.dest in getattr(namespace, "given", ()):
            raise argparse.ArgumentError(self, "is given twice: give it once")
        super().__call__(parser, namespace, *rest)
