"""What commands share about their output: its form and its file."""

import argparse
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from esnsim.commands.paths import OutputFile, file_name
from esnsim.errors import UsageError
from esnsim.report.forms import Form
from esnsim.report.write import write, write_bytes

PICTURES = (".png", ".svg", ".pdf")
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


def add_page(group: "argparse._ArgumentGroup") -> None:
    """Add --html."""
    group.add_argument(
        "--html", type=OutputFile(_page), metavar="FILE",
        help="a page too, one file that opens offline: tables, pictures, the JSON",
    )  # fmt: skip


def _page(text: str) -> Path:
    """The name of a page, where pages can be made."""
    found = file_name(text)
    if found.suffix.lower() not in (".html", ".htm"):
        raise ArgumentTypeError(f"'{text}': give a .html file")
    if any(find_spec(name) is None for name in ("jinja2", "matplotlib")):
        raise ArgumentTypeError("needs matplotlib and Jinja2: pip install 'esnsim[report]'")
    return found


def write_page(result: object, arguments: argparse.Namespace) -> None:
    """The page of a result, where it was asked for."""
    if arguments.html:
        from esnsim.page.html import html

        write(html(result), arguments.html)


def form_of(arguments: argparse.Namespace, forms: Mapping[str, Form]) -> str:
    """The form that the options or the file's name ask for. Raises UsageError where they differ."""
    suffix = arguments.output.suffix.lower() if arguments.output else ""
    named = suffix.removeprefix(".")
    given = next((name for name in forms if getattr(arguments, name)), None)
    if given and named in forms and given != named:
        raise UsageError(f"--{given} and '{arguments.output}': leave one, or name it .{given}")
    return given or (named if suffix and named in forms else TABLE)


def add_picture(group: "argparse._ArgumentGroup", shows: str) -> None:
    """Add the option of a picture that shows this."""
    group.add_argument(
        "--picture",
        type=OutputFile(_picture),
        metavar="FILE",
        help=f"{shows}, as {', '.join(PICTURES)}",
    )


def check_picture(arguments: argparse.Namespace) -> None:
    """Raise UsageError for a picture without matplotlib, before anything is run."""
    if arguments.picture and find_spec("matplotlib") is None:
        raise UsageError("--picture needs matplotlib: pip install 'esnsim[report]'")


def write_picture(arguments: argparse.Namespace, draw: Callable[[str], bytes]) -> None:
    """Write the picture that is asked for, if one is: the bytes of what a suffix says."""
    if arguments.picture:
        write_bytes(draw(arguments.picture.suffix.lower()), arguments.picture)


def _picture(text: str) -> Path:
    """The name of a picture."""
    found = file_name(text)
    if found.suffix.lower() not in PICTURES:
        raise ArgumentTypeError(f"'{text}': give a {', '.join(PICTURES)} file")
    return found
