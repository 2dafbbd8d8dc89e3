"""Activations on a machine of lanes: what tiles of windows take at each step."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.named.lanes import Lanes
from esnsim.machines.named.layout import Ints, Layout, Side
from esnsim.machines.named.statistics import FIXED, ONE, READ, TWOS, patterns
from esnsim.machines.named.work import Groups, Work, arrange, patches, window_sums, window_tiles


def activation_side(machine: Lanes, work: Work, index: int, layout: Layout) -> Side:
    """What activations of a group ask for, made once for all machines that ask alike."""
    key = (
        "activations", index, layout.wide, layout.order, machine.windows, machine.run,
        machine.activation, machine.least_activation, machine.wait, machine.bits,
    )  # fmt: skip
    make = _fixed if machine.activation in FIXED else _read
    return work.keep(key, lambda: make(machine, work, work.groups[index], layout))


def _fixed(machine: Lanes, work: Work, alike: Groups, layout: Layout) -> Side:
    """An operand that takes as long whatever its values."""
    bits, mask = work.activation_bits, layout.mask
    each = -(-bits // machine.bits) if machine.activation == ONE else bits
    tiles, windows = len(window_tiles(work, machine.windows, machine.run)), len(work.base)
    steps = np.ones((len(alike.k), len(mask)), np.int64)
    own = windows * each * np.broadcast_to(mask, (len(alike.k), *mask.shape))
    return Side(tiles * each * steps, windows * each * steps, own, tiles * steps)


def _read(machine: Lanes, work: Work, alike: Groups, layout: Layout) -> Side:
    seen, statistic = _seen(machine, work, alike), READ[machine.activation]
    tiles = window_tiles(work, machine.windows, machine.run)
    asked = statistic.own(seen).astype(np.uint8)
    own = layout.of(window_sums(work, asked)) * layout.mask
    steps = len(alike.k), len(layout.mask)
    tiled, present = np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    turns = np.full(steps, len(tiles))
    if machine.wait == "lanes":
        parts = [layout.of(taken.max(axis=2)) for _, taken in patches(work, asked, tiles)]
        return Side(tiled, present, own, turns, np.concatenate(parts, axis=1))
    for members, slowest in _slowest(machine, work, seen, tiles, layout):
        tiled += slowest.sum(axis=1, dtype=np.int64)
        present += np.einsum("t,gtk->gk", members, slowest, dtype=np.int64)
    return Side(tiled, present, own, turns)


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
