"""What the machines are made of: frozen descriptions of digital arrays."""

from dataclasses import dataclass
from math import isfinite

from esnsim.errors import UsageError

ENERGIES = ("e_bit", "e_idle", "e_weight_bit", "e_activation_bit", "e_dram_bit")
SCHEDULES = ("bit-parallel", "sorted", "serial")
WIDEST = 16  # bits of an activation, and of a weight
MOST = 1 << 32  # units of an array: beyond, unit-cycles could exceed 64 bits


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """A variable-precision MAC array: rows × lanes × windows units of one weight bit each.

    A unit multiplies one bit of a weight by one activation of `activation_bits` per cycle (Maki
    et al. 2020, doi:10.1587/transele.2019CTP0007). Widths are rounded up to a multiple of
    `width_step` (8: an array of 8-bit multipliers).

    `e_bit` and `e_idle` are energies of an active and of an idle unit in a cycle, the others of a
    bit read from the buffers, or moved to or from DRAM: in pJ if `priced`, else in units of the
    one-bit MAC. With `e_idle` 0 the array is ideal and its energy is proportional to MAC×bit.
    """

    rows: int = 64
    lanes: int = 16
    windows: int = 1
    schedule: str = "bit-parallel"
    activation_bits: int = 8
    width_step: int = 1
    e_bit: float = 1.0
    e_idle: float = 0.0
    e_weight_bit: float = 0.0
    e_activation_bit: float = 0.0
    e_dram_bit: float = 0.0
    priced: bool = False

    def __post_init__(self) -> None:
        for name in ("rows", "lanes", "windows", "activation_bits", "width_step"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UsageError(
                    f"an array with {name} = {value}: give a whole number of 1 or more"
                )
        if self.units > MOST:
            raise UsageError(f"an array of {self.units:,} units: give at most {MOST:,}")
        if self.width_step > WIDEST:
            raise UsageError(f"widths in steps of {self.width_step} bits: at most {WIDEST}")
        if self.activation_bits > WIDEST:
            raise UsageError(f"activations of {self.activation_bits} bits: at most {WIDEST}")
        if self.schedule not in SCHEDULES:
            raise UsageError(f"no schedule '{self.schedule}': use one of {', '.join(SCHEDULES)}")
        for name in ENERGIES:
            value = getattr(self, name)
            if not (value >= 0 and isfinite(value)):
                raise UsageError(f"an array with {name} = {value}: give a number of 0 or more")

    @property
    def units(self) -> int:
        """One-bit MAC units."""
        return self.rows * self.lanes * self.windows


#: Arrays with names. The size of the FPGA array of Maki et al. is ours: their text that we have
#: states its principle and results, not its dimensions.
PRESETS = {
    "ideal-digital": ArraySpec(1, 1, 1),
    "maki": ArraySpec(64, 16, 1, "bit-parallel"),
    "maki-serial": ArraySpec(64, 16, 1, "serial"),
    "int8": ArraySpec(64, 16, 1, "serial", width_step=8),
}
