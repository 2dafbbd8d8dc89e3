"""Machines side by side: the schedules of one array, or digital beside analog."""

from collections.abc import Sequence

from esnsim.costs.equations import esn_a_x4, esn_d_tilde
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.machines.energy import cycles, energy
from esnsim.machines.machine import Simulation, Spec
from esnsim.quantization.quantizer import Scheme, quantize
from esnsim.report.grid import grid
from esnsim.report.simulation.table import Look, total_counts, unit_of
from esnsim.report.units import joules, percent, printable

WIDTHS = range(1, 17)


def schedules(simulations: Sequence[Simulation], look: Look) -> str:
    """Cycles, utilisation and energy of the same network under each schedule."""
    rows, number = [], look.number
    array = simulations[0].spec
    assert isinstance(array, ArraySpec)
    for simulation in simulations:
        spec = simulation.spec
        assert isinstance(spec, ArraySpec)
        counts = total_counts(simulation.layers)
        slots = cycles(counts) * spec.units
        rows.append(
            [
                spec.schedule,
                number(cycles(counts)),
                percent(counts.active, slots),
                percent(counts.idle_width, slots),
                percent(counts.idle_rows, slots),
                look.energy(sum(energy(run, spec) for run in simulation.layers), spec),
            ]
        )
    spent = "energy" if array.priced else f"energy, {unit_of(array)}"
    headings = ("schedule", "cycles", "used", "width", "rows", spent)
    table = grid(headings, rows, columns=look.columns, bold=look.bold)
    active = number(total_counts(simulations[0].layers).active)
    return table + (
        f"\n{array.rows} rows × {array.lanes} lanes × {array.windows} windows; MAC×bit {active}; "
        f"{simulations[0].activations}\n"
    )


def engines(simulations: Sequence[Simulation], look: Look) -> str:
    """Energy of each layer on both machines, and the width from which analog takes more."""
    digital, analog = simulations
    array, crossbar = digital.spec, analog.spec
    assert isinstance(array, ArraySpec)
    assert isinstance(crossbar, CrossbarSpec)
    crossings = crossing_widths(digital, array.e_bit, crossbar.e_cell)
    rows = []
    for ours, theirs, crossing in zip(digital.layers, analog.layers, crossings, strict=True):
        spent, other = energy(ours, array), energy(theirs, crossbar)
        rows.append(
            [
                printable(ours.quantized.layer.name),
                f"{int(ours.quantized.sums.width_code.max(initial=0))}",
                look.energy(spent, array),
                look.energy(other, crossbar),
                f"{other / spent:.2f}" if spent else "–",
                "none" if crossing is None else f"{crossing}",
            ]
        )
    headings = ("layer", "widest", "digital", "analog", "analog ÷ digital", "crosses at")
    table = grid(headings, rows, columns=look.columns, bold=look.bold)
    cross = uniform_crossing(array.e_bit, crossbar.e_cell)
    return table + (
        f"\ndigital {_price(array, array.e_bit)}; analog {_price(crossbar, crossbar.e_cell)}\n"
        "crosses at: the nominal width (one step a layer) from which e_cell·ESNa exceeds "
        "e_bit·MAC×bit\n"
        f"Eq. 6, all weights at the largest amplitude: {'none' if cross is None else cross} bits\n"
    )


def _price(spec: Spec, each: float) -> str:
    """What one operation takes, and so the unit of a machine's column."""
    if not spec.priced:
        return f"in {unit_of(spec)}, {each:g} each"
    operation = "one-bit MAC" if isinstance(spec, ArraySpec) else "cell operation at |W| = 1"
    return f"at {joules(each)} a {operation}"


def crossing_widths(simulation: Simulation, e_bit: float, e_cell: float) -> tuple[int | None, ...]:
    """For each layer, the least nominal width at which e_cell·ESNa > e_bit·ESNd~."""
    wanted = {run.quantized.layer.name: None for run in simulation.layers}
    found: dict[str, int | None] = dict(wanted)
    for bits in WIDTHS:
        quantized = quantize(simulation.network.network, Scheme("layer-max", bits))
        for layer in quantized.layers:
            name = layer.layer.name
            analog = e_cell * esn_a_x4(layer.sums) / 4
            digital = e_bit * esn_d_tilde(layer.sums, "code")
            if name in found and found[name] is None and analog > digital:
                found[name] = bits
        if None not in found.values():
            break
    return tuple(found.values())


def uniform_crossing(e_bit: float, e_cell: float) -> int | None:
    """Eq. 6: the least width b whose largest amplitude v = (2^b − 1)/2 has e_cell·v² > e_bit·b."""
    return next((b for b in WIDTHS if e_cell * ((2**b - 1) / 2) ** 2 > e_bit * b), None)
