"""Weights on a machine of lanes: what tiles of filters take at each step."""

from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.named.lanes import Lanes
from esnsim.machines.named.layout import Ints, Layout, Side
from esnsim.machines.named.lookahead import lines_kept
from esnsim.machines.named.statistics import (
    FIXED,
    LINES,
    MIDRISE,
    ONE,
    PLANES,
    READ,
    STORED,
    patterns,
)
from esnsim.machines.named.work import Groups, Work

BLOCK = 1 << 22  # weights that are looked at together


class Bank(NamedTuple):
    """Filters that share rows, (groups, filters, taps, channels), their widths, and as stored."""

    k: NDArray[Any]
    q: NDArray[Any]
    widths: Ints
    stored: Ints


def weight_side(machine: Lanes, work: Work, alike: Groups, layout: Layout) -> Side:
    """What weights of a group ask for: its filters, and then their masks."""
    banks = _banks(machine, alike, work.width)
    if machine.weight in FIXED:
        return reduce(_joined, (_fixed(machine, work, bank, layout) for bank in banks))
    make = _lines if machine.weight == LINES else _read
    pieces = (piece for bank in banks for piece in _pieces(bank, machine.rows))
    return reduce(_joined, (make(machine, work, piece, layout) for piece in pieces))


def _pieces(bank: Bank, rows: int) -> Iterator[Bank]:
    """A bank in whole tiles of rows, a bounded number of weights at a time."""
    groups, filters, taps, channels = bank.k.shape
    each = rows * max(1, BLOCK // (groups * rows * taps * channels))
    for start in range(0, filters, each):
        yield Bank(*(part[:, start : start + each] for part in bank))


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


def _joined(one: Side, other: Side) -> Side:
    """Tiles of both, one after the other."""
    apart = None
    if one.apart is not None and other.apart is not None:
        apart = np.concatenate([one.apart, other.apart], axis=1)
    return Side(
        one.tiled + other.tiled, one.present + other.present, one.own + other.own,
        one.turns + other.turns, apart,
    )  # fmt: skip


def _fixed(machine: Lanes, work: Work, bank: Bank, layout: Layout) -> Side:
    """Filters that take as long as they are stored wide: whole, serial, or a row a plane."""
    steps, asked = np.ones(len(layout.mask), np.int64), bank.widths
    if machine.weight == ONE:
        asked = np.full(asked.shape, -(-work.width // machine.bits))
    total = asked.sum(axis=1)[:, None]
    own = total[:, :, None] * layout.mask
    if machine.weight == PLANES:
        packed = -(-total // machine.rows) * steps
        return Side(packed, total * steps, own, packed)
    taken = bank.stored if machine.weight == STORED else asked
    tiles, members = _tiles(np.maximum(taken, machine.least_weight), machine.rows)
    tiled = tiles.sum(axis=1)[:, None]
    turns = np.full((len(tiled), len(steps)), len(members))
    return Side(tiled * steps, (tiles @ members)[:, None] * steps, own, turns)


def _read(machine: Lanes, work: Work, bank: Bank, layout: Layout) -> Side:
    values = bank.q if machine.encoding == MIDRISE else bank.k
    cut = bank.stored[:, :, None, None]
    seen = patterns(values, machine.encoding, cut, machine.weight == "width")
    groups, statistic = layout.of(seen), READ[machine.weight]
    each = statistic.own(groups) * layout.mask
    turns = np.full((len(each), len(layout.mask)), -(-each.shape[1] // machine.rows))
    if machine.wait == "lanes":
        apart, _ = _tiles(each, machine.rows)
        zeros = np.zeros((len(each), len(layout.mask)), np.int64)
        return Side(zeros, zeros, each.sum(axis=1), turns, apart.astype(np.uint8))
    least = np.maximum(statistic.group(groups), machine.least_weight)
    tiles, members = _tiles(least, machine.rows)
    present = np.einsum("t,gtk->gk", members, tiles)
    return Side(tiles.sum(axis=1), present, each.sum(axis=1), turns)


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
    turns = (kept > 0).sum(axis=1)
    return Side(kept.sum(axis=1), np.einsum("t,gtk->gk", members, kept), own, turns)


def _tiles(taken: Ints, rows: int) -> tuple[Ints, Ints]:
    """(groups, filters, …) in tiles of rows: the slowest of each, and how many it has."""
    groups, filters, *steps = taken.shape
    short = -filters % rows
    padded = np.pad(taken, [(0, 0), (0, short), *[(0, 0)] * len(steps)])
    tiles = padded.reshape(groups, -1, rows, *steps).max(axis=2)
    members = np.full(tiles.shape[1], rows)
    members[-1] -= short
    return tiles, members
