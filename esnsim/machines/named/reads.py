"""Analog crossbars by name: reads of a layer, and the time that they take."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

from esnsim.errors import UsageError
from esnsim.machines.named.description import About, Count, check_sizes
from esnsim.machines.named.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads(About):
    """Crossbars of rows × columns cells that hold a layer side by side, read once a window.

    A read drives `dac_bits` of each activation (0: all of them) and takes `read_ns`; `stages` more
    fill the pipeline of a product. `serial` slices, of `cell_bits` of a weight each, are converted
    one after the other. Cycles are reads: they are not compared with digital ones.
    """

    kind: ClassVar[str] = "crossbar"

    rows: int = 128
    columns: int = 128
    dac_bits: int = 1
    cell_bits: int = 2
    read_ns: float = 100.0
    stages: int = 0
    serial: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, {"rows": 1, "columns": 1, "cell_bits": 1})
        check_sizes(self, {"dac_bits": 0, "stages": 0})
        if not 0 < self.read_ns < inf:
            raise UsageError(f"a read of {self.read_ns} ns: give a number above 0")

    @property
    def multipliers(self) -> None:
        """Cells are no one-bit multipliers."""

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.rows}×{self.columns} cells"

    def count(self, work: Work) -> Count:
        """Reads of all images; groups lie side by side."""
        if not work.width:
            return Count()
        drives = -(-work.activation_bits // (self.dac_bits or work.activation_bits))
        slices = -(-work.width // self.cell_bits) if self.serial else 1
        return Count(len(work.base) * (drives + self.stages) * slices)
