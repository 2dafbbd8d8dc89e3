"""The accelerators that have names, and each as a file to start from."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from esnsim.errors import UsageError
from esnsim.machines.files import MEMORY, TABLES, has_table, is_file, nearest, read_machine
from esnsim.machines.named.cartesian import Cartesian
from esnsim.machines.named.description import Described, own_fields
from esnsim.machines.named.lanes import Lanes
from esnsim.machines.named.memories import find_memory
from esnsim.machines.named.reads import Reads
from esnsim.machines.named.systolic import Systolic

DESCRIPTIONS: Mapping[str, type[Any]] = {
    kind.kind: kind for kind in (Lanes, Systolic, Cartesian, Reads)
}
ALL = "all"


@cache
def machines() -> dict[str, Described]:
    """All machines with names, as `machines.toml` has them."""
    tables = tomllib.loads((files(__package__) / "machines.toml").read_text("utf-8"))
    return {name: DESCRIPTIONS[table.pop("kind")](**table) for name, table in tables.items()}


def choose(names: "str | Sequence[str | Described]") -> dict[str, Described]:
    """The machines that a text names, apart by commas, or a list: names, files, all, descriptions.

    Raises UsageError for names that there are not or that two have, EsnsimError for files that
    cannot be read.
    """
    chosen: dict[str, Described] = {}
    for part in names.split(",") if isinstance(names, str) else names:
        for name, found in _named(part).items():
            if chosen.setdefault(name, found) != found:
                raise UsageError(f"two machines are called '{name}': give another file name")
    if not chosen:
        raise UsageError(f"no machine is named: give some of {', '.join(machines())}, or all")
    return chosen


def _named(part: "str | Described") -> dict[str, Described]:
    if not isinstance(part, str):
        return {f"{part.kind} {part.size}": part}
    name = part.strip()
    if name == ALL:
        return machines()
    if is_file(name):
        return {Path(name).stem: read_named(Path(name))}
    return {name: machine(name)} if name else {}


def machine(name: str) -> Described:
    """The machine of a name. Raises UsageError with the nearest one."""
    known = machines()
    if name not in known:
        raise UsageError(
            f"no machine '{name}': {nearest(name, known)} (`esnsim machines` lists all)"
        )
    return known[name]


def read_named(path: Path) -> Described:
    """A machine from a file, with its memory if that has one. `preset` names one of the kind to
    start from. Raises EsnsimError.
    """
    found = read_machine(path, "--machines", DESCRIPTIONS, _described, TABLES)
    if not has_table(path, "--machines", MEMORY):
        return found
    with_memory: Described = replace(found, memory=find_memory(str(path), "--machines"))
    return with_memory


def _described(kind: str, values: dict[str, Any]) -> Described:
    start = DESCRIPTIONS[kind]()
    if "preset" in values:
        start = machine(str(values.pop("preset")))
        if start.kind != kind:
            raise UsageError(f"the preset is a {start.kind} machine: write [{start.kind}]")
    known = [field.name for field in fields(start) if field.name != MEMORY]
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"no field '{key}': {nearest(key, known)}")
        _check_type(key, value, getattr(start, key))
    changed: Described = replace(start, **values)
    return changed


def _check_type(key: str, value: object, wanted: object) -> None:
    """Raise UsageError unless a value is of the type of the one that it replaces."""
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    right = isinstance(value, type(wanted)) and isinstance(value, bool) == isinstance(wanted, bool)
    if not right and not (isinstance(wanted, float) and type(value) is int):
        raise UsageError(f"{key} = {value!r}: give {kinds[type(wanted)]}")


def as_file(name: str) -> str:
    """The machine of a name as a file to start from, every field with what it means."""
    found = machine(name)
    defaults = {f.name: f.default for f in fields(found) if f.default is not MISSING}
    lines = [f"# {name}: {found.source}"]
    lines += [f"# assumed: {found.assumed}"] if found.assumed else []
    lines += [f"# leaves out: {found.leaves_out}"] if found.leaves_out else []
    lines.append(f"[{found.kind}]")
    for key, value in own_fields(found).items():
        told = HELP[key] + (f" ({_toml(defaults[key])})" if value != defaults[key] else "")
        lines.append(f"{f'{key} = {_toml(value)}':32}  # {told}")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


#: What each field means, with its unit; a default that is not the value stands behind it.
HELP = {
    "rows": "filters side by side; of a grid, its rows",
    "lanes": "weights of a filter side by side",
    "windows": "output positions side by side",
    "columns": "columns of the grid",
    "order": "lanes run flat (across kernel taps), tap by tap, or over a channel's taps",
    "flat_channels": "layers of up to so many channels are flat",
    "run": "windows side by side are of one image, or of one output row",
    "activation": "cycles of an activation: one, stored, width, columns, ones",
    "weight": "of a weight: these, planes, significances, half lanes, lines",
    "encoding": "bits of weights: two's complement, sign-magnitude, sign bit, booth, midrise",
    "stored": "the stored width of a weight is that of its filter, or of its layer",
    "wait": "all wait for the slowest, or lanes first multiply apart",
    "sort": "the widest filters first",
    "bricks": "whole operands of 2, 4 or 8 bits, narrower ones make more lanes",
    "bits": "bits of a whole operand that are multiplied in one cycle",
    "least_activation": "fewest cycles of a group of activations",
    "least_weight": "fewest cycles of a group of weights",
    "step_extra": "cycles added to each step",
    "zero_extra": "cycles added for each of 7 columns that is not taken",
    "lookahead": "lines from which weights are moved forward",
    "lookaside": "neighbours from which they are",
    "row_units": "units of a row in a window; 0: one a lane",
    "share": "units that share a multiplier",
    "clock_mhz": "MHz; 500 where no clock was published",
    "dataflow": "weight-, input- or output-stationary",
    "side": "elements along either side of the plane",
    "activations": "activations that are paired at once",
    "weights": "weights that are paired at once",
    "accumulator": "outputs that an element holds",
    "banks": "banks of the accumulator, in which products meet; 0: conflicts are left out",
    "dac_bits": "bits of an activation that a read drives; 0: all",
    "cell_bits": "bits of a weight in a cell",
    "read_ns": "ns of a read",
    "stages": "reads that fill the pipeline of a product",
    "fill": "reads that fill the pipeline of a layer, once an image",
    "serial": "slices of a weight one after the other",
    "pipelined": "layers work on different images at a time: the slowest sets the rate",
    "cells": "what a read of cells takes depends on: array (nothing), weights (W²), inputs (x²·G)",
    "flip": "columns that sum to more than half of the most are stored inverted",
}
