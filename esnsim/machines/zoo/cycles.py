"""Cycles of a machine of lanes: a dot product over the steps of the reduction.

At a step all that run side by side take max(a·w) cycles over windows and filters. Both are not
negative, so the maximum factors: cycles = Σ_k (Σ over window tiles of A[k]) · (Σ over filter tiles
of W[k]). Where lanes wait apart it does not, and each pair of tiles is looked at. Groups add.
"""

from collections.abc import Iterator
from functools import reduce
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.zoo import lookahead
from esnsim.machines.zoo.description import Count, Lanes
from esnsim.machines.zoo.statistics import (
    FIXED,
    LINES,
    MIDRISE,
    ONE,
    PLANES,
    READ,
    STORED,
    TWOS,
    patterns,
)
from esnsim.machines.zoo.work import (
    Group,
    Work,
    arrange,
    patches,
    present_lanes,
    window_tiles,
)

Ints = NDArray[np.int64]
PAIRS = 1 << 22  # products of tiles that are compared at once


class Side(NamedTuple):
    """One operand, summed over its tiles, for each step of the reduction.

    `tiled` (steps,) are Σ over tiles of what a tile takes, `present` the same times its members,
    `own` (steps, lanes) Σ over members of what each asks for. `tiles` counts tiles; where lanes
    wait apart `apart` (tiles, steps, lanes) says what they take.
    """

    tiled: Ints
    present: Ints
    own: Ints
    tiles: int
    apart: NDArray[Any] | None = None


def count(machine: Lanes, work: Work) -> Count:
    """Cycles of all images, and unit-cycles by cause."""
    total = Count()
    for index, group in enumerate(work.groups):
        if len(group.widths):
            total += _count_group(machine, work, index)
    return total


def _count_group(machine: Lanes, work: Work, index: int) -> Count:
    lanes, order = layout(machine, work)
    mask = present_lanes(work.groups[index], lanes, order)
    activations = _activations(machine, work, index, mask)
    weights = _weights(machine, work, index, mask)
    apart = machine.wait == "lanes"
    cycles = _apart(activations, weights) if apart else int(activations.tiled @ weights.tiled)
    extra = ceil(machine.extra(activations.tiles * weights.tiles * len(mask), cycles))
    found = _idle(machine, lanes, mask, activations, weights, cycles)
    units = machine.rows * (machine.row_units or lanes) * machine.windows
    constant = Count(extra, units * extra, 0, {"constant": units * extra} if extra else {})
    return found + constant


def layout(machine: Lanes, work: Work) -> tuple[int, str]:
    """Lanes of a row on this layer, and their order over the reduction."""
    lanes = machine.lanes
    if machine.bricks:
        lanes *= (8 // brick(work.activation_bits)) * (8 // brick(work.width))
    return lanes, "flat" if work.channels <= machine.flat_channels else machine.order


def brick(bits: int) -> int:
    """The multiplier that holds so many bits: 2, 4 or 8."""
    return 2 if bits <= 2 else 4 if bits <= 4 else 8


def _idle(
    machine: Lanes, lanes: int, mask: NDArray[np.bool_], a: Side, w: Side, cycles: int
) -> Count:
    """Unit-cycles of the steps: those without a MAC by what is not full, the others wait."""
    rows, windows = machine.rows, machine.windows
    units, held = machine.row_units or lanes, mask.sum(axis=1)
    if machine.row_units or machine.weight == LINES:  # which lane holds a weight is not fixed
        held = np.full(len(mask), units)
    active = int((a.own * w.own).sum())
    if a.apart is not None:
        return _idle_apart(machine, mask, a, w, cycles, active)
    present = int((held * a.present) @ w.present)
    own = int(a.present @ w.own.sum(axis=1))
    idle = {
        "activations wait": own - active,
        "weights wait": present - own,
        "rows": units * windows * int(a.tiled @ (rows * w.tiled - w.present)),
        "lanes": windows * int(((units - held) * a.tiled) @ w.present),
        "windows": int((held * w.present) @ (windows * a.tiled - a.present)),
    }
    return Count(cycles, rows * units * windows * cycles, active, idle)


def _idle_apart(
    machine: Lanes, mask: NDArray[np.bool_], a: Side, w: Side, cycles: int, active: int
) -> Count:
    """Lanes that wait for each other are one cause: what any of their operands needs."""
    slots = machine.rows * machine.lanes * machine.windows * cycles
    return Count(cycles, slots, active, {"lanes wait": slots - active})


def _apart(a: Side, w: Side) -> int:
    """Σ over pairs of tiles and steps of the slowest lane's product, at least 1."""
    assert a.apart is not None
    assert w.apart is not None
    each = max(1, PAIRS // max(1, w.apart.size))
    total = 0
    for start in range(0, len(a.apart), each):
        block = a.apart[start : start + each, None] * w.apart[None]
        total += int(np.maximum(block.max(axis=-1), 1).sum(dtype=np.int64))
    return total


def _activations(machine: Lanes, work: Work, index: int, mask: NDArray[np.bool_]) -> Side:
    lanes, order = layout(machine, work)
    key = (
        "activations", index, lanes, order, machine.windows, machine.run, machine.activation,
        machine.least_activation, machine.wait, machine.bits,
    )  # fmt: skip
    make = _fixed_activations if machine.activation in FIXED else _read_activations
    return work.keep(key, lambda: make(machine, work, index, mask))


def _fixed_activations(machine: Lanes, work: Work, index: int, mask: NDArray[np.bool_]) -> Side:
    """An operand that takes as long whatever its values."""
    bits = work.activation_bits
    each = -(-bits // machine.bits) if machine.activation == ONE else bits
    tiles, windows = len(window_tiles(work, machine.windows, machine.run)), len(work.base)
    steps = np.ones(len(mask), np.int64)
    return Side(tiles * each * steps, windows * each * steps, windows * each * mask, tiles)


def _read_activations(machine: Lanes, work: Work, index: int, mask: NDArray[np.bool_]) -> Side:
    lanes, order = layout(machine, work)
    tiles = window_tiles(work, machine.windows, machine.run)
    statistic, apart = READ[machine.activation], machine.wait == "lanes"
    tiled, present, own = (np.zeros(s, np.int64) for s in (len(mask), len(mask), mask.shape))
    kept = []
    for block, taken in patches(work, index, tiles):
        there = (block >= 0).ravel()
        groups = arrange(_seen(machine, work, taken) * there[:, None, None], lanes, order)
        each = statistic.own(groups) * mask
        own += each.sum(axis=0)
        shape = (*block.shape, *mask.shape)
        if apart:
            kept.append(each.reshape(shape).max(axis=1).astype(np.int16))
            continue
        least = np.maximum(statistic.group(groups), machine.least_activation) * there[:, None]
        slowest = least.reshape(shape[:3]).max(axis=1)
        tiled += slowest.sum(axis=0)
        present += (block >= 0).sum(axis=1) @ slowest
    return Side(tiled, present, own, len(tiles), np.concatenate(kept) if apart else None)


def _seen(machine: Lanes, work: Work, taken: NDArray[Any]) -> NDArray[Any]:
    """Activations as bits: the stored code, in two's complement where it is signed."""
    if not work.signed:
        return taken.astype(np.uint32)
    return patterns(taken, TWOS, work.activation_bits, machine.activation == "width")


class Bank(NamedTuple):
    """Filters that share rows, (filters, taps, channels), their widths, and those as stored."""

    k: NDArray[Any]
    q: NDArray[Any]
    widths: Ints
    stored: Ints


def _banks(machine: Lanes, group: Group, widest: int) -> Iterator[Bank]:
    """The filters, and the masks of kept zeros that bits of k need, as filters of one bit."""
    order = np.argsort(-group.widths, kind="stable") if machine.sort else slice(None)
    widths = group.widths[order]
    stored = widths if machine.stored == "filter" else np.full(len(widths), widest)
    yield Bank(group.k[order], group.q[order], widths, stored)
    if machine.weight not in (ONE, LINES) and machine.encoding != MIDRISE and len(group.masks):
        one = np.ones(len(group.masks), np.int64)
        yield Bank(group.masks, group.masks, one, one)


def _weights(machine: Lanes, work: Work, index: int, mask: NDArray[np.bool_]) -> Side:
    lanes, order = layout(machine, work)
    sides = []
    for bank in _banks(machine, work.groups[index], work.width):
        if machine.weight in FIXED:
            sides.append(_fixed_weights(machine, work, bank, mask))
        elif machine.weight == LINES:
            sides.append(_lines(machine, work, arrange(bank.q, lanes, order)))
        else:
            sides.append(_read_weights(machine, work, bank, mask))
    return reduce(_joined, sides)


def _joined(one: Side, other: Side) -> Side:
    """Tiles of both, one after the other."""
    apart = None
    if one.apart is not None and other.apart is not None:
        apart = np.concatenate([one.apart, other.apart])
    return Side(
        one.tiled + other.tiled, one.present + other.present, one.own + other.own,
        one.tiles + other.tiles, apart,
    )  # fmt: skip


def _fixed_weights(machine: Lanes, work: Work, bank: Bank, mask: NDArray[np.bool_]) -> Side:
    """Filters that take as long as they are stored wide: whole, serial, or a row a plane."""
    asked = bank.widths
    if machine.weight == ONE:
        asked = np.full(len(bank.widths), -(-work.width // machine.bits))
    elif machine.weight == PLANES:
        asked = np.ones(int(bank.widths.sum()), np.int64)
    taken = bank.stored if machine.weight == STORED else asked
    tiles, members = _tiles(np.maximum(taken, machine.least_weight)[:, None], machine.rows)
    steps = np.ones(len(mask), np.int64)
    return Side(
        int(tiles.sum()) * steps, int(members @ tiles[:, 0]) * steps, int(asked.sum()) * mask,
        len(tiles),
    )  # fmt: skip


def _read_weights(machine: Lanes, work: Work, bank: Bank, mask: NDArray[np.bool_]) -> Side:
    lanes, order = layout(machine, work)
    values = bank.q if machine.encoding == MIDRISE else bank.k
    cut = bank.stored[:, None, None]
    seen = patterns(values, machine.encoding, cut, machine.weight == "width")
    groups = arrange(seen, lanes, order)
    statistic = READ[machine.weight]
    each = statistic.own(groups) * mask
    if machine.wait == "lanes":
        apart, members = _tiles(each, machine.rows)
        zeros = np.zeros(len(mask), np.int64)
        return Side(zeros, zeros, each.sum(axis=0), len(members), apart.astype(np.int16))
    tiles, members = _tiles(np.maximum(statistic.group(groups), machine.least_weight), machine.rows)
    return Side(tiles.sum(axis=0), members @ tiles, each.sum(axis=0), len(tiles))


def _lines(machine: Lanes, work: Work, weights: NDArray[Any]) -> Side:
    """Lines that a front end keeps: a step that all filters of a tile may skip takes nothing."""
    starts, passes = range(0, len(weights), machine.rows), -(-work.width // machine.bits)
    kept = passes * np.stack([
        lookahead.lines_kept(weights[i : i + machine.rows], machine.lookahead, machine.lookaside)
        for i in starts
    ]).astype(np.int64)  # fmt: skip
    members = np.diff([*starts, len(weights)])
    own = passes * (weights != 0).sum(axis=0)
    return Side(kept.sum(axis=0), members @ kept, own, len(kept))


def _tiles(taken: Ints, rows: int) -> tuple[Ints, Ints]:
    """(filters, …) in tiles of rows: the slowest of each, and how many it has."""
    short = -len(taken) % rows
    padded = np.pad(taken, ((0, short), *[(0, 0)] * (taken.ndim - 1)))
    tiles = padded.reshape(-1, rows, *taken.shape[1:]).max(axis=1)
    members = np.full(len(tiles), rows)
    members[-1] -= short
    return tiles, members
