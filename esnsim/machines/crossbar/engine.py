"""The analog crossbar: outputs of a layer through its arrays, and what they took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.crossbar.cells import Crossbar, program
from esnsim.machines.crossbar.converters import Converter, conversion_energy
from esnsim.machines.crossbar.readout import converter_for, observe, read, readout
from esnsim.machines.crossbar.spec import AUTO, CrossbarSpec
from esnsim.machines.lowering import raise_outputs, weight_sums
from esnsim.machines.windows import check_activations
from esnsim.quantization.quantizer import QuantizedLayer

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalogCounts:
    """What the walk over the arrays counted; see docs/equations.md.

    `amplitude` is Σ |2·W|^p over cell operations, an integer where p is 0, 1 or 2, None without
    an exponent.
    """

    array_reads: int
    cell_operations: int
    conversions: int
    row_drives: int
    shift_adds: int
    amplitude: float | None

    def __add__(self, other: "AnalogCounts") -> "AnalogCounts":
        amplitude = None
        if self.amplitude is not None and other.amplitude is not None:
            amplitude = self.amplitude + other.amplitude
        return AnalogCounts(
            array_reads=self.array_reads + other.array_reads,
            cell_operations=self.cell_operations + other.cell_operations,
            conversions=self.conversions + other.conversions,
            row_drives=self.row_drives + other.row_drives,
            shift_adds=self.shift_adds + other.shift_adds,
            amplitude=amplitude,
        )


@dataclass(frozen=True, slots=True)
class AnalogRun:
    """Outputs (batch, M, *output_size) in the units of the digital engine, and what they took.

    Outputs are int64 where the crossbar is ideal, float64 where it is not.
    """

    outputs: NDArray[Any]
    counts: AnalogCounts


@dataclass(frozen=True, slots=True)
class AnalogEnergy:
    """Where energy goes: in pJ if the spec is priced, else in its cell operations at |W| = 1."""

    cells: float
    adc: float
    dac: float
    shift_add: float

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return self.cells + self.adc + self.dac + self.shift_add


@dataclass(frozen=True, slots=True)
class AnalogEngine:
    """Runs layers on crossbars, with kernels over windows in threads (0: one a core)."""

    spec: CrossbarSpec = field(default_factory=CrossbarSpec)
    threads: int = 0

    def prepare(self, layer: QuantizedLayer, rng: np.random.Generator) -> Crossbar:
        """Program a layer into cells, with errors that all its runs share."""
        return program(layer, self.spec, rng)

    def observe(
        self, crossbar: Crossbar, x: NDArray[Any], zero_point: int = 0, signed: bool = False
    ) -> Ints:
        """A histogram of the sums of calibration activations; those of several batches add up."""
        return observe(readout(crossbar, x, zero_point, signed), len(x))

    def converter(self, crossbar: Crossbar, histogram: Ints | None = None) -> Converter:
        """The converter of a layer, with the range of what was observed if it is calibrated.

        Raises UsageError for a calibrated one without a histogram.
        """
        return converter_for(crossbar, histogram)

    def run(
        self,
        layer: QuantizedLayer,
        x: NDArray[Any],
        rng: np.random.Generator,
        zero_point: int = 0,
        signed: bool = False,
        crossbar: Crossbar | None = None,
        converter: Converter | None = None,
    ) -> AnalogRun:
        """The layer on integer activations x (batch, C, *input_size) of the spec's width.

        Weights that read dead channels take no part; padding has the value of the zero point.
        Raises UsageError for activations of another shape or out of range, and for a calibrated
        converter that is not given.
        """
        bits = self.spec.activation_bits
        check_activations(layer, x, bits, signed, zero_point)
        crossbar = crossbar or self.prepare(layer, rng)
        driven = readout(crossbar, x, zero_point, signed)
        outputs, reads = read(driven, converter or converter_for(crossbar), rng, self.threads)
        offset = zero_point + (signed << bits - 1)
        if offset:
            outputs -= offset * weight_sums(crossbar.lowered)[:, None]
        if self.spec.exact:
            outputs = outputs.astype(np.int64)
        apart = outputs.reshape(len(outputs), len(x), -1).swapaxes(0, 1)
        return AnalogRun(raise_outputs(layer, apart), _counts(crossbar, reads))


def energy(
    counts: AnalogCounts, spec: CrossbarSpec, images: int = 1,
    lossless: Mapping[int, int] | None = None,
) -> AnalogEnergy:  # fmt: skip
    """Price what was counted, for one of `images`.

    Converters and drivers only where the spec has them take part; where it has the least that lose
    nothing, `lossless` are the conversions by their bits.
    """

    def of_image(count: float) -> float:
        return float(Fraction(count) / images)

    cells = spec.e_cell * of_image(counts.cell_operations)
    if spec.exponent is not None and counts.amplitude is not None:
        cells = spec.e_cell * of_image(counts.amplitude) / 2**spec.exponent
    if not spec.converters:
        return AnalogEnergy(cells, 0.0, 0.0, 0.0)
    by_bits: Mapping[Any, int] = {spec.adc_bits: counts.conversions}
    if spec.adc_bits == AUTO:
        by_bits = lossless or {}
    return AnalogEnergy(
        cells,
        sum(
            conversion_energy(spec.adc_law, bits, spec.e_adc, spec.vdd) * of_image(number)
            for bits, number in by_bits.items()
        ),
        spec.e_dac * of_image(counts.row_drives),
        spec.e_shift_add * of_image(counts.shift_adds),
    )


def _counts(crossbar: Crossbar, reads: Ints) -> AnalogCounts:
    """What reads of arrays (T, R) took: each goes through all rows and columns in use."""
    rows, columns = crossbar.rows, np.diff(crossbar.layout.tile_starts)[:, None]
    cells = int((reads * rows * columns).sum())
    conversions = int((reads * columns).sum())
    amplitude: float | None = None
    if crossbar.amplitude is not None:
        tiles = zip(reads.tolist(), crossbar.amplitude, strict=True)
        amplitude = sum(n * a for times, sums in tiles for n, a in zip(times, sums, strict=False))
    return AnalogCounts(
        array_reads=int(reads.sum()),
        cell_operations=crossbar.device.spec.cells_per_weight * cells,
        conversions=conversions,
        row_drives=int((reads * rows).sum()),
        shift_adds=conversions,
        amplitude=amplitude,
    )
