"""Machines by name as tables for the terminal: what there is, and what a network takes on them."""

from collections.abc import Mapping
from textwrap import wrap

from esnsim.machines.named.comparison import COMPUTE, Comparison, Taken
from esnsim.machines.named.description import Described
from esnsim.machines.named.memory import LEVELS
from esnsim.report.grid import SCREEN, fitting, folded, grid
from esnsim.report.simulation.table import Look
from esnsim.units import Digits, human

NONE = "–"
EXPENDABLE = ("size", "bound", "used", "÷ ideal", "lost most to")  # columns, on a narrow screen


def render(comparison: Comparison, look: Look, equal: bool = True) -> str:
    """What each machine takes; with `equal` at equal one-bit multipliers, the least first."""
    key = by_work if equal else _cycles
    columns = ["machine", "size", "cycles", "used", "lost most to"]
    columns += ["÷ 8×8 bits", "÷ ideal"] if equal else ["multipliers"]
    columns += ["DRAM", "bound"] if _memories(comparison) else []
    columns += ["energy"] if comparison.prices else []
    columns += ["images/s"] if comparison.clock else []
    cells = [_row(taken, comparison, look, equal) for taken in sorted(comparison.taken, key=key)]
    headings, *rows = fitting([columns, *cells], EXPENDABLE, look.columns)
    texts = 1 + ("size" in headings)
    table = grid(headings, rows, texts=texts, columns=look.columns, bold=look.bold)
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
    multipliers = taken.machine.multipliers
    cells = [
        taken.name,
        taken.machine.size,
        look.number(float(taken.cycles)),
        NONE if taken.used is None else f"{taken.used:.1%}",
        lost_to(comparison.lost(taken)),
    ]
    if equal:
        found = comparison.of_dense(taken), comparison.of_ideal(taken)
        cells += [NONE if ratio is None else f"{ratio:.2f}" for ratio in found]
    else:
        cells.append(NONE if multipliers is None else look.number(multipliers))
    if _memories(comparison):
        cells += [look.energy(taken.dram_pj, True) if taken.moved else NONE, bound(taken)]
    if comparison.prices:
        cells.append(look.energy(taken.total_pj, True) if taken.parts else NONE)
    if comparison.clock:
        rate = comparison.rate(taken)
        cells.append(NONE if rate is None else look.number(rate))
    return cells


def lost_to(lost: Mapping[str, float]) -> str:
    """The cause that takes most of what is not ideal, and its share of all."""
    causes = {cause: share for cause, share in lost.items() if cause != "ideal"}
    cause = max(causes, key=lambda name: causes[name], default=None)
    return NONE if cause is None or causes[cause] <= 0 else f"{cause} {causes[cause]:.0%}"


def bound(taken: Taken) -> str:
    """How many layers wait for a level of memory, by the level; nothing without a memory."""
    if not taken.moved:
        return NONE
    waits = {level: taken.bounds.count(level) for level in LEVELS}
    told = [f"{level} {number}" for level, number in waits.items() if number]
    return f"{', '.join(told) or COMPUTE} of {len(taken.bounds)}"


def summary(comparison: Comparison, look: Digits, equal: bool) -> list[str]:
    """What stands below the table."""
    number, bits = look.number, comparison.activation_bits
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
    lines.append(
        "lost      share that is not ideal, by its first cause: units idle, or widths (multiplied "
        "beyond MAC×bit × activation bits); on analog machines, of energy by part"
    )
    for source, names in _memories(comparison).items():
        behind = "" if comparison.memory else f"behind {', '.join(names)}: "
        lines.append(
            f"memory    {behind}{source}; bound: layers that wait for DRAM (memory) or for its "
            "ports (buffer), whose work takes less than its transfers"
        )
    if any(taken.machine.multipliers is None for taken in comparison.taken):
        priced = "; ÷ ideal of energy, that of ESNa" if comparison.ideal_analog else ""
        told = f"analog    cycles are reads, which multipliers are not compared with{priced}"
        lines.append(told)
        lines += [
            f"          {taken.name}: converters of up to {max(taken.adc_bits)} bits lose nothing, "
            f"{min(taken.adc_bits)} in some layer"
            for taken in comparison.taken if taken.adc_bits
        ]  # fmt: skip
    if comparison.prices:
        assumed = comparison.prices.assumed
        lines.append(f"energy    {comparison.prices.source}" + (f"; {assumed}" if assumed else ""))
    lines.append(f"input     {comparison.activations}; figures are of one image's inference")
    if comparison.left_out:
        left = human(comparison.left_out)
        lines.append(f"left out  {left} MACs of {len(comparison.not_simulated)} layers")
    return lines


def _memories(comparison: Comparison) -> dict[str, list[str]]:
    """The machines that have a memory behind them, by its source."""
    found: dict[str, list[str]] = {}
    for taken in comparison.taken:
        if taken.memory:
            found.setdefault(taken.memory.source, []).append(taken.name)
    return found


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
