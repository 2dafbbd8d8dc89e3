"""Machines by name, by size, or from a TOML or YAML file of one's own."""

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import yaml

from esnsim.errors import EsnsimError, UsageError
from esnsim.machines.array import spec as arrays
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar import spec as crossbar
from esnsim.machines.crossbar.spec import CrossbarSpec

Spec = ArraySpec | CrossbarSpec
PRESETS: dict[str, Spec] = {**arrays.PRESETS, **crossbar.PRESETS}
KINDS: dict[str, type[ArraySpec] | type[CrossbarSpec]] = {
    "digital": ArraySpec, "analog": CrossbarSpec,
}  # fmt: skip
IDEAL = "ideal"  # in a file: what is None in a spec
FILES = (".toml", ".yaml", ".yml")
LONGEST = 1 << 20  # bytes of a file


def kind_of(spec: Spec) -> str:
    """`digital` or `analog`."""
    return "digital" if isinstance(spec, ArraySpec) else "analog"


def machine(text: str) -> Spec:
    """The machine that `--array` names: a preset, ROWSxLANESxWINDOWS, or a file.

    Raises UsageError for what is none of these, EsnsimError for a file that cannot be read.
    """
    if text in PRESETS:
        return PRESETS[text]
    if text.lower().endswith(FILES):
        return read_machine(Path(text))
    size = re.fullmatch(r"(\d+)x(\d+)(?:x(\d+))?", text)
    if size is None:
        raise UsageError(
            f"--array '{text}' is neither a preset ({', '.join(PRESETS)}), a size like 64x16x1, "
            "nor a .toml or .yaml file"
        )
    rows, lanes, windows = (int(n or 1) for n in size.groups())
    return ArraySpec(rows, lanes, windows)


def read_machine(path: Path) -> Spec:
    """A machine from a TOML or YAML file: one table, `digital` or `analog`, of a spec's fields.

    `preset` names a machine to start from; "ideal" stands for no limit. Raises EsnsimError.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST + 1)
    except OSError as error:
        raise EsnsimError(f"cannot read '{path}': {error.strerror}; check --array") from None
    if len(text) > LONGEST:
        raise EsnsimError(
            f"'{path}' has more than {LONGEST:,} bytes: give a description of a machine"
        )
    tables = _tables(path, text)
    found = list(tables.items()) if isinstance(tables, dict) else []
    if len(found) != 1 or found[0][0] not in KINDS or not isinstance(found[0][1], dict):
        names = ", ".join(repr(name) for name, _ in found) or "no tables"
        raise EsnsimError(f"'{path}' has {names}: give one table, digital or analog")
    [(kind, values)] = found
    try:
        return _spec(kind, dict(values))
    except UsageError as error:
        raise EsnsimError(f"'{path}', {kind}: {error}") from None


def _tables(path: Path, text: bytes) -> object:
    """What a TOML or YAML file holds."""
    toml = path.suffix.lower() == ".toml"
    try:
        if toml:
            return tomllib.loads(text.decode())
        return yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise EsnsimError(f"'{path}' is no {'TOML' if toml else 'YAML'} file: {reason}") from None


def _spec(kind: str, values: dict[str, Any]) -> Spec:
    start: Spec = KINDS[kind]()
    name = values.pop("preset", None)
    if name is not None:
        known = {n: spec for n, spec in PRESETS.items() if isinstance(spec, KINDS[kind])}
        if not isinstance(name, str) or name not in known:
            raise UsageError(f"no preset {name!r}: use one of {', '.join(known)}")
        start = known[name]
    types = {field.name: getattr(start, field.name) for field in fields(start)}
    for key, value in values.items():
        if key not in types:
            raise UsageError(f"no field {key!r}: use {', '.join(types)}, or preset")
        wanted = types[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(wanted, bool) and not isinstance(value, bool):
            raise UsageError(f"{key} = {value!r}: give true or false")
        if isinstance(wanted, str) and not isinstance(value, str):
            raise UsageError(f"{key} = {value!r}: give a name")
        if not isinstance(wanted, bool | str) and not number and value != IDEAL:
            raise UsageError(f"{key} = {value!r}: give a number")
        values[key] = None if value == IDEAL else value
    return replace(start, **values)
