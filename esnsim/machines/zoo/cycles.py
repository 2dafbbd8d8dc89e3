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

from esnsim.machines.zoo.description import Count, Lanes, brick
from esnsim.machines.zoo.lookahead import lines_kept
from esnsim.machines.zoo.statistics import (
    FIXED,
    HALF_LANES,
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
    Groups,
    Work,
    arrange,
    patches,
    window_sums,
    window_tiles,
)

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
PAIRS = 1 << 22  # products of tiles that are compared at once


class Side(NamedTuple):
    """One operand of groups alike, summed over its tiles, for each step of the reduction.

    `tiled` (groups, steps) are Σ over tiles of what a tile takes, `present` the same times its
    members, `own` (groups, steps, lanes) Σ over members of what each asks for. `tiles` counts
    tiles; where lanes wait apart `apart` (groups, tiles, steps, lanes) says what they take.
    """

    tiled: Ints
    present: Ints
    own: Ints
    tiles: int
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


def count(machine: Lanes, work: Work) -> Count:
    """Cycles of all images, and unit-cycles by cause."""
    groups = range(len(work.groups))
    return sum((_count_alike(machine, work, index) for index in groups), Count())


def _count_alike(machine: Lanes, work: Work, index: int) -> Count:
    alike = work.groups[index]
    layout = _layout(machine, work, alike)
    activations = _activations(machine, work, index, layout)
    weights = _weights(machine, work, alike, layout)
    apart = machine.wait == "lanes"
    cycles = _apart(activations, weights) if apart else _dot(activations.tiled, weights.tiled)
    steps = len(alike.k) * activations.tiles * weights.tiles * len(layout.mask)
    extra = ceil(machine.extra(steps, cycles))
    units = machine.rows * (machine.row_units or layout.lanes) * machine.windows
    constant = Count(extra, units * extra, 0, {"constant": units * extra} if extra else {})
    return _idle(machine, layout, activations, weights, cycles) + constant


def _dot(one: Ints, other: Ints) -> int:
    return int((one * other).sum())


def _layout(machine: Lanes, work: Work, alike: Groups) -> Layout:
    lanes, (taps, channels) = machine.lanes, alike.k.shape[2:]
    if machine.bricks:
        lanes *= (8 // brick(work.activation_bits)) * (8 // brick(work.width))
    order = "flat" if work.channels <= machine.flat_channels else machine.order
    run = {"flat": taps * channels, "tap": channels, "channel": max(taps, channels)}[order]
    wide = lanes if machine.weight in (LINES, HALF_LANES) else min(lanes, run)
    return Layout(lanes, wide, order, arrange(np.ones((taps, channels), np.bool_), wide, order))


def _idle(machine: Lanes, layout: Layout, a: Side, w: Side, cycles: int) -> Count:
    """Unit-cycles of the steps: those without a MAC by what is not full, the others wait."""
    rows, windows = machine.rows, machine.windows
    units, held = machine.row_units or layout.lanes, layout.mask.sum(axis=1)
    if machine.row_units or machine.weight == LINES:  # which lane holds a weight is not fixed
        held = np.full(len(held), units)
    active = _dot(a.own, w.own)
    if a.apart is not None:
        slots = rows * units * windows * cycles
        return Count(cycles, slots, active, {"lanes wait": slots - active})
    present = _dot(held * a.present, w.present)
    own = _dot(a.present, w.own.sum(axis=2))
    idle = {
        "activations wait": own - active,
        "weights wait": present - own,
        "rows": units * windows * _dot(a.tiled, rows * w.tiled - w.present),
        "lanes": windows * _dot((units - held) * a.tiled, w.present),
        "windows": _dot(held * w.present, windows * a.tiled - a.present),
    }
    return Count(cycles, rows * units * windows * cycles, active, idle)


def _apart(a: Side, w: Side) -> int:
    """Σ over pairs of tiles and steps of the slowest lane's product, at least 1."""
    assert a.apart is not None
    assert w.apart is not None
    each = max(1, PAIRS // max(1, w.apart.size))
    total = 0
    for start in range(0, a.tiles, each):
        block = np.multiply(
            a.apart[:, start : start + each, None], w.apart[:, None], dtype=np.uint16
        )
        total += int(np.maximum(block.max(axis=-1), 1).sum(dtype=np.int64))
    return total


def _activations(machine: Lanes, work: Work, index: int, layout: Layout) -> Side:
    key = (
        "activations", index, layout.wide, layout.order, machine.windows, machine.run,
        machine.activation, machine.least_activation, machine.wait, machine.bits,
    )  # fmt: skip
    make = _fixed_activations if machine.activation in FIXED else _read_activations
    return work.keep(key, lambda: make(machine, work, work.groups[index], layout))


def _fixed_activations(machine: Lanes, work: Work, alike: Groups, layout: Layout) -> Side:
    """An operand that takes as long whatever its values."""
    bits, mask = work.activation_bits, layout.mask
    each = -(-bits // machine.bits) if machine.activation == ONE else bits
    tiles, windows = len(window_tiles(work, machine.windows, machine.run)), len(work.base)
    steps = np.ones((len(alike.k), len(mask)), np.int64)
    own = windows * each * np.broadcast_to(mask, (len(alike.k), *mask.shape))
    return Side(tiles * each * steps, windows * each * steps, own, tiles)


def _read_activations(machine: Lanes, work: Work, alike: Groups, layout: Layout) -> Side:
    seen, statistic = _seen(machine, work, alike), READ[machine.activation]
    tiles = window_tiles(work, machine.windows, machine.run)
    asked = statistic.own(seen).astype(np.uint8)
    own = layout.of(window_sums(work, asked)) * layout.mask
    steps = len(alike.k), len(layout.mask)
    tiled, present = np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    if machine.wait == "lanes":
        parts = [layout.of(taken.max(axis=2)) for _, taken in patches(work, asked, tiles)]
        return Side(tiled, present, own, len(tiles), np.concatenate(parts, axis=1))
    for members, slowest in _slowest(machine, work, seen, tiles, layout):
        tiled += slowest.sum(axis=1, dtype=np.int64)
        present += np.einsum("t,gtk->gk", members, slowest, dtype=np.int64)
    return Side(tiled, present, own, len(tiles))


def _slowest(
    machine: Lanes, work: Work, seen: NDArray[Any], tiles: Ints, layout: Layout
) -> Iterator[tuple[Ints, NDArray[Any]]]:
    """Blocks of tiles: their windows (tiles,), what each tile takes (groups, tiles, steps).

    Where lanes stay inside a tap a group is of one pixel, whose windows share what it takes.
    """
    statistic, least = READ[machine.activation], machine.least_activation

    def taken(groups: NDArray[Any]) -> NDArray[Any]:
        return np.maximum(statistic.group(groups), least).astype(np.uint8)

    inside = layout.order == "tap"
    values = taken(arrange(seen[..., None, :], layout.wide, "tap")) if inside else seen
    for block, patch in patches(work, values, tiles):
        each = patch.reshape(*patch.shape[:3], -1) if inside else taken(layout.of(patch))
        there = block >= 0
        yield there.sum(axis=1), (each * there[..., None]).max(axis=2)


def _seen(machine: Lanes, work: Work, alike: Groups) -> NDArray[Any]:
    """Activations as bits: the stored code, in two's complement where it is signed."""
    if not work.signed:
        return alike.pixels.astype(np.uint32)
    return patterns(alike.pixels, TWOS, work.activation_bits, machine.activation == "width")


class Bank(NamedTuple):
    """Filters that share rows, (groups, filters, taps, channels), their widths, and as stored."""

    k: NDArray[Any]
    q: NDArray[Any]
    widths: Ints
    stored: Ints


def _banks(machine: Lanes, alike: Groups, widest: int) -> Iterator[Bank]:
    """The filters, and the masks of kept zeros that bits of k need, as filters of one bit."""
    k, q, widths = alike.k, alike.q, alike.widths
    if machine.sort:
        order = np.argsort(-widths, axis=1, kind="stable")
        widths = np.take_along_axis(widths, order, axis=1)
        if machine.weight not in FIXED:
            k, q = (np.take_along_axis(x, order[:, :, None, None], axis=1) for x in (k, q))
    stored = widths if machine.stored == "filter" else np.full(widths.shape, widest)
    yield Bank(k, q, widths, stored)
    if machine.masks and alike.masks.shape[1]:
        one = np.ones(alike.masks.shape[:2], np.int64)
        yield Bank(alike.masks, alike.masks, one, one)


def _weights(machine: Lanes, work: Work, alike: Groups, layout: Layout) -> Side:
    make = _fixed_weights if machine.weight in FIXED else _read_weights
    make = _lines if machine.weight == LINES else make
    banks = _banks(machine, alike, work.width)
    return reduce(_joined, (make(machine, work, bank, layout) for bank in banks))


def _joined(one: Side, other: Side) -> Side:
    """Tiles of both, one after the other."""
    apart = None
    if one.apart is not None and other.apart is not None:
        apart = np.concatenate([one.apart, other.apart], axis=1)
    return Side(
        one.tiled + other.tiled, one.present + other.present, one.own + other.own,
        one.tiles + other.tiles, apart,
    )  # fmt: skip


def _fixed_weights(machine: Lanes, work: Work, bank: Bank, layout: Layout) -> Side:
    """Filters that take as long as they are stored wide: whole, serial, or a row a plane."""
    steps, asked = np.ones(len(layout.mask), np.int64), bank.widths
    if machine.weight == ONE:
        asked = np.full(asked.shape, -(-work.width // machine.bits))
    total = asked.sum(axis=1)[:, None]
    own = total[:, :, None] * layout.mask
    if machine.weight == PLANES:
        return Side(-(-total // machine.rows) * steps, total * steps, own, 0)
    taken = bank.stored if machine.weight == STORED else asked
    tiles, members = _tiles(np.maximum(taken, machine.least_weight), machine.rows)
    tiled = tiles.sum(axis=1)[:, None]
    return Side(tiled * steps, (tiles @ members)[:, None] * steps, own, len(members))


def _read_weights(machine: Lanes, work: Work, bank: Bank, layout: Layout) -> Side:
    values = bank.q if machine.encoding == MIDRISE else bank.k
    cut = bank.stored[:, :, None, None]
    seen = patterns(values, machine.encoding, cut, machine.weight == "width")
    groups, statistic = layout.of(seen), READ[machine.weight]
    each = statistic.own(groups) * layout.mask
    if machine.wait == "lanes":
        apart, members = _tiles(each, machine.rows)
        zeros = np.zeros((len(each), len(layout.mask)), np.int64)
        return Side(zeros, zeros, each.sum(axis=1), len(members), apart.astype(np.uint8))
    least = np.maximum(statistic.group(groups), machine.least_weight)
    tiles, members = _tiles(least, machine.rows)
    present = np.einsum("t,gtk->gk", members, tiles)
    return Side(tiles.sum(axis=1), present, each.sum(axis=1), len(members))


def _lines(machine: Lanes, work: Work, bank: Bank, layout: Layout) -> Side:
    """Lines that a front end keeps: a step that all filters of a tile may skip takes nothing."""
    weights, passes = layout.of(bank.q), -(-work.width // machine.bits)
    starts = range(0, weights.shape[1], machine.rows)
    kept = passes * np.array([
        [
            lines_kept(group[i : i + machine.rows], machine.lookahead, machine.lookaside)
            for i in starts
        ]
        for group in weights
    ])  # fmt: skip
    members = np.diff([*starts, weights.shape[1]])
    own = passes * (weights != 0).sum(axis=1)
    return Side(kept.sum(axis=1), np.einsum("t,gtk->gk", members, kept), own, len(members))


def _tiles(taken: Ints, rows: int) -> tuple[Ints, Ints]:
    """(groups, filters, …) in tiles of rows: the slowest of each, and how many it has."""
    groups, filters, *steps = taken.shape
    short = -filters % rows
    padded = np.pad(taken, [(0, 0), (0, short), *[(0, 0)] * len(steps)])
    tiles = padded.reshape(groups, -1, rows, *steps).max(axis=2)
    members = np.full(tiles.shape[1], rows)
    members[-1] -= short
    return tiles, members
