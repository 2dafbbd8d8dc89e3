"""Machines by name, by size, or from a TOML or YAML file of one's own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from esnsim.errors import UsageError, find_known
from esnsim.machines.array import spec as array
from esnsim.machines.base import Kind, Machine
from esnsim.machines.crossbar import spec as crossbar
from esnsim.machines.files import is_file, read_machine
from esnsim.units import Energy, read_energy, read_share

KINDS: dict[str, Kind] = {"digital": array.KIND, "analog": crossbar.KIND}
IDEAL = "ideal"  # in a file: what is None in a description
#: What 100% stands for in the fields that may be percentages.
PERCENT = {"percentile": 100, "programming_error": 1, "read_noise": 1}


def presets() -> dict[str, Machine]:
    """The machines with names, of all kinds."""
    return {name: machine for kind in KINDS.values() for name, machine in kind.presets.items()}


def machine(text: str) -> Machine:
    """The machine that `--array` names: a preset, ROWSxLANESxWINDOWS, or a file.

    Raises UsageError for what is none of these, EsnsimError for a file that cannot be read.
    """
    named = presets()
    if text in named:
        return named[text]
    if is_file(text):
        return read_array(Path(text))
    size = re.fullmatch(r"(\d+)x(\d+)(?:x(\d+))?", text)
    if size is None:
        from esnsim.machines.named.catalog import machines

        if text in machines():
            raise UsageError(f"'{text}' is an accelerator by name: give --machines {text}")
        raise UsageError(
            f"--array '{text}' is neither a preset ({', '.join(named)}), a size like 64x16x1, "
            "nor a .toml or .yaml file"
        )
    rows, lanes, windows = (int(n or 1) for n in size.groups())
    return array.ArraySpec(rows, lanes, windows)


def read_array(path: Path) -> Machine:
    """A machine from a file. `preset` names one to start from; "ideal" stands for no limit.

    Raises EsnsimError.
    """
    return read_machine(path, "--array", KINDS, _spec)


def reprice(
    machine: Machine, given: Mapping[str, Energy], spell: Callable[[str], str] = str
) -> dict[str, Any]:
    """The fields that these energies change, `priced` with them.

    All are with a unit or none, and where that is not what the machine has, the energy that all
    others are relative to is one of them. `spell` names a field. Raises UsageError.
    """
    if len({energy.picojoules for energy in given.values()}) > 1:
        raise UsageError("energies with and without a unit: give all in fJ, pJ or nJ, or none")
    base = KINDS[machine.kind].prices[0].field
    own = "pJ" if machine.priced else "normalised units"
    for name, energy in given.items():
        if energy.picojoules != machine.priced and base not in given:
            raise UsageError(
                f"{spell(name)} is in {'J' if energy.picojoules else 'no unit'}, the machine in "
                f"{own}: give {spell(base)} in the same unit"
            )
    changes: dict[str, Any] = {name: energy.amount for name, energy in given.items()}
    if given:
        changes["priced"] = next(iter(given.values())).picojoules
    return changes


def changed(machine: Machine, values: Mapping[str, Any]) -> Machine:
    """The machine with other values of its fields. Raises UsageError."""
    return replace(machine, **values)


def _spec(kind: str, values: dict[str, Any]) -> Machine:
    start = KINDS[kind].describe()
    name = values.pop("preset", None)
    if name is not None:
        start = find_known("preset", name, KINDS[kind].presets)
    types = {field.name: getattr(start, field.name) for field in fields(start)}
    prices = [price.field for price in (*KINDS[kind].prices, *KINDS[kind].unlisted)]
    energies = {key: value for key, value in values.items() if key in prices}
    for key, value in values.items():
        if key not in types:
            raise UsageError(f"no field {key!r}: use {', '.join(types)}, or preset")
        if key not in energies:
            values[key] = _value(key, value, types[key])
    in_pj = values.get("priced", start.priced)
    given = {key: _energy(key, value, in_pj) for key, value in energies.items()}
    if in_pj and not start.priced and prices[0] not in given:
        raise UsageError(f"priced, and no {prices[0]}: give it, all else is in its unit")
    told = reprice(start, given)
    if told.get("priced", in_pj) != in_pj and "priced" in values:
        raise UsageError("energies have a unit, and priced is false: leave priced out")
    return changed(start, values | told)


def _value(key: str, value: object, wanted: object) -> object:
    """A value of a file, of the type of the one that it replaces."""
    if key in PERCENT and isinstance(value, str):
        return _percentage(key, value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(wanted, bool) and not isinstance(value, bool):
        raise UsageError(f"{key} = {value!r}: give true or false")
    if isinstance(wanted, str) and not isinstance(value, str):
        raise UsageError(f"{key} = {value!r}: give a name")
    words = [w for k in KINDS.values() for o in k.options if o.field == key for w in o.words]
    if not isinstance(wanted, bool | str) and not number and value not in (IDEAL, *words):
        raise UsageError(f"{key} = {value!r}: give a number")
    return None if value == IDEAL else value


def _percentage(key: str, text: str) -> float:
    whole = PERCENT[key] if "%" in text else 1
    try:
        return round(whole * read_share(text), 12)
    except ValueError:
        raise UsageError(f"{key} = {text!r}: give a number, or one with %") from None


def _energy(key: str, value: object, in_pj: bool) -> Energy:
    """An energy of a file: with a unit, or in that of the machine."""
    if not isinstance(value, str):
        return Energy(float(_number(key, value)), in_pj)
    found = read_energy(value)
    return Energy(found.amount, found.picojoules or in_pj)


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{key} = {value!r}: give a number, or an energy like 50fJ")
    return value
