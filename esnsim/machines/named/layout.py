"""How lanes lie on the reduction of a layer, and what an operand asks of them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.named.lanes import Lanes, brick
from esnsim.machines.named.statistics import HALF_LANES, LINES
from esnsim.machines.named.work import Groups, Work, arrange

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Side(NamedTuple):
    """One operand of groups alike, summed over its tiles, for each step of the reduction.

    `tiled` (groups, steps) are Σ over tiles of what a tile takes, `present` the same times its
    members, `own` (groups, steps, lanes) Σ over members of what each asks for. `turns` (groups,
    steps) counts the tiles that take the step; where lanes wait apart `apart` (groups, tiles,
    steps, lanes) says what they take.
    """

    tiled: Ints
    present: Ints
    own: Ints
    turns: Ints
    apart: NDArray[Any] | None = None


class Layout(NamedTuple):
    """How lanes lie on the reduction: `lanes` of a row, of which a step has at most `wide`.

    `mask` (steps, wide) says where there is a weight.
    """

    lanes: int
    wide: int
    order: str
    mask: Mask

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """(…, taps, channels) as (…, steps, wide)."""
        return arrange(values, self.wide, self.order)


def layout_of(machine: Lanes, work: Work, alike: Groups) -> Layout:
    """Where the lanes of a machine lie on these groups."""
    lanes, (taps, channels) = machine.lanes, alike.k.shape[2:]
    if machine.bricks:
        lanes *= (8 // brick(work.activation_bits)) * (8 // brick(work.width))
    order = "flat" if work.channels <= machine.flat_channels else machine.order
    run = {"flat": taps * channels, "tap": channels, "channel": max(taps, channels)}[order]
    wide = lanes if machine.weight in (LINES, HALF_LANES) else min(lanes, run)
    return Layout(lanes, wide, order, arrange(np.ones((taps, channels), np.bool_), wide, order))
