"""A systolic array: operands flow through a grid of multipliers, folds one after the other."""

from dataclasses import dataclass
from typing import ClassVar

from esnsim.errors import check_known
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import Clocked
from esnsim.machines.named.events import (
    ACCUMULATOR_BITS,
    INPUTS,
    OUTPUTS,
    PARTIAL_SUMS,
    WEIGHTS,
    output_bits,
    stored_bits,
)
from esnsim.machines.named.work import Groups, Work

DATAFLOWS = ("weight-stationary", "input-stationary", "output-stationary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Systolic(Clocked):
    """rows × columns multipliers of `bits` × `bits`, each of which does a MAC a cycle.

    What is stationary lies in the grid while the rest flows through: weights (rows: reduction,
    columns: filters), inputs (rows: reduction, columns: windows), or outputs (rows: windows,
    columns: filters). A fold of the grid is filled, used and drained before the next.
    """

    kind: ClassVar[str] = "systolic"

    rows: int = 128
    columns: int = 128
    dataflow: str = "weight-stationary"

    def __post_init__(self) -> None:
        self.check_clocked({"rows": 1, "columns": 1})
        check_known("dataflow", self.dataflow, DATAFLOWS)

    @property
    def multipliers(self) -> int:
        """One-bit multipliers of the machine."""
        return self.rows * self.columns * self.bits**2

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.rows}×{self.columns}"

    def count(self, work: Work) -> Count:
        """Cycles of all images: each convolution group of each image is a product of matrices."""
        passes = -(-work.width // self.bits) * -(-work.activation_bits // self.bits)
        total = Count()
        for alike in work.groups:
            groups, filters = alike.widths.shape
            each = self._product(work.geometry.windows, alike.reduction, filters, passes)
            total += each.times(groups * work.images) + Count(events=self._moved(work, alike))
        return total

    def _mapped(self, windows: int, reduction: int, filters: int) -> tuple[int, int, int]:
        """What of a product lies down the rows, across the columns, and flows."""
        return {
            "weight-stationary": (reduction, filters, windows),
            "input-stationary": (reduction, windows, filters),
            "output-stationary": (windows, filters, reduction),
        }[self.dataflow]

    def _moved(self, work: Work, alike: Groups) -> dict[str, int]:
        """Bits of the buffer: what flows is read by each fold of columns, as SCALE-Sim counts."""
        windows, filters = work.geometry.windows, alike.widths.shape[1]
        down, across, _ = self._mapped(windows, alike.reduction, filters)
        rows, columns = -(-down // self.rows), -(-across // self.columns)
        weights, inputs, outputs = {
            "weight-stationary": (1, columns, rows),
            "input-stationary": (columns, 1, rows),
            "output-stationary": (rows, columns, 1),
        }[self.dataflow]
        sums = (outputs - 1) * len(work.base) * alike.widths.size
        read = work.activation_bits * len(work.base) * alike.reduction * len(alike.widths)
        return {
            WEIGHTS: work.images * weights * stored_bits(self, work, alike),
            INPUTS: inputs * read,
            OUTPUTS: output_bits(work, alike),
            PARTIAL_SUMS: 2 * ACCUMULATOR_BITS * sums,
        }

    def _product(self, windows: int, reduction: int, filters: int, passes: int = 1) -> Count:
        """A product windows × reduction by reduction × filters, once for each pass."""
        down, across, flowing = self._mapped(windows, reduction, filters)
        rows, columns = -(-down // self.rows), -(-across // self.columns)
        fill = self.rows if self.dataflow == "output-stationary" else 2 * self.rows
        cycles = passes * (rows * columns * (fill + self.columns + flowing - 2) - 1)
        busy = passes * rows * columns * flowing
        held = passes * flowing * across
        active = held * down
        lacking = held * (rows * self.rows - down)
        units = self.rows * self.columns
        idle = {
            "rows": lacking,
            "columns": busy * units - active - lacking,
            "fill": (cycles - busy) * units,
        }
        return Count(cycles=cycles, slots=cycles * units, active=active, idle=idle)
