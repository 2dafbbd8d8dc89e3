"""A Simulation as a table for the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from esnsim.costs.equations import esn_d_tilde
from esnsim.machines.array.engine import Counts
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.machines.energy import (
    Speed,
    analog_energy,
    class_a_over_b,
    cycles,
    digital_energy,
    energy,
    ideal_energy,
    speed,
    sqnr,
)
from esnsim.machines.machine import LayerRun, Simulation, Spec
from esnsim.report.grid import grid
from esnsim.report.units import exact, human, joules, percent, printable

DIGITAL: tuple[str, ...] = (
    "layer", "op", "bits", "MAC×bit", "cycles", "used", "width", "rows", "lanes", "windows",
    "essential", "energy", "share",
)  # fmt: skip
ANALOG: tuple[str, ...] = (
    "layer", "op", "bits", "MACs", "array reads", "conversions", "A ÷ B", "converters", "SQNR",
    "energy", "share",
)  # fmt: skip
TEXTS = 2

Number = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Look:
    """How to print: all digits or not, the columns of the screen, bold type."""

    all_digits: bool = False
    columns: int | None = None
    bold: bool = False
    clock: float | None = None  # Hz

    @property
    def number(self) -> Number:
        """Numbers as text."""
        return exact if self.all_digits else human

    def energy(self, amount: float, spec: Spec) -> str:
        """Joules if the machine is priced, else a number in its unit."""
        if not spec.priced:
            return self.number(amount)
        return f"{exact(amount)} pJ" if self.all_digits else joules(amount)


def render(simulation: Simulation, look: Look) -> str:
    """The table and what it adds up to."""
    spec = simulation.spec
    runs = simulation.layers
    if isinstance(spec, ArraySpec):
        headings, total = DIGITAL, _digital_cells("total", "", runs, spec, look, runs)
        rows = [_digital_cells(*_names(run), [run], spec, look, runs) for run in runs]
        summary = _digital_summary(simulation, spec, look)
    else:
        headings, total = ANALOG, _analog_cells("total", "", runs, spec, look, runs)
        rows = [_analog_cells(*_names(run), [run], spec, look, runs) for run in runs]
        summary = _analog_summary(simulation, spec, look)
    table = grid(headings, rows, total, texts=TEXTS, columns=look.columns, bold=look.bold)
    return "\n".join([table, *summary, *_how(simulation)]) + "\n"


def total_counts(runs: Sequence[LayerRun]) -> Counts:
    """Counts of all layers, one inference of each on average, rounded down."""
    sums = [
        sum(getattr(run.counts, name) // run.images for run in runs) for name in Counts.__slots__
    ]
    return Counts(*sums)


def _names(run: LayerRun) -> tuple[str, str]:
    return printable(run.quantized.layer.name), printable(run.quantized.layer.op)


def _digital_cells(
    name: str, op: str, runs: Sequence[LayerRun], spec: ArraySpec, look: Look,
    everything: Sequence[LayerRun],
) -> tuple[str, ...]:  # fmt: skip
    counts = total_counts(runs)
    slots = cycles(counts) * spec.units
    spent = sum(energy(run, spec) for run in runs)
    pairs = counts.active * spec.activation_bits
    return (
        name,
        op,
        f"{_mean_bits(runs):.2f}",
        look.number(counts.active),
        look.number(cycles(counts)),
        percent(counts.active, slots),
        percent(counts.idle_width, slots),
        percent(counts.idle_rows, slots),
        percent(counts.idle_lanes, slots),
        percent(counts.idle_windows, slots),
        percent(counts.essential_bits, pairs),
        look.energy(spent, spec),
        percent(spent, sum(energy(run, spec) for run in everything)),
    )


def _analog_cells(
    name: str, op: str, runs: Sequence[LayerRun], spec: CrossbarSpec, look: Look,
    everything: Sequence[LayerRun],
) -> tuple[str, ...]:  # fmt: skip
    parts = [analog_energy(run, spec) for run in runs]
    spent = sum(part.total for part in parts)
    converters = spent - sum(part.cells for part in parts)
    clean = sqnr(runs)
    amplitude = sum(ideal_energy(run, spec) for run in runs)
    largest = sum(class_a_over_b(run) * ideal_energy(run, spec) for run in runs)

    def counted(what: str) -> str:
        return look.number(sum(getattr(run.counts, what) // run.images for run in runs))

    return (
        name,
        op,
        f"{_mean_bits(runs):.2f}",
        look.number(sum(run.quantized.layer.macs for run in runs)),
        counted("array_reads"),
        counted("conversions"),
        f"{largest / amplitude:.2f}" if amplitude else "–",
        percent(converters, spent),
        f"{clean:.1f} dB" if clean is not None else "exact",
        look.energy(spent, spec),
        percent(spent, sum(energy(run, spec) for run in everything)),
    )


def _mean_bits(runs: Sequence[LayerRun]) -> float:
    bits = sum(esn_d_tilde(run.quantized.sums, "code") for run in runs)
    alive = sum(
        int(run.quantized.sums.weights[run.quantized.sums.width_code > 0].sum()) for run in runs
    )
    return bits / alive if alive else 0.0


def _digital_summary(simulation: Simulation, spec: ArraySpec, look: Look) -> list[str]:
    runs, number = simulation.layers, look.number
    counts = total_counts(runs)
    slots = cycles(counts) * spec.units
    closed = sum(run.closed_form for run in runs)
    tilde = sum(
        esn_d_tilde(r.quantized.sums, "code") * r.quantized.layer.geometry.windows for r in runs
    )
    parts = [digital_energy(run, spec) for run in runs]
    spent, ideal = sum(p.total for p in parts), sum(ideal_energy(run, spec) for run in runs)
    lines = [
        f"array     {spec.rows} rows × {spec.lanes} lanes × {spec.windows} windows, "
        f"{spec.schedule}, {spec.activation_bits}-bit activations"
        + (f", widths in steps of {spec.width_step}" if spec.width_step > 1 else ""),
        f"MAC×bit   {number(counts.active)} counted, {number(closed)} in closed form: equal",
        f"cycles    {number(cycles(counts))}, {percent(counts.active, slots)} of unit-cycles "
        f"active; {slots / tilde:.2f} times the ideal",
        "          idle: "
        + ", ".join(f"{what} {percent(n, slots)}" for what, n in causes(counts).items()),
        _spent(spent, spec, look)
        + (f"; {spent / ideal:.2f} times the ideal {look.energy(ideal, spec)}" if ideal else ""),
    ]
    if closed > tilde:
        lines.append(
            f"          widths rounded up to {spec.width_step}: {closed / tilde:.2f} times"
        )
    shares = {
        "active": sum(p.active for p in parts), "idle": sum(p.idle for p in parts),
        "buffers": sum(p.buffers for p in parts), "DRAM": sum(p.dram for p in parts),
    }  # fmt: skip
    if spent:
        told = (f"{what} {percent(part, spent)}" for what, part in shares.items() if part)
        lines.append("          " + ", ".join(told))
    found = speed(runs, spec, look.clock) if look.clock else None
    if found:
        lines.append(_speed(found))
    return lines


def causes(counts: Counts) -> dict[str, int]:
    """Unit-cycles that are not active, by cause."""
    return {
        "narrower filters": counts.idle_width,
        "rows not full": counts.idle_rows,
        "lanes not full": counts.idle_lanes,
        "windows not full": counts.idle_windows,
        "mask planes": counts.mask_active + counts.mask_idle,
    }


def _speed(found: Speed) -> str:
    watts = f", {found.tops_per_watt:.3g} TOPS/W" if found.tops_per_watt else ""
    return (
        f"speed     {human(found.inferences_per_second)} inferences/s at {human(found.clock)}Hz, "
        f"{found.tops:.3g} TOPS (two operations a dense MAC){watts}"
    )


def _analog_summary(simulation: Simulation, spec: CrossbarSpec, look: Look) -> list[str]:
    runs = simulation.layers
    parts = [analog_energy(run, spec) for run in runs]
    spent, ideal = sum(p.total for p in parts), sum(ideal_energy(run, spec) for run in runs)
    largest = sum(class_a_over_b(run) * ideal_energy(run, spec) for run in runs)
    adc = "ideal ADC" if spec.adc_bits is None else f"{spec.adc_bits}-bit ADC ({spec.adc_range})"
    cells = "whole weights" if spec.bits_per_cell is None else f"{spec.bits_per_cell} bits a cell"
    dac = "whole activations" if spec.dac_bits is None else f"{spec.dac_bits}-bit DAC"
    power = (
        "fixed" if spec.exponent is None else f"|W|^{spec.exponent:g}, class {spec.amplitude_class}"
    )
    lines = [
        f"crossbar  {spec.rows} × {spec.columns}, {cells}, {spec.sign} sign, {dac}, {adc}",
        f"{_spent(spent, spec, look)}; a cell operation takes {power}",
    ]
    if spent:
        shares = {
            "cells": sum(p.cells for p in parts), "ADC": sum(p.adc for p in parts),
            "DAC": sum(p.dac for p in parts), "shift-add": sum(p.shift_add for p in parts),
        }  # fmt: skip
        told = (f"{what} {percent(part, spent)}" for what, part in shares.items())
        lines.append(f"          {', '.join(told)}")
    if ideal:
        lines.append(
            f"          class B with |W|² (ESNa) {look.energy(ideal, spec)}, "
            f"class A {look.energy(largest, spec)}: {largest / ideal:.2f} times"
        )
    return lines


def _spent(amount: float, spec: Spec, look: Look) -> str:
    unit = "" if spec.priced else f" {unit_of(spec)}"
    return f"energy    {look.energy(amount, spec)}{unit}"


def unit_of(spec: Spec) -> str:
    """The unit of a machine's energies, in documents and where they are numbers."""
    if spec.priced:
        return "pJ"
    return "one-bit MACs" if isinstance(spec, ArraySpec) else "cell operations at |W| = 1"


def _how(simulation: Simulation) -> list[str]:
    lines = [f"input     {simulation.activations}; figures are of one inference"]
    accuracy = simulation.accuracy
    if accuracy is not None and accuracy.simulated is not None:
        lines.append(
            f"accuracy  {accuracy.simulated:.1%} top-1 end to end, float model "
            f"{accuracy.float_model:.1%}, on {accuracy.images:,} images; they agree on "
            f"{accuracy.agreement:.1%}"
        )
    elif accuracy is not None:
        lines.append(
            f"agreement {accuracy.agreement:.1%} with the float model's class on "
            f"{accuracy.images:,} images (no labels)"
        )
    return lines
