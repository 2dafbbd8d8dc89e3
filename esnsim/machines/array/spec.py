"""What a digital array is made of: a frozen description, ideal by default."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, ClassVar

from esnsim.errors import UsageError, check_known
from esnsim.machines.array.schedule import SCHEDULES
from esnsim.machines.base import Kind, LayerEngine, Operation, Option

if TYPE_CHECKING:
    from esnsim.quantization.quantizer import QuantizedLayer

WIDEST = 16  # bits of an activation, and of a weight
MOST_UNITS = 1 << 32  # units of an array: beyond, unit-cycles could exceed 64 bits

OPTIONS = (
    Option(field="schedule", help="of a digital array", choices=SCHEDULES),
    Option(field="activation_bits", help="default 8", whole=True),
)
PRICES = (
    Option(
        field="e_bit", help="a one-bit MAC (a weight bit × an activation bit) of a digital array"
    ),
    Option(field="e_idle", help="one that idles"),
    Option(field="e_weight_bit", help="a weight bit read from the buffer"),
    Option(field="e_activation_bit", help="an activation bit read from the buffer"),
    Option(field="e_dram_bit", help="a bit moved by DRAM"),
)


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """A variable-precision MAC array: rows × lanes × windows units.

    A unit multiplies `width_step` bits of a weight by one activation of `activation_bits` per
    cycle: one bit (Maki et al. 2020, doi:10.1587/transele.2019CTP0007), or 8 in an array of 8-bit
    multipliers. Widths are rounded up to a multiple of it. The windows of a tile are of one image.

    `e_bit` is the energy of a one-bit MAC, one bit of a weight by one of an activation, of which a
    unit does width_step × activation_bits a cycle; `e_idle` is that of one which idles. The others
    are of a bit read from the buffers, or moved to or from DRAM. All are in pJ if `priced`. With
    `e_idle` 0 the array is ideal and its energy is proportional to MAC×bit.
    """

    kind: ClassVar[str] = "digital"

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
        if self.units > MOST_UNITS:
            raise UsageError(f"an array of {self.units:,} units: give at most {MOST_UNITS:,}")
        if self.width_step > WIDEST:
            raise UsageError(f"widths in steps of {self.width_step} bits: at most {WIDEST}")
        if self.activation_bits > WIDEST:
            raise UsageError(f"activations of {self.activation_bits} bits: at most {WIDEST}")
        check_known("schedule", self.schedule, SCHEDULES)
        for name in (price.field for price in PRICES):
            value = getattr(self, name)
            if not (value >= 0 and isfinite(value)):
                raise UsageError(f"an array with {name} = {value}: give a number of 0 or more")

    @property
    def units(self) -> int:
        """Units that multiply in a cycle."""
        return self.rows * self.lanes * self.windows

    @property
    def unit_macs(self) -> int:
        """One-bit MACs, of a weight bit and an activation bit, that a unit does in a cycle."""
        return self.width_step * self.activation_bits

    @property
    def calibrates(self) -> bool:
        """Sums are exact: nothing has a range."""
        return False

    @property
    def noisy(self) -> bool:
        """Nothing is drawn."""
        return False

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.rows} rows × {self.lanes} lanes × {self.windows} windows"

    @property
    def variant(self) -> str:
        """The schedule."""
        return self.schedule

    @property
    def ideal_formula(self) -> str:
        """`ideal_energy` in words."""
        return f"e_bit·{self.activation_bits}·MAC×bit"

    @property
    def operation(self) -> Operation:
        """What energies are relative to."""
        return Operation("one-bit MAC", "one-bit MACs", self.e_bit)

    def ideal_energy(self, amplitude_x4: int, mac_bits: int) -> float:
        """e_bit·A·ESNd~."""
        return self.e_bit * self.activation_bits * mac_bits

    def prepare(self, layer: "QuantizedLayer", seed: Sequence[int], threads: int) -> LayerEngine:
        """A layer scheduled on the array."""
        from esnsim.machines.array.result import ArrayLayer

        return ArrayLayer(self, layer, threads)


#: Arrays with names. The size of the FPGA array of Maki et al. is ours: their text that we have
#: states its principle and results, not its dimensions.
PRESETS = {
    "ideal-digital": ArraySpec(1, 1, 1),
    "maki": ArraySpec(64, 16, 1, "bit-parallel"),
    "maki-serial": ArraySpec(64, 16, 1, "serial"),
    "int8": ArraySpec(64, 16, 1, "serial", width_step=8),
}

KIND = Kind(
    describe=ArraySpec,
    presets=PRESETS,
    default="maki",
    options=OPTIONS,
    prices=PRICES,
    compare={"schedules": "schedule"},
    clocked=True,
)
