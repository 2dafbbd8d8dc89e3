"""What every machine by name answers, and what descriptions have in common."""

from dataclasses import Field, dataclass, fields
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError
from esnsim.machines.named.counts import Count

if TYPE_CHECKING:
    from esnsim.machines.named.memory import Memory
    from esnsim.machines.named.work import Work

Ints = NDArray[np.int64]

MOST_LANES = 1 << 20  # rows, lanes, windows
CLOCK_MHZ = 500.0  # ours, where no clock was published


class Described(Protocol):
    """What every machine by name answers."""

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def source(self) -> str:
        """Where it is defined."""

    @property
    def assumed(self) -> str:
        """What is ours."""

    @property
    def leaves_out(self) -> str:
        """What of the machine is not counted."""

    @property
    def memory(self) -> "Memory | None":
        """Its own buffers and DRAM, where its file describes them."""

    @property
    def multipliers(self) -> int | None:
        """One-bit multipliers, None of analog machines."""

    @property
    def size(self) -> str:
        """Its dimensions in words."""

    @property
    def masks(self) -> bool:
        """Whether filters with kept zeros take a mask plane."""

    @property
    def by_filter(self) -> bool:
        """Whether a filter counts by its own width, and not by its layer's widest."""

    @property
    def hertz(self) -> float:
        """Cycles, of analog machines reads, a second."""

    def full_power(self, activation_bits: int) -> int:
        """x²·G of the largest input and cell of analog machines."""

    def stored_widths(self, widths: Ints) -> Ints:
        """Bits that a weight of each filter (filters,) is stored in, given its width."""

    def count(self, work: "Work") -> Count:
        """What a layer takes, the sum over the images that it runs on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Where a machine is defined, what is assumed beyond that, and what it leaves out.

    `memory` is the machine's own, where no other is put behind all machines.
    """

    source: str = "your own"
    assumed: str = ""
    leaves_out: str = ""
    memory: "Memory | None" = None

    @property
    def masks(self) -> bool:
        """Whether filters with kept zeros take a mask plane."""
        return False

    @property
    def by_filter(self) -> bool:
        """Whether a filter counts by its own width, and not by its layer's widest."""
        return False

    def full_power(self, activation_bits: int) -> int:
        """1, of machines without cells."""
        return 1

    def stored_widths(self, widths: Ints) -> Ints:
        """Bits that a weight of each filter (filters,) is stored in, given its width."""
        return widths


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked(About):
    """A digital machine that runs at `clock_mhz` and holds whole operands in words of `bits`."""

    bits: int = 8
    clock_mhz: float = CLOCK_MHZ

    def check_clocked(self, least: dict[str, int]) -> None:
        """Raise UsageError unless the clock is above 0 and these sizes are at least that."""
        if not 0 < self.clock_mhz < inf:
            raise UsageError(f"a clock of {self.clock_mhz} MHz: give a number above 0")
        check_sizes(self, {**least, "bits": 1})

    @property
    def hertz(self) -> float:
        """Cycles a second."""
        return self.clock_mhz * 1e6

    def stored_widths(self, widths: Ints) -> Ints:
        """Bits that a weight of each filter (filters,) is stored in: words as the widest needs."""
        words = -(-int(widths.max(initial=0)) // self.bits)
        return np.where(widths > 0, words * self.bits, 0)


def check_sizes(
    machine: object, least: dict[str, int], most: int = MOST_LANES, what: str = "a machine"
) -> None:
    """Raise UsageError unless these fields are whole numbers from their least to `most`."""
    for name, low in least.items():
        value = getattr(machine, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= most:
            raise UsageError(
                f"{what} with {name} = {value}: give a whole number from {low} to {most:,}"
            )


def own_fields(machine: Described) -> dict[str, object]:
    """Fields of a description and their values, its own first, without where it comes from."""
    about, shared = ({f.name for f in fields(kind)} for kind in (About, Clocked))
    names = [f.name for f in fields(machine) if f.name not in about]
    return {name: getattr(machine, name) for name in sorted(names, key=shared.__contains__)}
