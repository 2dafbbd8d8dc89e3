"""What layers took on crossbars: reads, conversions, energy, noise, and how that is told."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from esnsim.costs.equations import class_a_x4
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.base import Activations, Result, Run, unit_of
from esnsim.machines.crossbar.converters import Converter
from esnsim.machines.crossbar.engine import AnalogCounts, AnalogEngine, energy
from esnsim.machines.crossbar.spec import AUTO, CrossbarSpec
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.units import Digits, percent


class CrossbarLayer:
    """A layer programmed into crossbars, and the exact one beside it."""

    def __init__(
        self, spec: CrossbarSpec, layer: QuantizedLayer, seed: Sequence[int], threads: int
    ) -> None:
        self._spec, self._layer, self._rng = spec, layer, np.random.default_rng(seed)
        self._engine = AnalogEngine(spec, threads)
        self._crossbar = self._engine.prepare(layer, self._rng)
        self._sums: NDArray[np.int64] | None = None
        self._converter: Converter | None = None
        self._exact = DigitalEngine(ArraySpec(activation_bits=spec.activation_bits), threads)
        self._program = self._exact.prepare(layer)

    def observe(self, activations: Activations) -> None:
        """Add calibration activations to those that set the converters' range."""
        found = self._engine.observe(self._crossbar, *activations)
        self._sums = found if self._sums is None else self._sums + found

    def run(self, activations: Activations) -> Run:
        """The layer on integers, what it took, and how far it is from exact."""
        x, zero_point, signed = activations
        exact = self._exact.run(self._layer, x, zero_point, signed, self._program).outputs
        if self._converter is None:
            self._converter = self._engine.converter(self._crossbar, self._sums)
        run = self._engine.run(
            self._layer, x, self._rng, zero_point, signed, self._crossbar, self._converter
        )
        wanted = exact.astype(np.float64)
        result = CrossbarResult(
            layers=(self._layer,),
            images=len(x) // self._layer.layer.geometry.rows,
            counts=run.counts,
            signal=float((wanted**2).sum()),
            noise=float(((run.outputs - wanted) ** 2).sum()),
            spec=self._spec,
            lossless={self._crossbar.lossless: run.counts.conversions},
        )
        return Run(run.outputs, result)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossbarResult(Result):
    """What layers took on crossbars.

    `lossless` are conversions by the bits of the least converter that loses nothing of a layer.
    """

    counts: AnalogCounts
    spec: CrossbarSpec
    lossless: Mapping[int, int] = field(default_factory=dict)

    headings: ClassVar[tuple[str, ...]] = (
        "bits", "MACs", "array reads", "conversions", "A ÷ B", "converters", "SQNR",
    )  # fmt: skip
    details: ClassVar[tuple[str, ...]] = ("A ÷ B", "MACs", "conversions", "converters")

    def _sum(self, other: Self) -> Self:
        bits = {*self.lossless, *other.lossless}
        both = {b: self.lossless.get(b, 0) + other.lossless.get(b, 0) for b in bits}
        return replace(Result._sum(self, other), lossless=both)

    @property
    def energy(self) -> dict[str, float]:
        """Energy of one inference by part."""
        return asdict(energy(self.counts, self.spec, self.images, self.lossless))

    @property
    def ideal_energy(self) -> float:
        """e_cell·ESNa."""
        return self.spec.ideal_energy(self.esn_a_x4, self.esn_d_tilde)

    @property
    def class_a_x4(self) -> int:
        """4·ESNa of a class-A stage (Eq. 2): all weights cost as the largest of their layer."""
        return sum(
            class_a_x4(q.sums, int(q.sums.largest_x2.max(initial=0))) * q.layer.macs_per_weight
            for q in self.layers
        )

    @property
    def class_a_over_b(self) -> float:
        """How much more a class-A stage takes than class B."""
        return self.class_a_x4 / self.esn_a_x4 if self.esn_a_x4 else 1.0

    def check(self) -> None:
        """The amplitude of an ideal crossbar is 4·ESNa."""
        if not self.spec.ideal_amplitude:
            return
        counted, wanted = int(self.counts.amplitude or 0), self.esn_a_x4 * self.images
        if counted != wanted:
            raise self.mismatch("4·ESNa", counted, wanted)

    def columns(self, digits: Digits) -> tuple[str, ...]:
        """What stands under `headings`."""
        parts, spent, clean = self.energy, self.total_energy, self.sqnr
        return (
            f"{self.mean_bits:.2f}",
            digits.number(self.macs),
            digits.number(float(self.of_image(self.counts.array_reads))),
            digits.number(float(self.of_image(self.counts.conversions))),
            f"{self.class_a_over_b:.2f}" if self.esn_a_x4 else "–",
            percent(spent - parts["cells"], spent),
            f"{clean:.1f} dB" if clean is not None else "exact",
        )

    def summary(self, digits: Digits) -> list[str]:
        """Lines on the crossbar and on all layers."""
        spec, spent, ideal = self.spec, self.total_energy, self.ideal_energy
        unit = "" if spec.priced else f" {unit_of(spec)}"
        lines = [
            f"crossbar  {spec.rows} × {spec.columns}, {_cells(spec)}, {_sign(spec)},",
            f"          {_drivers(spec)}, {_converters(spec)}",
            f"energy    {digits.energy(spent, spec.priced)}{unit}; {_power(spec)}",
        ]
        if self.lossless:
            least, most = min(self.lossless), max(self.lossless)
            bits = f"{most}" if least == most else f"{least} to {most}"
            lines.insert(2, f"          the least ADC that loses nothing has {bits} bits, a layer")
        if spent:
            names = {"cells": "cells", "adc": "ADC", "dac": "DAC", "shift_add": "shift-add"}
            told = (f"{names[part]} {percent(e, spent)}" for part, e in self.energy.items() if e)
            lines.append(f"          {', '.join(told)}")
        if ideal:
            largest = spec.ideal_energy(self.class_a_x4, 0)
            lines.append(
                f"          class B with |W|² (ESNa) {digits.energy(ideal, spec.priced)}, "
                f"class A {digits.energy(largest, spec.priced)}: {largest / ideal:.2f} times"
            )
        return lines

    def figures(self) -> dict[str, object]:
        """The crossbar's own keys of a document."""
        return {
            "counts": asdict(self.counts),
            "class_a_over_class_b": self.class_a_over_b,
            "lossless_adc_bits": max(self.lossless, default=None),
            "sqnr_db": self.sqnr,
        }


def _cells(spec: CrossbarSpec) -> str:
    return "whole weights" if spec.bits_per_cell is None else f"{spec.bits_per_cell} bits a cell"


def _sign(spec: CrossbarSpec) -> str:
    return f"{spec.sign} sign, inverted columns" if spec.flip else f"{spec.sign} sign"


def _drivers(spec: CrossbarSpec) -> str:
    return "whole activations" if spec.dac_bits is None else f"{spec.dac_bits}-bit DAC"


def _converters(spec: CrossbarSpec) -> str:
    if spec.adc_bits == AUTO:
        return "the least ADC that loses nothing"
    return "ideal ADC" if spec.adc_bits is None else f"{spec.adc_bits}-bit ADC ({spec.adc_range})"


def _power(spec: CrossbarSpec) -> str:
    if spec.exponent is None:
        return "each cell operation takes the same"
    return f"a cell operation takes |W|^{spec.exponent:g}, class {spec.amplitude_class}"
