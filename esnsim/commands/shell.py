"""What the whole parser gives besides a run: completion for shells, and the man page."""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import esnsim
from esnsim.commands.paths import InputFile, OutputFile
from esnsim.errors import UsageError
from esnsim.report.write import write

SHELLS = ("bash", "zsh", "tcsh")
EXITS = {
    0: "done", 1: "bad input; compare: a total is above --fail-above",
    2: "wrong usage", 3: "cost: a total is above --fail-above", 130: "interrupted",
}  # fmt: skip
Build = Callable[[], argparse.ArgumentParser]


class _Told(argparse.Action):
    """Prints a text that `const`, a function of the value, gives, and ends the command line."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
        option_string: str | None = None,
    ) -> None:  # fmt: skip
        write(self.const(values), None)
        raise SystemExit(0)


def add_told(parser: argparse.ArgumentParser, build: Build) -> None:
    """Add --completion and --manual; `build` gives the parser of all commands."""
    parser.add_argument(
        "--completion", action=_Told, const=lambda shell: completion(build(), shell),
        choices=SHELLS, help="print the completion of a shell (extra `complete`)",
    )  # fmt: skip
    parser.add_argument(
        "--manual", action=_Told, const=lambda _: manual(build()), nargs=0,
        help="print the man page: esnsim --manual | man -l -",
    )  # fmt: skip


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that completes command lines in a shell. Raises UsageError without shtab."""
    try:
        import shtab
    except ImportError:
        raise UsageError("--completion needs shtab: pip install 'esnsim[complete]'") from None
    for _, each in _commands(parser):
        for action in each._actions:
            if isinstance(action.type, InputFile | OutputFile):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell)) + "\n"


def manual(parser: argparse.ArgumentParser) -> str:
    """The man page, in roff."""
    lines = [
        f'.TH ESNSIM 1 "" "esnsim {esnsim.__version__}" "User Commands"', ".SH NAME",
        _plain(f"esnsim - {(parser.description or '').rstrip('.').lower()}"), ".SH SYNOPSIS",
        _plain(f"{parser.prog} COMMAND ..."), ".SH OPTIONS", *_options(parser),
    ]  # fmt: skip
    for name, each in _commands(parser):
        lines += [
            f".SH ESNSIM {name.upper()}", _plain(each.description or ""),
            *_options(each),
        ]  # fmt: skip
    lines.append(".SH EXIT STATUS")
    for code, meaning in EXITS.items():
        lines += [".TP", str(code), _plain(meaning)]
    return "\n".join(lines) + "\n"


def _commands(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Each option with what its help says, as the parser itself formats both."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            told = formatter._expand_help(action) if action.help else ""
            yield from (".TP", _plain(formatter._format_action_invocation(action)), _plain(told))


def _plain(text: str) -> str:
    """Text that roff prints as it stands."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(
        "\\&" + line if line[:1] in (".", "'") else line for line in escaped.split("\n")
    )
