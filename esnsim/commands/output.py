"""What commands share about their output: its form and its file."""

import argparse
from collections.abc import Mapping

from esnsim.commands.paths import OutputFile
from esnsim.errors import UsageError
from esnsim.report.forms import Form

TABLE = "table"  # the form where none is asked for


def add_output(group: "argparse._ArgumentGroup", forms: Mapping[str, Form]) -> None:
    """Add an option a form, and the file."""
    either = group.add_mutually_exclusive_group()
    for name, form in forms.items():
        either.add_argument(f"--{name}", action="store_true", help=form.help)
    group.add_argument(
        "-o", "--output", type=OutputFile(), metavar="FILE",
        help=f"write there, whole or not at all; {' and '.join(f'.{name}' for name in forms)} say "
        "the form",
    )  # fmt: skip
    group.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress")


def form_of(arguments: argparse.Namespace, forms: Mapping[str, Form]) -> str:
    """The form that the options or the file's name ask for. Raises UsageError where they differ."""
    suffix = arguments.output.suffix.lower() if arguments.output else ""
    named = suffix.removeprefix(".")
    given = next((name for name in forms if getattr(arguments, name)), None)
    if given and named in forms and given != named:
        raise UsageError(f"--{given} and '{arguments.output}': leave one, or name it .{given}")
    return given or (named if suffix and named in forms else TABLE)
