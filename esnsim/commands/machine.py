"""The machines that `esnsim simulate` runs: their options, and what follows from them."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esnsim.commands import options
from esnsim.errors import UsageError

if TYPE_CHECKING:
    from esnsim.machines.machine import Spec

KINDS = ("digital", "analog")
SCHEDULES = ("bit-parallel", "sorted", "serial")
DEFAULTS = {"digital": "maki", "analog": "ideal-analog"}
FIELDS = {  # of a machine, as options give them
    "digital": ("schedule", "activation_bits"),
    "analog": ("activation_bits", "adc_bits", "adc_range", "adc_law"),
}
ENERGIES = {  # the first of each is what all others are relative to
    "digital": ("e_bit", "e_idle", "e_weight_bit", "e_activation_bit", "e_dram_bit"),
    "analog": ("e_cell", "e_adc"),
}


def add_machine(group: "argparse._ArgumentGroup") -> None:
    """Add the options that describe machines."""
    add = group.add_argument
    add("--engine", choices=(*KINDS, "both"), help="default digital")
    add(
        "--array", action="append", default=[], metavar="PRESET|FILE|64x16x1",
        help="machine: a preset (ideal-digital, maki, maki-serial, int8, ideal-analog, isaac), "
        "rows × lanes × windows, or a .toml or .yaml file; twice with --engine both",
    )  # fmt: skip
    add("--schedule", choices=SCHEDULES, help="of a digital array")
    add(
        "--compare", nargs="+", choices=("schedules", *KINDS), default=[],
        help="schedules: all three; digital analog: side by side, with the width at which they "
        "cross (Eq. 6)",
    )  # fmt: skip
    add("--activation-bits", type=options.at_least_one, metavar="N", help="default 8")
    add("--adc-bits", type=options.at_least_one, metavar="N", help="of analog converters")
    add("--adc-range", choices=("max", "granular", "calibrated"), help="of analog converters")
    add(
        "--adc-law", choices=("fixed", "scaled", "capacitive", "survey"),
        help="price conversions, driven rows and shift–adds too, conversions by this law",
    )  # fmt: skip
    for name, what in (
        ("e-bit", "an active one-bit MAC unit in a cycle"),
        ("e-idle", "an idle one"),
        ("e-weight-bit", "a weight bit read from the buffer"),
        ("e-activation-bit", "an activation bit read from the buffer"),
        ("e-dram-bit", "a bit moved by DRAM"),
        ("e-cell", "an analog cell operation at |W| = 1"),
        ("e-adc", "an analog conversion (of 8 bits under --adc-law scaled)"),
    ):
        add(f"--{name}", type=options.energy, metavar="50fJ", help=what)
    add("--clock", type=options.frequency, metavar="500MHz", help="adds speeds of digital arrays")
    add("--threads", type=options.count, default=0, help="0 (default): one a core")


def machines(arguments: argparse.Namespace) -> "list[Spec]":
    """The machines that the options describe, one or more. Raises UsageError."""
    from esnsim.machines.array.spec import ArraySpec
    from esnsim.machines.presets import kind_of, machine

    compare = set(arguments.compare)
    if compare not in (set(), {"schedules"}, set(KINDS)):
        raise UsageError("--compare takes 'schedules', or 'digital analog'")
    given = {kind_of(spec): spec for spec in map(machine, arguments.array)}
    if len(given) < len(arguments.array):
        raise UsageError("--array names two machines of one kind: give one, or one of each")
    both = arguments.engine == "both" or "analog" in compare or len(given) > 1
    kinds = list(KINDS) if both else [arguments.engine or next(iter(given), "digital")]
    if not given.keys() <= set(kinds):
        raise UsageError(
            f"--array names a machine that is not {kinds[0]}: give --engine both, or the other"
        )
    _check(arguments, kinds)
    specs = [_changed(given.get(kind) or machine(DEFAULTS[kind]), arguments) for kind in kinds]
    if "schedules" not in compare:
        return specs
    if not isinstance(specs[0], ArraySpec) or both or arguments.schedule:
        raise UsageError("--compare schedules takes one digital array, and all three schedules")
    return [replace(specs[0], schedule=name) for name in SCHEDULES]


def _check(arguments: argparse.Namespace, kinds: list[str]) -> None:
    """Raise UsageError for options about a kind of machine that is not run, and mixed units."""
    for kind in set(KINDS) - set(kinds):
        own = {*FIELDS[kind], *ENERGIES[kind], *(("clock",) if kind == "digital" else ())}
        for name in sorted(own - {"activation_bits"}):
            if getattr(arguments, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} is about {kind} machines, but this one is "
                    f"{kinds[0]}: give --engine {kind} or both, or leave it out"
                )
    energies = [v for v in vars(arguments).values() if isinstance(v, options.Energy)]
    if len({energy.picojoules for energy in energies}) > 1:
        raise UsageError("energies with and without a unit: give all in fJ, pJ or nJ, or none")


def _changed(spec: "Spec", arguments: argparse.Namespace) -> "Spec":
    """The machine with the options' fields and energies. Raises UsageError."""
    from esnsim.machines.presets import kind_of

    kind = kind_of(spec)
    changes: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in FIELDS[kind]
        if getattr(arguments, name) is not None
    }
    if "adc_law" in changes:
        changes["converters"] = True
    given = {name: getattr(arguments, name) for name in ENERGIES[kind]}
    amounts = {name: energy for name, energy in given.items() if energy is not None}
    base = ENERGIES[kind][0]
    for name, energy in amounts.items():
        if energy.picojoules != spec.priced and base not in amounts:
            raise UsageError(
                f"--{name.replace('_', '-')} is in {'J' if energy.picojoules else 'no unit'}, the "
                f"machine in {'pJ' if spec.priced else 'normalised units'}: give "
                f"--{base.replace('_', '-')} in the same unit"
            )
        changes[name], changes["priced"] = energy.amount, energy.picojoules
    return replace(spec, **changes)
