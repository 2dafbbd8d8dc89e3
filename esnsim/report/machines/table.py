"""Machines by name as tables for the terminal: what there is, and what a network takes on them."""

from collections.abc import Mapping
from textwrap import wrap

from esnsim.machines.named.comparison import Comparison, Taken
from esnsim.machines.named.description import Described
from esnsim.report.grid import SCREEN, folded, grid
from esnsim.report.simulation.table import Look
from esnsim.units import Digits, human

NONE = "–"


def render(comparison: Comparison, look: Look, equal: bool = True) -> str:
    """What each machine takes; with `equal` at equal one-bit multipliers, the least first."""
    key = by_work if equal else _cycles
    rows = [_row(taken, comparison, look, equal) for taken in sorted(comparison.taken, key=key)]
    headings = ["machine", "size", "cycles", "used", "idle most for"]
    headings += ["÷ 8×8 bits", "÷ ideal"] if equal else ["multipliers"]
    headings += ["DRAM", "bound"] if comparison.memory else []
    table = grid(headings, rows, texts=2, columns=look.columns, bold=look.bold)
    return "\n".join([table, *folded(summary(comparison, look, equal), look.columns)]) + "\n"


def brief(comparison: Comparison) -> str:
    """The table for a screen of 80 columns."""
    return render(comparison, Look(columns=SCREEN))


def by_work(taken: Taken) -> tuple[bool, float]:
    """Least work at equal one-bit multipliers first; analog machines last."""
    return taken.one_bit is None, float(taken.one_bit or taken.cycles)


def _cycles(taken: Taken) -> tuple[bool, float]:
    return taken.one_bit is None, float(taken.cycles)


def _row(taken: Taken, comparison: Comparison, look: Digits, equal: bool) -> list[str]:
    idle = taken.waits_for
    cells = [
        taken.name,
        taken.machine.size,
        look.number(float(taken.cycles)),
        NONE if taken.used is None else f"{taken.used:.1%}",
        NONE if idle is None else f"{idle[0]} {idle[1]:.0%}",
    ]
    multipliers = taken.machine.multipliers
    if equal:
        cells += [_ratio(taken, comparison.dense), _ratio(taken, comparison.ideal)]
    else:
        cells.append(NONE if multipliers is None else look.number(multipliers))
    if comparison.memory is None:
        return cells
    if not taken.moved:
        return [*cells, NONE, NONE]
    spent = comparison.memory.energy(sum(taken.moved))
    return [*cells, look.energy(spent, True), f"{sum(taken.waiting)} of {len(taken.counts)}"]


def _ratio(taken: Taken, base: int) -> str:
    return f"{float(taken.one_bit / base):.2f}" if taken.one_bit is not None and base else NONE


def summary(comparison: Comparison, look: Digits, equal: bool) -> list[str]:
    """What stands below the table."""
    number, bits = look.number, comparison.activation_bits
    left = sum(item.macs for item in comparison.not_simulated)
    lines = [
        f"MAC×bit   {number(comparison.esn_d_tilde)} of {number(comparison.macs)} MACs; ideal "
        f"{number(comparison.ideal)} one-bit MACs, at {bits}-bit activations",
    ]
    if equal:
        lines.append(
            "compared  cycles × one-bit multipliers: ÷ 8×8 bits of a MAC, pruned or not, in each "
            "multiplier of 8 by 8 bits, ÷ ideal of MAC×bit; schedulers, shifters, buffers are in "
            "no multiplier"
        )
    if comparison.memory:
        lines.append(
            f"memory    {comparison.memory.source}; bound: layers that wait for DRAM, whose work "
            "takes less than its transfers"
        )
    if any(taken.machine.multipliers is None for taken in comparison.taken):
        lines.append("analog    cycles are reads, which multipliers are not compared with")
    lines.append(f"input     {comparison.activations}; figures are of one image's inference")
    if left:
        lines.append(f"left out  {human(left)} MACs of {len(comparison.not_simulated)} layers")
    return lines


def listing(machines: Mapping[str, Described], columns: int = 100) -> str:
    """Every machine with its size, source, what is assumed and what it leaves out."""
    lines = []
    for name, machine in machines.items():
        lines.append(f"{name}  ({machine.kind}, {machine.size})")
        for label, text in (
            ("", machine.source),
            ("assumed: ", machine.assumed),
            ("leaves out: ", machine.leaves_out),
        ):
            if text:
                indent = {"initial_indent": "    ", "subsequent_indent": "      "}
                lines += wrap(label + text, columns, **indent)  # type: ignore[arg-type]
    return "\n".join(lines) + "\n"
