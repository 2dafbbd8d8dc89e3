"""Machines side by side: variants of one, or two kinds layer by layer."""

from collections.abc import Sequence

from esnsim.machines.base import Machine, unit_of
from esnsim.machines.crossing import compare
from esnsim.machines.simulator import Simulation
from esnsim.report.grid import folded, grid
from esnsim.report.scored import end_to_end_words, score
from esnsim.report.simulation.table import Look, simulated
from esnsim.report.units import printable
from esnsim.units import joules


def variants(simulations: Sequence[Simulation], field: str, look: Look) -> str:
    """What the same network takes with each value of a machine's field."""
    rows, machine = [], simulations[0].machine
    scored = simulations[0].accuracy is not None
    for simulation in simulations:
        total = simulation.total
        cells = dict(zip(total.headings, total.columns(look), strict=True))
        rows.append([
            str(getattr(simulation.machine, field)),
            *(cells[heading] for heading in total.compared),
            look.energy(total.total_energy, machine.priced),
            *([score(simulation.accuracy.found)] if simulation.accuracy else []),
        ])  # fmt: skip
    spent = "energy" if machine.priced else f"energy, {unit_of(machine)}"
    headings = (field, *simulations[0].total.compared, spent, *(["accuracy"] if scored else []))
    table = grid(headings, rows, columns=look.columns, bold=look.bold)
    lines = [
        f"{machine.size}; MAC×bit {look.number(simulations[0].total.esn_d_tilde)}; "
        f"{simulations[0].activations}",
        simulated(simulations[0], look),
    ]
    return "\n".join([table, *folded(lines, look.columns)]) + "\n"


def kinds(simulations: Sequence[Simulation], look: Look) -> str:
    """Energy of each layer on two machines, and the width from which the second takes more."""
    first, second = simulations
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
            for s in simulations
            for line in end_to_end_words(s.accuracy)
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
