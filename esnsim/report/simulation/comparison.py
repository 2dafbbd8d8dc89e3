"""Machines side by side: variants of one, or two kinds layer by layer."""

from esnsim.machines.base import Machine, unit_of
from esnsim.machines.crossing import compare
from esnsim.machines.simulator import Beside
from esnsim.report.grid import folded, grid
from esnsim.report.scored import end_to_end_words, score
from esnsim.report.simulation.table import Look, simulated, speed
from esnsim.report.simulation.table import brief as table_of
from esnsim.report.units import printable
from esnsim.units import joules


def brief(beside: Beside) -> str:
    """The table of each machine, one below the other."""
    return "\n".join(map(table_of, beside.simulations))


def compared(beside: Beside, look: Look) -> str:
    """The machines in one table: two kinds layer by layer, variants of one in a row each."""
    return _kinds(beside, look) if beside.field == "kind" else _variants(beside, look)


def _variants(beside: Beside, look: Look) -> str:
    """What the same network takes with each value of a machine's field."""
    first = beside.simulations[0]
    rows, machine = [], first.machine
    scored, timed = first.accuracy is not None, first.speed is not None
    for name, simulation in zip(beside.names, beside.simulations, strict=True):
        total, found = simulation.total, simulation.speed
        cells = dict(zip(total.headings, total.columns(look), strict=True))
        rows.append([
            name,
            *(cells[heading] for heading in total.compared),
            look.energy(total.total_energy, machine.priced),
            *([look.number(round(found.inferences_per_second))] if found else []),
            *([score(simulation.accuracy.found)] if simulation.accuracy else []),
        ])  # fmt: skip
    spent = "energy" if machine.priced else f"energy, {unit_of(machine)}"
    headings = (
        beside.field, *first.total.compared, spent,
        *["inferences/s"][:timed], *["accuracy"][:scored],
    )  # fmt: skip
    table = grid(headings, rows, columns=look.columns, bold=look.bold)
    lines = [
        f"{machine.size}; MAC×bit {look.number(first.total.esn_d_tilde)}; {first.activations}",
        simulated(first, look),
    ]
    return "\n".join([table, *folded(lines, look.columns)]) + "\n"


def _kinds(beside: Beside, look: Look) -> str:
    """Energy of each layer on two machines, and the width from which the second takes more."""
    first, second = beside.simulations
    one, other = first.machine, second.machine
    names, found = (one.kind, other.kind), compare(first, second)
    rows = [
        (
            printable(layer.quantized.layer.name),
            f"{int(layer.quantized.sums.width_code.max(initial=0))}",
            look.energy(layer.one, one.priced),
            look.energy(layer.other, other.priced),
            "–" if layer.ratio is None else f"{layer.ratio:.2f}",
            "none" if layer.crossing is None else f"{layer.crossing}",
        )
        for layer in found.layers
    ]
    headings = ("layer", "widest", *names, f"{names[1]} ÷ {names[0]}", "crosses at")
    table = grid(headings, rows, columns=look.columns, bold=look.bold)
    cross = found.uniform
    lines = [
        f"{names[0]} {_price(one)}; {names[1]} {_price(other)}",
        "crosses at: the nominal width (one step a layer) from which "
        f"{other.ideal_formula} exceeds {one.ideal_formula}",
        f"Eq. 6, all weights at the largest amplitude: {'none' if cross is None else cross} bits",
        *(
            f"{s.machine.kind}: {line}"
            for s in beside.simulations
            for line in (*end_to_end_words(s.accuracy), *speed(s))
        ),
        simulated(first, look),
    ]
    return "\n".join([table, *folded(lines, look.columns)]) + "\n"


def _price(machine: Machine) -> str:
    """What one operation takes, and so the unit of a machine's column."""
    name, _, price = machine.operation
    if machine.priced:
        return f"at {joules(price)} a {name}"
    return f"in {unit_of(machine)}, {price:g} each" if price == 1 else f"in {unit_of(machine)}"
