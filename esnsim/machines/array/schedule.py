"""Which weight slices of which filters hold the rows of the array together: the three schedules."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """The passes of one group over the array, weight slices in the order of the passes.

    A slice is what a unit multiplies at once: one bit plane, or several. `filters` and `bits` (P,)
    name filter and slice, −1 being a mask; pass i has `used[i]` slices on `assigned[i]` rows: a
    row that is assigned and not used waits for a wider filter.
    """

    filters: Ints
    bits: Ints
    used: Ints
    assigned: Ints
    mask: NDArray[np.bool_]


def schedule(kind: str, widths: Ints, masked: NDArray[np.bool_], rows: int) -> Passes:
    """Passes for filters of `widths` (M,) in slices, of which `masked` (M,) need a mask plane."""
    in_order, pack = SCHEDULES[kind]
    order = in_order(widths)
    order = order[widths[order] > 0]
    planes = pack(order, widths, rows)
    chosen = order[masked[order]]
    masks = _bit_parallel(chosen, np.ones_like(widths), rows)
    return Passes(
        filters=np.concatenate([planes[0], masks[0]]),
        bits=np.concatenate([planes[1], np.full(len(masks[1]), -1)]),
        used=np.concatenate([planes[2], masks[2]]),
        assigned=np.concatenate([planes[3], masks[3]]),
        mask=np.repeat([False, True], [len(planes[2]), len(masks[2])]),
    )


Parts = tuple[Ints, Ints, Ints, Ints]


def _bit_parallel(order: Ints, widths: Ints, rows: int) -> Parts:
    """One plane a row, the planes of all filters packed densely (Maki et al. 2020)."""
    filters = np.repeat(order, widths[order])
    starts = np.cumsum(widths[order]) - widths[order]
    bits = np.arange(len(filters)) - np.repeat(starts, widths[order])
    used = np.diff(np.append(np.arange(0, len(filters), rows), len(filters)))
    return filters, bits, used, used


def _filter_serial(order: Ints, widths: Ints, rows: int) -> Parts:
    """One filter a row, its planes in time; a group of rows takes as long as its widest filter."""
    filters: list[int] = []
    bits: list[int] = []
    used: list[int] = []
    assigned: list[int] = []
    for start in range(0, len(order), rows):
        group = order[start : start + rows]
        for bit in range(int(widths[group].max())):
            wide = group[widths[group] > bit]
            filters += wide.tolist()
            bits += [bit] * len(wide)
            used.append(len(wide))
            assigned.append(len(group))
    parts = (np.array(part, np.int64) for part in (filters, bits, used, assigned))
    return next(parts), next(parts), next(parts), next(parts)


def _in_model_order(widths: Ints) -> Ints:
    return np.arange(len(widths))


def _widest_first(widths: Ints) -> Ints:
    return np.argsort(-widths, kind="stable")


#: By name, the order of the filters and how their slices are laid on rows.
SCHEDULES: dict[str, tuple[Callable[[Ints], Ints], Callable[[Ints, Ints, int], Parts]]] = {
    "bit-parallel": (_in_model_order, _bit_parallel),
    "sorted": (_widest_first, _filter_serial),
    "serial": (_in_model_order, _filter_serial),
}
