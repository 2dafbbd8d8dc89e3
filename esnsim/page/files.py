"""A result saved to a file, its form by its suffix; what it was made of is never replaced."""

from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from esnsim.errors import UsageError
from esnsim.files.replace import same_file
from esnsim.page.html import html
from esnsim.page.picture import picture_file
from esnsim.report.forms import json_text
from esnsim.report.kinds import report_of
from esnsim.report.write import ENCODING, ERRORS, write_bytes

Form = Callable[[Any], bytes]

FORMS: dict[str, Form] = {
    ".json": lambda result: _encoded(json_text(result.to_dict())),
    ".csv": lambda result: _encoded(result.to_csv()),
    ".html": lambda result: _encoded(html(result)),
    ".png": lambda result: picture_file(result, ".png"),
    ".svg": lambda result: picture_file(result, ".svg"),
    ".pdf": lambda result: picture_file(result, ".pdf"),
}


def save(result: Any, path: Path) -> None:
    """Write a result in the form that the suffix says. Errors as `Outcome.save`."""
    forms = FORMS | ({".onnx": lambda r: r.to_bytes()} if hasattr(result, "to_bytes") else {})
    form = forms.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"'{path}' says no form: give a file that ends in {', '.join(forms)}")
    for file in _inputs(result):
        if same_file(path, file):
            raise UsageError(f"'{path}' would overwrite '{file}': give another file")
    write_bytes(form(result), path)


def _inputs(result: object) -> Iterator[Path]:
    from esnsim.onnxfile.load import model_files

    for given in report_of(result).inputs(result):
        if isinstance(given, PathLike):
            yield Path(given)
        elif given is not None:
            yield from model_files(given)


def _encoded(text: str) -> bytes:
    return text.encode(ENCODING, ERRORS)
