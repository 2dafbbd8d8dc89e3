"""Files of widths or steps: layer name -> one value, or one a filter. JSON, CSV or NPZ."""

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import WidthError
from esnsim.files.arrays import read_members, unpacked_bytes
from esnsim.files.read import read_small

LARGEST_BYTES = 1 << 28
ENCODING = "utf-8-sig"  # UTF-8, with the mark that spreadsheets put before it or without

REPORT = "schema"  # the key that tells a report of `esnsim cost --json`
PAPER = "it was written with --width paper, where filters of ±½ have 0 bits: use --width code"
COLUMNS = {"width": ("bits", "bits_per_filter"), "step": ("step", "steps")}  # by hand, in reports

Reader = Callable[[bytes, str], Mapping[str, object]]
Values = dict[str, NDArray[np.float64]]


def read_values(path: Path, what: str) -> Values:
    """The widths or steps (`what` is "width" or "step") of a file, by layer or weight name.

    JSON: {"layer": 4, "other": [4, 3, …]}. CSV: a header with `layer` and `bits` (or `step`), one
    value or several separated by spaces, or one row a filter. NPZ: an array a layer. Reports of
    `esnsim cost --json` and `--csv` serve too. Raises WidthError.
    """
    readers: dict[str, Callable[[bytes, str], Mapping[str, object]]] = {
        ".json": _json,
        ".csv": _csv,
        ".npz": _npz,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise WidthError(f"'{path}' is no file of {what}s: give {', '.join(readers)}")
    try:
        values = reader(read_small(path, LARGEST_BYTES), what)
    except FileNotFoundError:
        raise WidthError(f"there is no file '{path}': check the path") from None
    except Exception as error:  # json, csv, zipfile and numpy raise each their own
        text = str(error) or type(error).__name__
        raise WidthError(f"'{path}' cannot be read as {what}s: {text}") from None
    return {name: _array(path, name, value, what) for name, value in values.items()}


def _json(data: bytes, what: str) -> dict[str, object]:
    content = json.loads(data.decode(ENCODING), object_pairs_hook=_unique)
    if not isinstance(content, dict):
        raise ValueError(f"it holds no object of layer name: {what}")
    if not isinstance(content.get(REPORT), str):
        return content
    key = COLUMNS[what][1]
    rows = content.get("layers")
    if not isinstance(rows, list) or not all(isinstance(r, dict) and key in r for r in rows):
        raise ValueError(f"it is no report of esnsim cost, whose layers have '{key}'")
    quantizer = content.get("quantizer")
    if what == "width" and isinstance(quantizer, dict) and quantizer.get("width") == "paper":
        raise ValueError(PAPER)
    return _unique([(str(row.get("name")), row[key]) for row in rows])


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise ValueError(f"'{twice}' stands there twice: leave one")
    return found


def _csv(data: bytes, what: str) -> dict[str, object]:
    by_hand, in_report = COLUMNS[what]
    values: dict[str, list[float | None]] = {}
    with io.StringIO(data.decode(ENCODING), newline="") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        name, key = ("name", in_report) if in_report in columns else ("layer", by_hand)
        if not {name, key} <= columns:
            raise ValueError(f"it has no header with 'layer' and '{by_hand}'")
        for row in reader:
            if what == "width" and row.get("other_width.width") == "code":
                raise ValueError(PAPER)
            cells = [None if cell == "null" else float(cell) for cell in (row[key] or "").split()]
            values.setdefault(row[name], []).extend(cells)
    return {name: v[0] if len(v) == 1 else v for name, v in values.items()}


def _npz(data: bytes, what: str) -> Mapping[str, object]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if unpacked_bytes(archive) > LARGEST_BYTES:
            raise ValueError(f"it unpacks to more than {LARGEST_BYTES:,} bytes")
        return read_members(archive)


def _array(path: Path, name: str, value: object, what: str) -> NDArray[np.float64]:
    if isinstance(value, list) and what == "step":  # an all-zero filter has no step
        value = [np.nan if v is None else v for v in value]
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iuf" or array.ndim > 1:
        raise WidthError(
            f"'{path}': the {what} of layer '{name}' is no number or list of numbers: "
            f"got {value!r:.40}"
        )
    return array.astype(np.float64)
