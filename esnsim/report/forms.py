"""The forms of reports besides the table: `FORMS` of each `document.py`; JSON and CSV as text."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Form:
    """What `--help` says of a form, and the text of a result in it; `rows` says it holds chosen
    rows, not all of them.
    """

    help: str
    text: Callable[..., str]
    rows: bool = False


def json_text(content: object) -> str:
    """A document as text."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(rows: Sequence[Mapping[str, Any]], first: str = "name", missing: str = "") -> str:
    """A header and the rows, flat; `first` is the header of none, `missing` what a row lacks."""
    cells = [{name: _cell(value) for name, value in flat(row)} for row in rows]
    out = io.StringIO()
    columns = list(dict.fromkeys(name for row in cells for name in row)) or [first]
    writer = csv.DictWriter(out, columns, restval=missing, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    return out.getvalue()


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Values of a row: nested keys joined by dots."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _cell(value: Any) -> Any:
    """A value as text holds it: lists joined by spaces."""
    if isinstance(value, list):
        return " ".join("null" if item is None else str(item) for item in value)
    return value
