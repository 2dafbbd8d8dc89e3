"""The machines that `esnsim simulate` runs: their options, and what follows from them."""

import argparse
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from esnsim.commands import options
from esnsim.commands.paths import InputFile, machine_files
from esnsim.errors import UsageError

if TYPE_CHECKING:
    from esnsim.machines.base import Machine


def variants() -> dict[str, tuple[str, str]]:
    """By word of --compare, the kind of machine and the field of which all choices run."""
    from esnsim.machines.presets import KINDS

    return {word: (name, field) for name, k in KINDS.items() for word, field in k.compare.items()}


def told_apart(arguments: argparse.Namespace) -> str:
    """The field in which the machines that run differ."""
    return next(
        (field for word, (_, field) in variants().items() if word in arguments.compare), "kind"
    )


def join_compared(words: Sequence[str]) -> list[str]:
    """`--compare digital analog MODEL` with the words compared as one, apart from the model."""
    if "--compare" not in words:
        return list(words)
    from esnsim.machines.presets import KINDS

    known, at = {*KINDS, *variants()}, words.index("--compare") + 1
    end = at
    while end < len(words) and words[end] in known:
        end += 1
    return [*words[:at], *([",".join(words[at:end])] if end > at else []), *words[end:]]


def add_machine(group: "argparse._ArgumentGroup") -> None:
    """Add the options that describe machines."""
    from esnsim.machines.presets import KINDS, presets

    add = group.add_argument
    add("--engine", choices=(*KINDS, "both"), help=f"default {next(iter(KINDS))}")
    add(
        "--array", action="append", default=[], metavar="PRESET|FILE|64x16x1",
        type=InputFile(str, machine_files),
        help=f"machine: a preset ({', '.join(presets())}), rows × lanes × windows, or a .toml or "
        ".yaml file; twice with --engine both",
    )  # fmt: skip
    add(
        "--compare", type=options.names((*variants(), *KINDS)), default=(),
        metavar=f"schedules|{' '.join(KINDS)}",
        help="schedules: all of them; two kinds: side by side, with the width at which they "
        "cross (Eq. 6)",
    )  # fmt: skip
    for option in {o.field: o for kind in KINDS.values() for o in kind.options}.values():
        add(
            flag(option.field), choices=option.choices or None, help=option.help,
            type=options.whole_or(option.words) if option.whole else str,
            metavar=None if option.choices else "N",
        )  # fmt: skip
    for option in {o.field: o for kind in KINDS.values() for o in kind.prices}.values():
        add(flag(option.field), type=options.energy, metavar="50fJ", help=option.help)
    add("--clock", type=options.frequency, metavar="500MHz", help="adds speeds of digital machines")
    add("--threads", type=options.count, default=0, help="0 (default): one a core")


def flag(field: str) -> str:
    """The option that sets a field."""
    return f"--{field.replace('_', '-')}"


def machines(arguments: argparse.Namespace) -> "list[Machine]":
    """The machines that the options describe, one or more. Raises UsageError."""
    from esnsim.machines.presets import KINDS, machine

    given = {found.kind: found for found in map(machine, arguments.array)}
    if len(given) < len(arguments.array):
        raise UsageError("--array names two machines of one kind: give one, or one of each")
    kinds = _kinds(arguments, list(given))
    _check(arguments, kinds)
    starts = (given.get(kind) or machine(KINDS[kind].default) for kind in kinds)
    found = [_changed(start, arguments) for start in starts]
    if len(kinds) > 1 and arguments.compare and len({one.priced for one in found}) > 1:
        bases = " and ".join(flag(KINDS[kind].prices[0].field) for kind in kinds)
        raise UsageError(f"one machine is in joules and the other is not: give both {bases}")
    return _variants(found, set(arguments.compare) & variants().keys(), arguments)


def _kinds(arguments: argparse.Namespace, given: list[str]) -> list[str]:
    """The kinds of machines to run. Raises UsageError."""
    from esnsim.machines.presets import KINDS

    compare, words = list(arguments.compare), variants()
    two = len(compare) == 2 and set(compare) <= set(KINDS)
    if compare and not two and compare not in [[word] for word in words]:
        pairs = " or ".join(f"'{' '.join(pair)}'" for pair in combinations(KINDS, 2))
        raise UsageError(f"--compare takes {', '.join(map(repr, words))}, or {pairs}")
    kinds = [arguments.engine or next(iter(given or KINDS))]
    if two or len(given) > 1:
        kinds = [kind for kind in KINDS if kind in (compare if two else given)]
    elif arguments.engine == "both":
        kinds = list(KINDS)[:2]
    if not set(given) <= set(kinds):
        raise UsageError(
            f"--array names a machine that is not {kinds[0]}: give --engine both, or the other"
        )
    return kinds


def _variants(
    found: "Sequence[Machine]", words: set[str], arguments: argparse.Namespace
) -> "list[Machine]":
    """All choices of the field that --compare names, or what was found as it is."""
    from esnsim.machines.presets import KINDS, changed

    if not words:
        return list(found)
    [word] = words
    kind, field = variants()[word]
    if found[0].kind != kind or len(found) > 1 or getattr(arguments, field):
        raise UsageError(f"--compare {word} takes one {kind} array, and all {word}")
    [choices] = [option.choices for option in KINDS[kind].options if option.field == field]
    return [changed(found[0], {field: choice}) for choice in choices]


def _check(arguments: argparse.Namespace, kinds: list[str]) -> None:
    """Raise UsageError for options about a kind of machine that is not run."""
    from esnsim.machines.presets import KINDS

    own = {
        name: {*(o.field for o in (*kind.options, *kind.prices)), *["clock"][: kind.clocked]}
        for name, kind in KINDS.items()
    }
    shown = set().union(*(own[kind] for kind in kinds))
    for kind in KINDS:
        for name in sorted(own[kind] - shown):
            if getattr(arguments, name) is not None:
                raise UsageError(
                    f"{flag(name)} is about {kind} machines, but this one is {kinds[0]}: give "
                    f"--engine {kind} or both, or leave it out"
                )


def _changed(start: "Machine", arguments: argparse.Namespace) -> "Machine":
    """The machine with the options' fields and energies. Raises UsageError."""
    from esnsim.machines.presets import KINDS, changed, reprice

    values: dict[str, Any] = {}
    for option in KINDS[start.kind].options:
        value = getattr(arguments, option.field)
        if value is not None:
            values |= {option.field: value, **dict(option.sets)}
    given = {o.field: getattr(arguments, o.field) for o in KINDS[start.kind].prices}
    energies = {name: energy for name, energy in given.items() if energy is not None}
    machine = changed(start, values | reprice(start, energies, flag))
    for option in KINDS[start.kind].options:
        if option.needs and option.field in values and getattr(machine, option.needs) is None:
            raise UsageError(
                f"{flag(option.field)} means nothing without {flag(option.needs)}: give that too"
            )
    return machine
