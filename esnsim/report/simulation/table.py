"""A Simulation as a table for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from esnsim.machines.base import Result
from esnsim.machines.simulator import Simulation
from esnsim.report.grid import SCREEN, fitting, folded, grid
from esnsim.report.scored import end_to_end_words
from esnsim.report.units import printable
from esnsim.units import Digits, human, percent

TEXTS = 2


@dataclass(frozen=True, slots=True)
class Look(Digits):
    """How to print: all digits or not, the columns of the screen, bold type."""

    columns: int | None = None
    bold: bool = False


def brief(simulation: Simulation) -> str:
    """The table of the ten layers that take most."""
    return render(simulation, Look(columns=SCREEN), top=10)


def render(simulation: Simulation, look: Look, top: int | None = None) -> str:
    """The table, of the `top` layers that take most or of all in graph order, what it adds up to,
    and which share of the model it is of.
    """
    total = simulation.total
    headings = ("layer", "op", *total.headings, "energy", "share")
    layers, more = simulation.layers, 0
    if top is not None and len(layers) > top:
        layers = tuple(sorted(layers, key=lambda row: row.total_energy, reverse=True)[:top])
        more = len(simulation.layers) - top
    rows = [_cells(*_names(row), row, simulation, look) for row in layers]
    if more:
        rows.append((f"… and {more:,} more", *[""] * (len(headings) - 1)))
    lines = _fitting([headings, *rows, _cells("total", "", total, simulation, look)], total, look)
    table = grid(
        lines[0], lines[1:-1], lines[-1], texts=TEXTS, columns=look.columns, bold=look.bold
    )
    return "\n".join([table, *folded(summary(simulation, look), look.columns)]) + "\n"


def summary(simulation: Simulation, look: Look) -> list[str]:
    """What stands below the table."""
    return [
        *simulation.total.summary(look),
        *(f"speed     {line}" for line in speed(simulation)),
        f"input     {simulation.activations}; figures are of one image's inference",
        *end_to_end_words(simulation.accuracy),
        simulated(simulation, look),
    ]


def simulated(simulation: Simulation, digits: Digits) -> str:
    """The last line: which share of what `cost` counts was simulated."""
    total, (macs, bits) = simulation.total, simulation.left_out
    parts = (("MACs", total.macs, macs), ("MAC×bit", total.esn_d_tilde, bits))
    told = [
        f"{digits.number(ran)} of {digits.number(ran + left)} {what}, "
        + (percent(ran, ran + left) if ran + left else "100.0%")
        for what, ran, left in parts
    ]
    products = simulation.product_macs
    more = f"; products of activations, {digits.number(products)} MACs, are not" if products else ""
    return f"simulated {'; '.join(told)}{more}"


def _cells(
    name: str, op: str, result: Result, simulation: Simulation, look: Look
) -> tuple[str, ...]:
    spent = result.total_energy
    energy = look.energy(spent, simulation.machine.priced)
    share = percent(spent, simulation.total.total_energy)
    return (name, op, *result.columns(look), energy, share)


def _fitting(lines: Sequence[Sequence[str]], total: Result, look: Look) -> list[tuple[str, ...]]:
    """The lines without the columns that are 0 throughout, or that the screen is too narrow for.

    These are of a result's `details`, whose totals are in the summary too.
    """
    shown = [
        column for column in zip(*lines, strict=True)
        if column[0] not in total.details or {*column[1:]} - {""} != {percent(0, 1)}
    ]  # fmt: skip
    return fitting(list(zip(*shown, strict=True)), total.details, look.columns)


def _names(result: Result) -> tuple[str, str]:
    [quantized] = result.layers
    return printable(quantized.layer.name), printable(quantized.layer.op)


def speed(simulation: Simulation) -> list[str]:
    """A line on what a clock makes of the cycles; none without one."""
    found = simulation.speed
    if found is None:
        return []
    watts = f", {found.tops_per_watt:.3g} TOPS/W" if found.tops_per_watt else ""
    return [
        f"{human(found.inferences_per_second)} inferences/s at {human(found.clock)}Hz, "
        f"{found.tops:.3g} TOPS (two operations a dense MAC){watts}"
    ]
