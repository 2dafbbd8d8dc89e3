"""What a simulation costs: energy by part, ideal energy, and the gap between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10, prod

from esnsim.costs.equations import class_a_x4, esn_a_x4, esn_d_tilde
from esnsim.machines.array.engine import Counts
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar import engine as analog
from esnsim.machines.crossbar.engine import AnalogCounts
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.machines.machine import LayerRun, Spec


@dataclass(frozen=True, slots=True)
class DigitalEnergy:
    """Energy of one inference by part, in pJ if the array is priced, else in one-bit MACs."""

    active: float
    idle: float
    buffers: float
    dram: float

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return self.active + self.idle + self.buffers + self.dram


def digital_energy(run: LayerRun, spec: ArraySpec) -> DigitalEnergy:
    """e_bit·active + e_idle·idle, and the bits that buffers and DRAM move."""
    counts = run.counts
    assert isinstance(counts, Counts)
    buffers = spec.e_weight_bit * counts.weight_bits
    buffers += spec.e_activation_bit * counts.activation_bits
    return DigitalEnergy(
        spec.e_bit * (counts.active + counts.mask_active) / run.images,
        spec.e_idle * (idle(counts) + counts.mask_idle) / run.images,
        buffers / run.images,
        spec.e_dram_bit * dram_bits(run, spec.activation_bits),
    )


def analog_energy(run: LayerRun, spec: CrossbarSpec) -> analog.AnalogEnergy:
    """Energy of one inference by part."""
    assert isinstance(run.counts, AnalogCounts)
    whole = analog.energy(run.counts, spec)
    parts = (whole.cells, whole.adc, whole.dac, whole.shift_add)
    return analog.AnalogEnergy(*(part / run.images for part in parts))


def energy(run: LayerRun, spec: Spec) -> float:
    """Energy of one inference of a layer, in the unit of its machine."""
    if isinstance(spec, ArraySpec):
        return digital_energy(run, spec).total
    return analog_energy(run, spec).total


def ideal_energy(run: LayerRun, spec: Spec) -> float:
    """The same on ideal hardware of the kind: e_bit·ESNd~, or e_cell·ESNa."""
    sums, c = run.quantized.sums, run.quantized.layer.geometry.windows
    if isinstance(spec, ArraySpec):
        return spec.e_bit * esn_d_tilde(sums, "code") * c
    return spec.e_cell * esn_a_x4(sums) / 4 * c


def class_a_over_b(run: LayerRun) -> float:
    """How much more a class-A stage takes (largest amplitude of the layer) than class B (Eq. 2)."""
    sums = run.quantized.sums
    amplitude = esn_a_x4(sums)
    largest = class_a_x4(sums, int(sums.largest_x2.max(initial=0)))
    return largest / amplitude if amplitude else 1.0


def idle(counts: Counts) -> int:
    """Unit-cycles in which a unit does nothing, whatever the cause."""
    return counts.idle_width + counts.idle_rows + counts.idle_lanes + counts.idle_windows


def cycles(counts: Counts) -> int:
    """Cycles of planes and of mask planes."""
    return counts.cycles + counts.mask_cycles


def utilisation(counts: Counts, spec: ArraySpec) -> float:
    """Active unit-cycles among all, mask planes being neither."""
    total = cycles(counts) * spec.units
    return counts.active / total if total else 0.0


def dram_bits(run: LayerRun, activation_bits: int) -> int:
    """Bits of one inference that DRAM moves if weights, inputs and outputs each move once."""
    layer, sums = run.quantized.layer, run.quantized.sums
    geometry = layer.geometry
    read = geometry.batch * int(run.quantized.live.sum()) * prod(geometry.input_size)
    written = geometry.batch * layer.filters * prod(geometry.output_size)
    return esn_d_tilde(sums, "code") + activation_bits * (read + written)


def sqnr(runs: Sequence[LayerRun]) -> float | None:
    """Signal to noise of the outputs against the exact ones in dB; None where they are exact."""
    noise = sum(run.noise for run in runs)
    signal = sum(run.signal for run in runs)
    return 10 * log10(signal / noise) if noise > 0 and signal > 0 else None


@dataclass(frozen=True, slots=True)
class Speed:
    """What a clock (Hz) makes of cycles; a dense MAC is two operations. TOPS/W needs joules."""

    clock: float
    inferences_per_second: float
    tops: float
    tops_per_watt: float | None


def speed(runs: Sequence[LayerRun], spec: Spec, clock: float) -> Speed | None:
    """Speeds of a digital array, None of a crossbar, whose cycles are not counted."""
    if not isinstance(spec, ArraySpec):
        return None
    took = sum(cycles(run.counts) / run.images for run in runs if isinstance(run.counts, Counts))
    operations = 2 * sum(run.quantized.layer.macs for run in runs)
    rate, spent = clock / took if took else 0.0, sum(energy(run, spec) for run in runs)
    per_watt = operations / spent if spec.priced and spent else None  # operations a pJ
    return Speed(clock, rate, operations * rate / 1e12, per_watt)
