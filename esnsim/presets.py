"""Machines by name, by size, or from a TOML file of one's own."""

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from esnsim import arrays, crossbar
from esnsim.arrays import ArraySpec
from esnsim.crossbar import CrossbarSpec
from esnsim.errors import EsnsimError, UsageError

Spec = ArraySpec | CrossbarSpec
PRESETS: dict[str, Spec] = {**arrays.PRESETS, **crossbar.PRESETS}
KINDS: dict[str, type[ArraySpec] | type[CrossbarSpec]] = {
    "digital": ArraySpec, "analog": CrossbarSpec,
}  # fmt: skip
IDEAL = "ideal"  # in a file: what is None in a spec


def machine(text: str) -> Spec:
    """The machine that `--array` names: a preset, ROWSxLANESxWINDOWS, or a .toml file.

    Raises UsageError for what is none of these, EsnsimError for a file that cannot be read.
    """
    if text in PRESETS:
        return PRESETS[text]
    if text.lower().endswith(".toml"):
        return read_machine(Path(text))
    size = re.fullmatch(r"(\d+)x(\d+)(?:x(\d+))?", text)
    if size is None:
        raise UsageError(
            f"--array '{text}' is neither a preset ({', '.join(PRESETS)}), a size like 64x16x1, "
            "nor a .toml file"
        )
    rows, lanes, windows = (int(n or 1) for n in size.groups())
    return ArraySpec(rows, lanes, windows)


def read_machine(path: Path) -> Spec:
    """A machine from a TOML file: one table, [digital] or [analog], of a spec's fields.

    `preset` names a machine to start from; "ideal" stands for no limit.
    """
    try:
        tables = tomllib.loads(path.read_text())
    except OSError as error:
        raise EsnsimError(f"cannot read '{path}': {error.strerror}; check --array") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EsnsimError(f"'{path}' is no TOML file: {error}") from None
    if len(tables) != 1 or not KINDS.keys() >= tables.keys():
        raise EsnsimError(
            f"'{path}' has {', '.join(map(repr, tables)) or 'nothing'}: give one table, [digital] "
            "or [analog]"
        )
    [(kind, values)] = tables.items()
    try:
        return _spec(kind, dict(values))
    except (UsageError, TypeError, ValueError) as error:
        raise EsnsimError(f"'{path}', [{kind}]: {error}") from None


def _spec(kind: str, values: dict[str, Any]) -> Spec:
    start: Spec = KINDS[kind]()
    name = values.pop("preset", None)
    if name is not None:
        start = PRESETS.get(name, start)
        if name not in PRESETS or not isinstance(start, KINDS[kind]):
            known = [n for n, spec in PRESETS.items() if isinstance(spec, KINDS[kind])]
            raise UsageError(f"no preset '{name}': use one of {', '.join(known)}")
    types = {field.name: getattr(start, field.name) for field in fields(start)}
    for key, value in values.items():
        if key not in types:
            raise UsageError(f"no field '{key}': use {', '.join(types)}, or preset")
        wanted = types[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(wanted, bool | str) and type(value) is not type(wanted):
            raise UsageError(f"{key} = {value!r}: give a {type(wanted).__name__}")
        if not isinstance(wanted, bool | str) and not number and value != IDEAL:
            raise UsageError(f"{key} = {value!r}: give a number")
        values[key] = None if value == IDEAL else value
    return replace(start, **values)
