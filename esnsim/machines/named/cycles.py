"""Cycles of a machine of lanes: a dot product over the steps of the reduction.

At a step all that run side by side take max(a·w) cycles over windows and filters. Both are not
negative, so the maximum factors: cycles = Σ_k (Σ over window tiles of A[k]) · (Σ over filter tiles
of W[k]). Where lanes wait apart it does not, and each pair of tiles is looked at. Groups add.
"""

from math import ceil

import numpy as np

from esnsim.machines.named.activation_side import activation_side
from esnsim.machines.named.counts import Count
from esnsim.machines.named.events import (
    INPUTS,
    OUTPUTS,
    REGISTER_CYCLES,
    REGISTER_STEPS,
    WEIGHTS,
    output_bits,
    stored_bits,
)
from esnsim.machines.named.lanes import Lanes
from esnsim.machines.named.layout import Ints, Layout, Side, layout_of
from esnsim.machines.named.statistics import LINES
from esnsim.machines.named.weight_side import weight_side
from esnsim.machines.named.work import Work

CONSTANT = "constant"  # the cause of cycles that a step takes whatever it holds
PAIRS = 1 << 22  # products of tiles that are compared at once


def count(machine: Lanes, work: Work) -> Count:
    """Cycles of all images, and unit-cycles by cause."""
    groups = range(len(work.groups))
    return sum((_count_alike(machine, work, index) for index in groups), Count())


def _count_alike(machine: Lanes, work: Work, index: int) -> Count:
    alike = work.groups[index]
    layout = layout_of(machine, work, alike)
    activations = activation_side(machine, work, index, layout)
    weights = weight_side(machine, work, alike, layout)
    apart = machine.wait == "lanes"
    cycles = _apart(activations, weights) if apart else _dot(activations.tiled, weights.tiled)
    steps = _dot(activations.turns, weights.turns)
    extra = ceil(machine.extra(steps, cycles))
    units = machine.rows * (machine.row_units or layout.lanes) * machine.windows
    constant = {CONSTANT: units * extra} if extra else {}
    held = int((layout.mask.sum(axis=1) * weights.turns).sum())
    window_tiles = int(activations.turns.max(initial=0))
    events = {
        REGISTER_CYCLES: machine.rows * machine.lanes * (cycles + extra),
        REGISTER_STEPS: machine.windows * machine.lanes * steps,
        WEIGHTS: window_tiles * stored_bits(machine, work, alike),
        INPUTS: work.activation_bits * len(work.base) * held,
        OUTPUTS: output_bits(work, alike),
    }
    more = Count(cycles=extra, slots=units * extra, idle=constant, events=events)
    return _idle(machine, layout, activations, weights, cycles) + more


def _dot(one: Ints, other: Ints) -> int:
    return int((one * other).sum())


def _idle(machine: Lanes, layout: Layout, a: Side, w: Side, cycles: int) -> Count:
    """Unit-cycles of the steps: those without a MAC by what is not full, the others wait."""
    rows, windows = machine.rows, machine.windows
    units, held = machine.row_units or layout.lanes, layout.mask.sum(axis=1)
    if machine.row_units or machine.weight == LINES:  # which lane holds a weight is not fixed
        held = np.full(len(held), units)
    active = _dot(a.own, w.own)
    if a.apart is not None:
        slots = rows * units * windows * cycles
        idle = {"lanes wait": slots - active}
        return Count(cycles=cycles, slots=slots, active=active, idle=idle)
    present = _dot(held * a.present, w.present)
    own = _dot(a.present, w.own.sum(axis=2))
    idle = {
        "activations wait": own - active,
        "weights wait": present - own,
        "rows": units * windows * _dot(a.tiled, rows * w.tiled - w.present),
        "lanes": windows * _dot((units - held) * a.tiled, w.present),
        "windows": _dot(held * w.present, windows * a.tiled - a.present),
    }
    slots = rows * units * windows * cycles
    return Count(cycles=cycles, slots=slots, active=active, idle=idle)


def _apart(a: Side, w: Side) -> int:
    """Σ over pairs of tiles and steps of the slowest lane's product, at least 1."""
    assert a.apart is not None
    assert w.apart is not None
    each = max(1, PAIRS // max(1, w.apart.size))
    total = 0
    for start in range(0, a.apart.shape[1], each):
        block = np.multiply(
            a.apart[:, start : start + each, None], w.apart[:, None], dtype=np.uint16
        )
        total += int(np.maximum(block.max(axis=-1), 1).sum(dtype=np.int64))
    return total
