"""A machine that multiplies integers in lanes, as a frozen description, and what it counts."""

from dataclasses import Field, dataclass, field, fields
from fractions import Fraction
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError
from esnsim.machines.named.statistics import (
    ACTIVATIONS,
    ENCODINGS,
    LINES,
    MIDRISE,
    ONE,
    WEIGHTS,
)

if TYPE_CHECKING:
    from esnsim.machines.named.memory import Memory
    from esnsim.machines.named.work import Work

Ints = NDArray[np.int64]

ORDERS = ("flat", "tap", "channel")
STORED_BY = ("filter", "layer")
RUNS = ("image", "row")
WAITS = ("all", "lanes")
MOST_LANES = 1 << 20  # rows, lanes, windows
MOST_CYCLES = 255  # that a group of integers takes at least
CLOCK_MHZ = 500.0  # ours, where no clock was published
CONSTANT = "constant"  # the cause of cycles that a step takes whatever it holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What layers took: cycles, and unit-cycles that are active or idle, by cause; exact sums.

    `slots` are all unit-cycles: `active` and `idle` together. `events` are what else has a price.
    """

    cycles: int = 0
    slots: int = 0
    active: int = 0
    idle: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: "Count") -> "Count":
        return Count(
            cycles=self.cycles + other.cycles,
            slots=self.slots + other.slots,
            active=self.active + other.active,
            idle=_added(self.idle, other.idle),
            events=_added(self.events, other.events),
        )

    def times(self, number: int) -> "Count":
        """The same so many times."""
        return Count(
            cycles=number * self.cycles,
            slots=number * self.slots,
            active=number * self.active,
            idle={cause: number * units for cause, units in self.idle.items()},
            events={name: number * value for name, value in self.events.items()},
        )


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in (one | other)}


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
class Lanes(About):
    """rows × lanes × windows units: filters, a part of the reduction, output positions.

    At a step all units of a tile take activation × weight cycles, each by its `statistic`, and wait
    for the slowest (`wait` "all"), or each lane multiplies its own two and only then waits
    ("lanes"). Lanes run over the reduction `flat` (across kernel taps), `tap` by tap, or over the
    taps of a `channel` where there are more of them than channels; `flat_channels` is the most
    channels that a layer may have to be flat all the same (im2col of first layers). Windows of a
    tile are of one image, or of one output `row`.

    A `stored` width is that of the filter or of the layer's widest; `encoding` says which integers
    of weights the others see. An operand that is whole takes a cycle for each `bits` of it.
    `least_*` are the fewest cycles of a group. With `bricks` both operands are whole and round up
    to 2, 4 or 8 bits: what they leave free are more lanes. `sort` puts the widest filters first.

    `step_extra` cycles are added to each step, and `zero_extra` for each of its 7 columns that is
    not taken. `lookahead` lines and `lookaside` neighbours are where "lines" finds weights.

    A row has `row_units` units in a window, or one a lane, and `share` of them have a multiplier
    between them: bits × bits one-bit multipliers, where a serial operand counts 1.
    """

    kind: ClassVar[str] = "lanes"

    rows: int = 16
    lanes: int = 16
    windows: int = 1
    order: str = "flat"
    flat_channels: int = 0
    run: str = "image"
    activation: str = "one"
    weight: str = "one"
    encoding: str = "two's complement"
    stored: str = "filter"
    wait: str = "all"
    sort: bool = False
    bricks: bool = False
    bits: int = 8
    least_activation: int = 1
    least_weight: int = 1
    step_extra: float = 0.0
    zero_extra: float = 0.0
    lookahead: int = 0
    lookaside: int = 0
    row_units: int = 0
    share: int = 1
    clock_mhz: float = CLOCK_MHZ

    def __post_init__(self) -> None:
        check_sizes(self, {"rows": 1, "lanes": 1, "windows": 1, "bits": 1, "share": 1})
        check_sizes(self, {"least_activation": 0, "least_weight": 0}, MOST_CYCLES)
        check_sizes(self, {"flat_channels": 0, "lookahead": 0, "lookaside": 0, "row_units": 0})
        for name, known in (
            ("order", ORDERS), ("run", RUNS), ("activation", ACTIVATIONS), ("weight", WEIGHTS),
            ("encoding", ENCODINGS), ("stored", STORED_BY), ("wait", WAITS),
        ):  # fmt: skip
            check_name(name, getattr(self, name), known)
        self._check_together()

    def _check_together(self) -> None:
        """Raise UsageError for fields that contradict each other."""
        whole = self.activation == ONE
        extra = self.step_extra, self.zero_extra
        if not all(isfinite(x) and x >= 0 for x in extra):
            raise UsageError("step_extra and zero_extra: give numbers of 0 or more")
        check_clock(self.clock_mhz)
        for broken, what in (
            (self.wait == "lanes" and {self.activation, self.weight} != {"ones"},
             'lanes that wait apart need activation and weight = "ones"'),
            (self.bricks and {self.activation, self.weight} != {ONE},
             'bricks hold whole operands: give activation and weight = "one"'),
            (any(extra) and not whole, 'step_extra needs activation = "one"'),
            (self.weight == LINES and not (whole and self.lookahead),
             'weight = "lines" needs a lookahead of 1 or more, and activation = "one"'),
            (self.lookahead and self.weight != LINES, 'a lookahead needs weight = "lines"'),
        ):  # fmt: skip
            if broken:
                raise UsageError(what)

    @property
    def multipliers(self) -> int:
        """One-bit multipliers of the machine."""
        whole = [self.activation == ONE, self.weight in (ONE, LINES)]
        units = self.rows * (self.row_units or self.lanes) * self.windows
        return int(max(1, units // self.share) * self.bits ** sum(whole))

    @property
    def size(self) -> str:
        """Its dimensions in words."""
        return f"{self.rows}×{self.lanes}×{self.windows}"

    @property
    def masks(self) -> bool:
        """Whether filters with kept zeros take a mask plane: where bits of k are read."""
        return self.weight not in (ONE, LINES) and self.encoding != MIDRISE

    @property
    def by_filter(self) -> bool:
        """Whether a filter counts by its own width, and not by its layer's widest."""
        return self.stored == "filter" and self.weight not in (ONE, LINES) and not self.bricks

    @property
    def hertz(self) -> float:
        """Cycles a second."""
        return self.clock_mhz * 1e6

    def stored_widths(self, widths: Ints) -> Ints:
        """Bits that a weight of each filter (filters,) is stored in, given its width."""
        widest = int(widths.max(initial=0))
        if self.bricks and widest <= self.bits:
            return np.where(widths > 0, brick(widest), 0)
        if self.weight in (ONE, LINES):
            return whole_widths(widths, self.bits)
        return widths if self.stored == "filter" else np.where(widths > 0, widest, 0)

    def count(self, work: "Work") -> Count:
        """What a layer takes, the sum over the images that it runs on."""
        from esnsim.machines.named.cycles import count

        return count(self, work)

    def extra(self, steps: int, cycles: int) -> Fraction:
        """Cycles added to so many steps that take so many cycles."""
        step, zero = Fraction(str(self.step_extra)), Fraction(str(self.zero_extra))
        return steps * step + max(0, 7 * steps - cycles) * zero


def brick(bits: int) -> int:
    """The multiplier that holds so many bits: 2, 4 or 8."""
    return 2 if bits <= 2 else 4 if bits <= 4 else 8


def whole_widths(widths: Ints, bits: int) -> Ints:
    """Widths (filters,) of whole weights: the layer's widest in words of `bits`, 0 if pruned."""
    return np.where(widths > 0, -(-int(widths.max(initial=0)) // bits) * bits, 0)


def check_sizes(machine: object, least: dict[str, int], most: int = MOST_LANES) -> None:
    """Raise UsageError unless these fields are whole numbers from their least to `most`."""
    for name, low in least.items():
        value = getattr(machine, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= most:
            raise UsageError(
                f"a machine with {name} = {value}: give a whole number from {low} to {most:,}"
            )


def check_clock(mhz: float) -> None:
    """Raise UsageError unless a clock is a number above 0."""
    if not 0 < mhz < inf:
        raise UsageError(f"a clock of {mhz} MHz: give a number above 0")


def check_name(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raise UsageError unless a value is one of the names that there are."""
    if value not in known:
        raise UsageError(f"no {name} {value!r}: use one of {', '.join(known)}")


def own_fields(machine: Described) -> dict[str, object]:
    """Fields of a description and their values, in order, without where it comes from."""
    about = {f.name for f in fields(About)}
    return {f.name: getattr(machine, f.name) for f in fields(machine) if f.name not in about}
