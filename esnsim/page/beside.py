"""One network on several machines as a page: what each takes, in all and layer by layer."""

from typing import Any

from esnsim.machines.base import Result, unit_of
from esnsim.machines.crossing import compare
from esnsim.machines.simulator import Beside, Simulation
from esnsim.page.draw import draw_layers
from esnsim.page.page import Column, Number, Page, Picture, Table
from esnsim.page.simulation import energy_by_layer, left_out
from esnsim.report.simulation.table import Look, summary
from esnsim.report.units import printable
from esnsim.units import Digits, human

_quotient = "{:.2f}".format


def page(beside: Beside) -> Page:
    """The page of machines side by side."""
    first, names = beside.simulations[0], beside.names
    model = printable(first.network.network.source.path or "the model")
    told = "; ".join(f"{name} {_taken(each)}" for name, each in _named(beside))
    return Page(
        title=f"{model} on {len(names)} machines: {', '.join(names)}",
        lead=f"One inference takes: {told}.",
        facts=[
            (name, [" ".join(line.split()) for line in summary(simulation, Look())])
            for name, simulation in _named(beside)
        ],
        pictures=_pictures(beside),
        tables=[_machines(beside), _layers(beside), *left_out(first)],
        notes=first.network.network.notes + first.network.notes,
    )  # fmt: skip


def _named(beside: Beside) -> list[tuple[str, Simulation]]:
    return list(zip(beside.names, beside.simulations, strict=True))


def _counted(beside: Beside) -> bool:
    """Whether all machines count cycles."""
    return all(each.total.cycles is not None for each in beside.simulations)


def _taken(simulation: Simulation) -> str:
    machine, total = simulation.machine, simulation.total
    cycles = "" if total.cycles is None else f"{human(total.cycles)} cycles, "
    spent = Digits().energy(total.total_energy, machine.priced)
    return f"{cycles}{spent}" + ("" if machine.priced else f" {unit_of(machine)}")


def _pictures(beside: Beside) -> list[Picture]:
    """Cycles by layer where all count them, else the energy of each."""
    if not _counted(beside):
        return [energy_by_layer(each, name) for name, each in _named(beside)]
    layers = [result.layers[0].layer.name for result in beside.simulations[0].layers]
    series = {
        name: [float(result.cycles or 0) for result in simulation.layers]
        for name, simulation in _named(beside)
    }
    return [Picture(
        "Cycles by layer", f"Cycles of each of {len(layers)} layers on each machine; the table has "
        "the numbers.", lambda axes: draw_layers(axes, layers, series, "cycles"),
    )]  # fmt: skip


def _machines(beside: Beside) -> Table:
    columns = [
        Column("machine", lambda row: row[0]),
        Column("size", lambda row: row[1].machine.size),
        Column("cycles", lambda row: row[1].total.cycles, human),
        *(_compared(heading) for heading in beside.simulations[0].total.compared[1:]),
        Column("energy", lambda row: row[1].total.total_energy, human),
        Column("÷ ideal", lambda row: row[1].total.over_ideal, _quotient),
    ]
    if any(each.speed for each in beside.simulations):
        columns.append(Column("inferences/s", lambda row: _rate(row[1]), human))
    return Table("Machines", columns, _named(beside))


def _compared(heading: str) -> Column:
    """A column in which the terminal's table compares variants, where a machine has it."""

    def cell(row: tuple[str, Simulation]) -> Number | None:
        total = row[1].total
        texts = dict(zip(total.headings, total.columns(Digits()), strict=True))
        return Number.of(texts.get(heading, ""), texts.get(heading, ""))

    return Column(heading, cell, str)


def _rate(simulation: Simulation) -> float | None:
    return simulation.speed.inferences_per_second if simulation.speed else None


def _layers(beside: Beside) -> Table:
    """Cycles of each layer where all machines count them, else energy; of two kinds also the width
    from which the second takes more.
    """
    cycles = _counted(beside)

    def taken(place: int) -> Column:
        def value(row: tuple[Any, ...]) -> float | None:
            result: Result = row[place]
            return result.cycles if cycles else result.total_energy

        return Column(beside.names[place], value, human)

    simulations = beside.simulations
    rows: list[tuple[Any, ...]] = list(zip(*(each.layers for each in simulations), strict=True))
    columns = [
        Column("layer", lambda row: printable(row[0].layers[0].layer.name)),
        *map(taken, range(len(beside.names))),
    ]
    if beside.field == "kind" and len(simulations) == 2:
        found = compare(*simulations).layers
        rows = [(*row, layer) for row, layer in zip(rows, found, strict=True)]
        columns += [
            Column(f"{beside.names[1]} ÷ {beside.names[0]}", lambda row: row[-1].ratio, _quotient),
            Column("crosses at", lambda row: row[-1].crossing, str),
        ]
    return Table("Cycles by layer" if cycles else "Energy by layer", columns, rows)
