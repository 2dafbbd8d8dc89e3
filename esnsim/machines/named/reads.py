"""Analog crossbars by name: reads of a layer, the time that they take, and what has a price."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError, check_known
from esnsim.machines.activations import WIDEST
from esnsim.machines.crossbar.cells import flip
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import About, Ints, check_sizes
from esnsim.machines.named.events import (
    AMPLITUDE,
    CONVERSIONS,
    DRIVES,
    INPUT_POWER,
    INPUTS,
    OUTPUTS,
    READS,
    output_bits,
)
from esnsim.machines.named.work import Groups, Work, window_sums

CELLS = ("array", "weights", "inputs")  # what a read of cells takes depends on


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads(About):
    """Crossbars of rows × columns cells that hold a layer side by side, read once a window.

    Weights are stored with an offset, `cell_bits` a cell. A read drives `dac_bits` of each
    activation (0: all of them) and takes `read_ns`; `stages` more fill the pipeline of a product,
    and `fill` reads that of a layer, once an image. `serial` slices of a weight are converted one
    after the other. Where layers are `pipelined` each works on an image of its own, and inferences
    end as often as the slowest does. Cycles are reads: they are not compared with digital ones.

    Cells of an `array` take the same whatever they hold, those of `weights` W² (Eq. 2, with no
    converters: ideal), those of `inputs` x²·G, and there a row driven with 0 takes nothing. With
    `flip` a column whose cells sum to more than half of the most is stored inverted.
    """

    kind: ClassVar[str] = "crossbar"

    rows: int = 128
    columns: int = 128
    dac_bits: int = 1
    cell_bits: int = 2
    read_ns: float = 100.0
    stages: int = 0
    fill: int = 0
    serial: bool = False
    pipelined: bool = False
    cells: str = "array"
    flip: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, {"rows": 1, "columns": 1, "stages": 0, "fill": 0})
        check_sizes(self, {"cell_bits": 1, "dac_bits": 0}, WIDEST)
        check_known("cells", self.cells, CELLS)
        if not 0 < self.read_ns < inf:
            raise UsageError(f"a read of {self.read_ns} ns: give a number above 0")

    @property
    def multipliers(self) -> None:
        """Cells are no one-bit multipliers."""

    @property
    def by_filter(self) -> bool:
        """Whether a filter counts by its own width: by the columns that hold it."""
        return not self.serial

    @property
    def converts(self) -> bool:
        """Whether it has converters: ideal cells have none."""
        return self.cells != "weights"

    @property
    def hertz(self) -> float:
        """Reads a second."""
        return 1e9 / self.read_ns

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.rows}×{self.columns} cells"

    def count(self, work: Work) -> Count:
        """Reads of all images; groups lie side by side."""
        if not work.width:
            return Count()
        slices = -(-work.width // self.cell_bits) if self.serial else 1
        each = self._drives(work) + self.stages
        cycles = len(work.base) * each * slices + work.images * self.fill
        return sum((self._events(work, alike) for alike in work.groups), Count(cycles=cycles))

    def adc_bits(self, work: Work) -> int:
        """Bits of the converter that loses nothing of any column: its largest possible sum."""
        driven = (1 << min(self.dac_bits or work.activation_bits, work.activation_bits)) - 1
        top, full = 0, (1 << self.cell_bits) - 1
        for alike in work.groups:
            starts = np.arange(0, alike.reduction, self.rows)
            most = full * np.diff(starts, append=alike.reduction)
            for _, cells in self._slices(alike):
                sums = np.add.reduceat(cells, starts, axis=-1, dtype=np.int64)
                least = np.minimum(sums, most - sums) if self.flip else sums
                top = max(top, int(least.max(initial=0)))
        return (driven * top).bit_length()

    def _drives(self, work: Work) -> int:
        """Reads that drive an activation, part by part."""
        return -(-work.activation_bits // (self.dac_bits or work.activation_bits))

    def _events(self, work: Work, alike: Groups) -> Count:
        windows, groups = len(work.base), len(alike.k)
        if self.cells == "weights":
            halves = 1 if work.midrise else 4
            return Count(events={AMPLITUDE: halves * windows * _squares(alike.q)})
        columns = -(-_stored_bits(alike) // self.cell_bits).sum(axis=1)  # of each group
        across, down = -(-columns // self.columns), -(-alike.reduction // self.rows)
        reads = windows * self._drives(work)
        events = {
            CONVERSIONS: reads * down * int(columns.sum()),
            INPUTS: work.activation_bits * windows * alike.reduction * groups,
            OUTPUTS: output_bits(work, alike),
        }
        if self.cells == "inputs":
            return Count(events=events | self._driven(work, alike, across))
        return Count(
            events=events
            | {
                READS: reads * down * int(across.sum()),
                DRIVES: reads * alike.reduction * int(across.sum()),
            }
        )

    def _driven(self, work: Work, alike: Groups, across: Ints) -> dict[str, int]:
        """Rows that are not driven with 0, and Σ x²·G of their cells: sums of windows × columns."""
        bits = self.dac_bits or work.activation_bits
        drives = power = 0
        held = sum(self._held(part).sum(axis=1) for _, part in self._slices(alike))
        lifted = alike.pixels.astype(np.int64) + (work.signed << work.activation_bits - 1)
        for at in range(0, work.activation_bits, bits):
            part = lifted >> at & (1 << bits) - 1
            drives += int((window_sums(work, part != 0).sum(axis=(1, 2)) * across).sum())
            squares = window_sums(work, part * part).reshape(len(across), -1)
            power += int((squares * held).sum())
        return {DRIVES: drives, INPUT_POWER: power}

    def full_power(self, activation_bits: int) -> int:
        """x²·G of the largest input and cell."""
        bits = self.dac_bits or activation_bits
        return ((1 << bits) - 1) ** 2 * ((1 << self.cell_bits) - 1)

    def _slices(self, alike: Groups) -> Iterator[tuple[int, NDArray[Any]]]:
        """Cells (groups, filters, reduction) of each slice, lowest first: codes with an offset."""
        bits = _stored_bits(alike)[:, :, None, None]
        masked = _masked(alike)[:, :, None, None]
        values = np.where(masked, alike.q.astype(np.int64), alike.k) + (1 << bits >> 1)
        flat = values.reshape(*values.shape[:2], -1).astype(np.int32)
        for place in range(-(-int(bits.max()) // self.cell_bits)):
            yield place, flat >> self.cell_bits * place & (1 << self.cell_bits) - 1

    def _held(self, cells: NDArray[Any]) -> NDArray[Any]:
        """The cells of columns as they are written, inverted where that makes them smaller."""
        return flip(cells, self.rows, (1 << self.cell_bits) - 1)[0] if self.flip else cells


def _masked(alike: Groups) -> NDArray[np.bool_]:
    """Filters (groups, filters) with kept zeros, which take q + 2^b in place of k + 2^(b−1)."""
    zeros = (alike.q == 0).any(axis=(2, 3))
    return np.asarray(zeros & bool(alike.masks.shape[1]))


def _stored_bits(alike: Groups) -> Ints:
    """Bits of a weight of each filter (groups, filters) with an offset."""
    return np.asarray(alike.widths + _masked(alike))


def _squares(q: NDArray[Any]) -> int:
    return int(np.square(q, dtype=np.int64).sum())
