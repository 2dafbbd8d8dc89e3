"""A machine that multiplies integers in lanes, as a frozen description."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from esnsim.errors import UsageError, check_known
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import Clocked, Ints, check_sizes
from esnsim.machines.named.statistics import (
    ACTIVATIONS,
    ENCODINGS,
    LINES,
    MIDRISE,
    ONE,
    WEIGHTS,
)

if TYPE_CHECKING:
    from esnsim.machines.named.work import Work

ORDERS = ("flat", "tap", "channel")
STORED_BY = ("filter", "layer")
RUNS = ("image", "row")
WAITS = ("all", "lanes")
MOST_CYCLES = 255  # that a group of integers takes at least
MOST_EXTRA = 1 << 20  # cycles that are added to a step


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes(Clocked):
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
    least_activation: int = 1
    least_weight: int = 1
    step_extra: float = 0.0
    zero_extra: float = 0.0
    lookahead: int = 0
    lookaside: int = 0
    row_units: int = 0
    share: int = 1

    def __post_init__(self) -> None:
        self.check_clocked({"rows": 1, "lanes": 1, "windows": 1, "share": 1})
        check_sizes(self, {"least_activation": 0, "least_weight": 0}, MOST_CYCLES)
        check_sizes(self, {"flat_channels": 0, "lookahead": 0, "lookaside": 0, "row_units": 0})
        for name, known in (
            ("order", ORDERS), ("run", RUNS), ("activation", ACTIVATIONS), ("weight", WEIGHTS),
            ("encoding", ENCODINGS), ("stored", STORED_BY), ("wait", WAITS),
        ):  # fmt: skip
            check_known(name, getattr(self, name), known)
        self._check_together()

    def _check_together(self) -> None:
        """Raise UsageError for fields that contradict each other."""
        whole = self.activation == ONE
        extra = self.step_extra, self.zero_extra
        if not all(0 <= x <= MOST_EXTRA for x in extra):
            raise UsageError(f"step_extra and zero_extra: give numbers from 0 to {MOST_EXTRA:,}")
        for broken, what in (
            (self.wait == "lanes" and {self.activation, self.weight} != {"ones"},
             'lanes that wait apart need activation and weight = "ones"'),
            (self.bricks and {self.activation, self.weight} != {ONE},
             'bricks hold whole operands: give activation and weight = "one"'),
            (any(extra) and not whole, 'step_extra needs activation = "one"'),
            (self.weight == LINES and not (whole and self.lookahead),
             'weight = "lines" needs a lookahead of 1 or more, and activation = "one"'),
            ((self.lookahead or self.lookaside) and self.weight != LINES,
             'a lookahead, and a lookaside, need weight = "lines"'),
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

    def stored_widths(self, widths: Ints) -> Ints:
        """Bits that a weight of each filter (filters,) is stored in, given its width."""
        widest = int(widths.max(initial=0))
        if self.bricks and widest <= self.bits:
            return np.where(widths > 0, brick(widest), 0)
        if self.weight in (ONE, LINES):
            return Clocked.stored_widths(self, widths)
        return widths if self.stored == "filter" else np.where(widths > 0, widest, 0)

    def count(self, work: "Work") -> Count:
        """What a layer takes, the sum over the images that it runs on."""
        from esnsim.machines.named.cycles import count

        return count(self, work)

    def extra(self, steps: int, cycles: int) -> Fraction:
        """Cycles added to a number of steps that take this number of `cycles`."""
        step, zero = Fraction(str(self.step_extra)), Fraction(str(self.zero_extra))
        return steps * step + max(0, 7 * steps - cycles) * zero


def brick(bits: int) -> int:
    """The width of the multiplier that holds operands of `bits` bits: 2, 4 or 8."""
    return 2 if bits <= 2 else 4 if bits <= 4 else 8
