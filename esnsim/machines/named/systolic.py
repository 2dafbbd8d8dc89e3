"""A systolic array: operands flow through a grid of multipliers, folds one after the other."""

from dataclasses import dataclass
from typing import ClassVar

from esnsim.machines.named.description import (
    About,
    Count,
    Ints,
    check_name,
    check_sizes,
    whole_widths,
)
from esnsim.machines.named.work import Work

DATAFLOWS = ("weight-stationary", "input-stationary", "output-stationary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Systolic(About):
    """rows × columns multipliers of `bits` × `bits`, each of which does a MAC a cycle.

    What is stationary lies in the grid while the rest flows through: weights (rows: reduction,
    columns: filters), inputs (rows: reduction, columns: windows), or outputs (rows: windows,
    columns: filters). A fold of the grid is filled, used and drained before the next.
    """

    kind: ClassVar[str] = "systolic"

    rows: int = 128
    columns: int = 128
    dataflow: str = "weight-stationary"
    bits: int = 8

    def __post_init__(self) -> None:
        check_sizes(self, {"rows": 1, "columns": 1, "bits": 1})
        check_name("dataflow", self.dataflow, DATAFLOWS)

    @property
    def multipliers(self) -> int:
        """One-bit multipliers of the machine."""
        return self.rows * self.columns * self.bits**2

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.rows}×{self.columns}"

    def stored_widths(self, widths: Ints) -> Ints:
        """Bits that a weight of each filter (filters,) is stored in, given its width."""
        return whole_widths(widths, self.bits)

    def count(self, work: Work) -> Count:
        """Cycles of all images: each convolution group of each image is a product of matrices."""
        passes = -(-work.width // self.bits) * -(-work.activation_bits // self.bits)
        total = Count()
        for alike in work.groups:
            groups, filters = alike.widths.shape
            each = self._product(work.geometry.windows, alike.reduction, filters, passes)
            total += each.times(groups * work.images)
        return total

    def _product(self, windows: int, reduction: int, filters: int, passes: int = 1) -> Count:
        """A product windows × reduction by reduction × filters, once for each pass."""
        down, across, flowing = {
            "weight-stationary": (reduction, filters, windows),
            "input-stationary": (reduction, windows, filters),
            "output-stationary": (windows, filters, reduction),
        }[self.dataflow]
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
        return Count(cycles, cycles * units, active, idle)
