"""What layers took on the array: cycles, idle units by cause, energy, and how that is told."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.array.counts import Counts
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.base import Activations, Result, Run, unit_of
from esnsim.machines.lowering import needs_mask
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.units import Digits, percent


class ArrayLayer:
    """A layer scheduled on an array."""

    def __init__(self, spec: ArraySpec, layer: QuantizedLayer, threads: int) -> None:
        self._spec, self._layer, self._engine = spec, layer, DigitalEngine(spec, threads)
        self._program = self._engine.prepare(layer)

    def observe(self, activations: Activations) -> None:
        """An array has nothing to calibrate."""

    def run(self, activations: Activations) -> Run:
        """The layer on integers, and what it took."""
        x, zero_point, signed = activations
        run = self._engine.run(self._layer, x, zero_point, signed, self._program)
        images = len(x) // self._layer.layer.geometry.rows
        result = ArrayResult(
            layers=(self._layer,), images=images, counts=run.counts, spec=self._spec
        )
        return Run(run.outputs, result)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayResult(Result):
    """What layers took on an array."""

    counts: Counts
    spec: ArraySpec

    headings: ClassVar[tuple[str, ...]] = (
        "bits", "MAC×bit", "cycles", "used", "width", "rows", "lanes", "windows", "masks",
        "essential",
    )  # fmt: skip
    details: ClassVar[tuple[str, ...]] = (
        "masks", "windows", "lanes", "essential", "rows", "width",
    )  # fmt: skip
    compared: ClassVar[tuple[str, ...]] = ("cycles", "used", "width", "rows")

    @property
    def mac_bits(self) -> int:
        """MAC×bit of one inference at the array's widths, in closed form."""
        return sum(
            int((q.sums.weights * array_widths(q, self.spec)).sum()) * q.layer.macs_per_weight
            for q in self.layers
        )

    @property
    def cycles(self) -> int:
        """Cycles of one inference."""
        return self.counts.all_cycles // self.images

    @property
    def slots(self) -> int:
        """Unit-cycles over all images: active, idle and of mask planes."""
        return self.counts.all_cycles * self.spec.units

    @property
    def utilisation(self) -> Fraction:
        """Active unit-cycles among all; those of mask planes are not active."""
        return Fraction(self.counts.active, self.slots) if self.slots else Fraction(0)

    @property
    def dram_bits(self) -> int:
        """Bits of one inference that DRAM moves if weights, inputs and outputs each move once."""
        return sum(_dram_bits(layer, self.spec) for layer in self.layers)

    @property
    def energy(self) -> dict[str, float]:
        """Energy of one inference by part."""
        spec, counts = self.spec, self.counts
        buffers = spec.e_weight_bit * float(self.of_image(counts.weight_bits))
        buffers += spec.e_activation_bit * float(self.of_image(counts.activation_bits))
        busy, idle = counts.active + counts.mask_active, counts.idle
        return {
            "active": spec.e_bit * float(self.of_image(spec.unit_macs * busy)),
            "idle": spec.e_idle * float(self.of_image(spec.unit_macs * idle)),
            "buffers": buffers,
            "dram": spec.e_dram_bit * self.dram_bits,
        }

    @property
    def ideal_energy(self) -> float:
        """e_bit·A·ESNd~."""
        return self.spec.ideal_energy(self.esn_a_x4, self.esn_d_tilde)

    def check(self) -> None:
        """Active unit-cycles are MAC×bit, and with the idle ones all that there are."""
        counts, wanted = self.counts, self.mac_bits * self.images
        if counts.active * self.spec.width_step != wanted:
            raise self.mismatch("MAC×bit", counts.active * self.spec.width_step, wanted)
        seen = counts.active + counts.mask_active + counts.idle
        if seen != self.slots:
            raise self.mismatch("unit-cycles", seen, self.slots)

    def idle_by_cause(self) -> dict[str, int]:
        """Unit-cycles over all images that are not active, by cause."""
        counts = self.counts
        return {
            "narrower filters": counts.idle_width,
            "rows not full": counts.idle_rows,
            "lanes not full": counts.idle_lanes,
            "windows not full": counts.idle_windows,
            "mask planes": counts.mask_active + counts.mask_idle,
        }

    def columns(self, digits: Digits) -> tuple[str, ...]:
        """What stands under `headings`."""
        counts, spec = self.counts, self.spec
        pairs = counts.active * spec.unit_macs + counts.mask_active * spec.activation_bits
        return (
            f"{self.mean_bits:.2f}",
            digits.number(self.mac_bits),
            digits.number(self.cycles),
            percent(counts.active, self.slots),
            *(percent(idle, self.slots) for idle in self.idle_by_cause().values()),
            percent(counts.essential_bits, pairs),
        )

    def summary(self, digits: Digits) -> list[str]:
        """Lines on the array and on all layers."""
        number, spec, tilde = digits.number, self.spec, self.esn_d_tilde
        used = percent(self.counts.active, self.slots)
        causes = self.idle_by_cause().items()
        ideal = f"; {self.slots / (tilde * self.images):.2f} times the ideal" if tilde else ""
        lines = [
            f"array     {spec.size} of one image, {spec.schedule}; a unit multiplies "
            f"{_unit(spec)} by {spec.activation_bits}-bit activations",
            f"MAC×bit   {number(self.mac_bits)} counted, and in closed form",
            f"cycles    {number(self.cycles)}, {used} of unit-cycles active{ideal}",
            "          idle: "
            + ", ".join(f"{what} {percent(n, self.slots)}" for what, n in causes),
        ]
        if self.mac_bits > tilde > 0:
            lines.insert(2, (
                f"          widths rounded up to {spec.width_step}: {self.mac_bits / tilde:.2f} "
                f"times {number(tilde)} (ESNd~)"
            ))  # fmt: skip
        return lines + self._energy_lines(digits)

    def _energy_lines(self, digits: Digits) -> list[str]:
        spec, parts, spent, ideal = self.spec, self.energy, self.total_energy, self.ideal_energy
        unit = "" if spec.priced else f" {unit_of(spec)}"
        line = f"energy    {digits.energy(spent, spec.priced)}{unit}"
        if ideal:
            line += f"; {spent / ideal:.2f} times the ideal {digits.energy(ideal, spec.priced)}"
        lines = [line]
        if spent:
            told = (f"{what} {percent(part, spent)}" for what, part in parts.items() if part)
            lines.append("          " + ", ".join(told))
        return lines

    def figures(self) -> dict[str, object]:
        """The array's own keys of a document."""
        return {
            "counts": asdict(self.counts),
            "mac_bits": self.mac_bits,
            "cycles": self.cycles,
            "utilisation": float(self.utilisation),
            "dram_bits": self.dram_bits,
        }


def array_widths(layer: QuantizedLayer, spec: ArraySpec) -> NDArray[np.int64]:
    """The width of each filter (M,), rounded up to what a unit multiplies at once."""
    rounded = -(-layer.sums.width_code // spec.width_step) * spec.width_step
    return np.asarray(rounded)


def _dram_bits(quantized: QuantizedLayer, spec: ArraySpec) -> int:
    """Bits of weights, mask planes, live inputs and outputs of filters that are not pruned."""
    geometry, sums = quantized.layer.geometry, quantized.sums
    widths = array_widths(quantized, spec) + needs_mask(quantized)
    inputs = int(quantized.live.sum()) * prod(geometry.input_size)
    outputs = int((sums.width_code > 0).sum()) * prod(geometry.output_size)
    activations = geometry.rows * (inputs + outputs)
    return int((sums.weights * widths).sum()) + spec.activation_bits * activations


def _unit(spec: ArraySpec) -> str:
    return "one weight bit" if spec.width_step == 1 else f"{spec.width_step} weight bits"
