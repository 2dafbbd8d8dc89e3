"""Accelerators by name side by side, of `esnsim simulate --machines`: options, run, report."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from esnsim.commands import machine
from esnsim.commands.paths import InputFile, machine_files
from esnsim.errors import UsageError

if TYPE_CHECKING:
    from esnsim.evaluate.simulation import Activations, Watch
    from esnsim.graph.model import Model
    from esnsim.machines.named.comparison import Comparison
    from esnsim.machines.named.description import Described
    from esnsim.quantization.quantizer import QuantizedNetwork
    from esnsim.report.simulation.table import Look

EQUAL = ("multipliers", "none")
BITS = 8  # of an activation


def add_accelerators(group: "argparse._ArgumentGroup") -> None:
    """Add the options that name machines to compare."""
    from esnsim.machines.named.memories import MEMORIES
    from esnsim.machines.named.prices import NODES

    group.add_argument(
        "--machines", metavar="NAME|FILE,…|all", type=InputFile(str, _files),
        help="accelerators side by side: stripes,loom,maki or all (`esnsim machines` lists them)",
    )  # fmt: skip
    group.add_argument(
        "--equal", choices=EQUAL,
        help="with --machines: compare cycles × one-bit multipliers (default), or cycles",
    )  # fmt: skip
    group.add_argument(
        "--memory", metavar=f"{'|'.join(MEMORIES)}|FILE", type=InputFile(str, machine_files),
        help="with --machines: buffers and DRAM behind each, which a layer may wait for (default "
        "that of a machine's own file)",
    )  # fmt: skip
    group.add_argument(
        "--node", metavar=f"{'|'.join(NODES)}|FILE", type=InputFile(str, machine_files),
        help="with --machines: energy by part at these prices, or those of a file",
    )  # fmt: skip
    group.add_argument(
        "--density", metavar="40%|FILE", type=InputFile(str, _counts),
        help="with --machines, without images: the share of activations that are not 0, or a .json "
        "list of how often there is each integer (default: all alike)",
    )  # fmt: skip


def chosen(arguments: argparse.Namespace) -> "Mapping[str, Described]":
    """The machines that --machines names, none without it. Raises UsageError."""
    if arguments.machines is None:
        for option in ("equal", "memory", "node", "density", "picture"):
            if getattr(arguments, option):
                raise UsageError(f"--{option} is about machines by name: give --machines")
        return {}
    from esnsim.machines.named.catalog import choose

    other = next((flag for flag in _others(arguments) if flag), None)
    if other:
        raise UsageError(f"{other} does not go with --machines: leave one out")
    return choose(arguments.machines)


def compare(
    arguments: argparse.Namespace, model: "Model", network: "QuantizedNetwork",
    machines: "Mapping[str, Described]", given: "Activations", watch: "Watch",
) -> "Comparison":  # fmt: skip
    """What each machine takes of the network."""
    from esnsim.evaluate.comparison import Choice, compare_model
    from esnsim.machines.named.memories import find_memory
    from esnsim.machines.named.prices import find_prices

    memory = find_memory(arguments.memory) if arguments.memory else None
    prices = find_prices(arguments.node) if arguments.node else None
    choice = Choice(
        machines=machines, bits=arguments.activation_bits or BITS, memory=memory, prices=prices,
        clock=arguments.clock,
        density=arguments.density, threads=arguments.threads,
    )  # fmt: skip
    return compare_model(model, network, choice, given, watch)


def render(comparison: "Comparison", form: str, arguments: argparse.Namespace, look: "Look") -> str:
    """The report in a form, or as a table."""
    from esnsim.report.machines import table
    from esnsim.report.machines.document import FORMS

    if form in FORMS:
        return FORMS[form].text(comparison)
    return table.render(comparison, look, arguments.equal != "none")


def _counts(density: str) -> list[Path]:
    return [Path(density)] if density.lower().endswith(".json") else []


def _files(names: str) -> list[Path]:
    return [path for name in names.split(",") for path in machine_files(name.strip())]


def _others(arguments: argparse.Namespace) -> list[str | None]:
    """Options about the machines of --array that are given."""
    from esnsim.machines.presets import KINDS

    fields = {o.field for kind in KINDS.values() for o in (*kind.options, *kind.prices)}
    names = ["array", "engine", "compare", "end_to_end", *sorted(fields)]
    names.remove("activation_bits")
    return [machine.flag(name) if getattr(arguments, name, None) else None for name in names]
