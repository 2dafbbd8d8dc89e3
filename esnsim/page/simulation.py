"""A simulation as a page: layers, and what each takes of the machine's energy."""

from esnsim.machines.base import unit_of
from esnsim.machines.simulator import Simulation
from esnsim.page.draw import draw_layers
from esnsim.page.page import Column, Number, Page, Picture, Table, facts
from esnsim.report.simulation.table import Look, summary
from esnsim.report.units import printable
from esnsim.units import Digits, percent


def page(simulation: Simulation) -> Page:
    """The page of a simulation."""
    total, machine, look = simulation.total, simulation.machine, Look()
    model = simulation.network.network.source.path or "the model"
    spent = Digits().energy(total.total_energy, machine.priced)
    unit, over = "" if machine.priced else f" {unit_of(machine)}", total.over_ideal
    return Page(
        title=f"{printable(model)} on a machine: {machine.kind}, {machine.size}",
        lead=f"One inference takes {spent}{unit}"
        + (f", {over:.2f} times what ideal hardware of the kind takes." if over else "."),
        facts=facts(summary(simulation, look)),
        pictures=[energy_by_layer(simulation)],
        tables=[_layers(simulation, look), *left_out(simulation)],
        notes=simulation.network.network.notes + simulation.network.notes,
    )


def energy_by_layer(simulation: Simulation, machine: str = "") -> Picture:
    """The energy of each layer by part, on the `machine` of this name where there are several."""
    unit = unit_of(simulation.machine)
    parts = {
        part: [float(result.energy[part]) for result in simulation.layers]
        for part, spent in simulation.total.energy.items()
        if spent
    }
    names = [result.layers[0].layer.name for result in simulation.layers]
    return Picture(
        f"Energy by layer{machine and ', '}{machine}",
        f"Energy of each of {len(names)} layers by part, in {unit}; the table has the numbers.",
        lambda axes: draw_layers(axes, names, parts, f"energy, {unit}", stacked=True),
    )


def _layers(simulation: Simulation, look: Look) -> Table:
    """What the terminal's table has. Each row is a result, its cells, and the same in all digits,
    which numbers are sorted by.
    """
    total, priced = simulation.total, simulation.machine.priced
    every = Digits(all_digits=True)
    rows = [(row, row.columns(look), row.columns(every)) for row in simulation.layers]
    columns = [
        Column("layer", lambda row: printable(row[0].layers[0].layer.name)),
        Column("op", lambda row: printable(row[0].layers[0].layer.op)),
        *(_told(heading, place) for place, heading in enumerate(total.headings)),
        Column("energy", lambda r: r[0].total_energy, lambda spent: look.energy(spent, priced)),
        Column(
            "share", lambda r: r[0].total_energy, lambda spent: percent(spent, total.total_energy)
        ),
    ]
    return Table("Layers", columns, rows)


def _told(heading: str, place: int) -> Column:
    """A column of the terminal's table; the text of a number is that of the row's cells."""
    return Column(heading, lambda row: Number.of(row[2][place], row[1][place]), str)


def left_out(simulation: Simulation) -> list[Table]:
    """The table of layers that did not run, where there are some."""
    if not simulation.not_simulated:
        return []
    columns = (
        Column("layer", lambda item: printable(item.layer.layer.name)),
        Column("MACs", lambda item: item.macs, Digits().number),
        Column("why", lambda item: printable(item.reason)),
    )
    return [Table("Not simulated", columns, simulation.not_simulated)]
