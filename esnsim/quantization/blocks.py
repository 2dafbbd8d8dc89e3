"""The filters of a layer as matrices, a block at a time: bounded memory, any layout, threads."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.model.network import Layer, Mask, Weight
from esnsim.threads import pool, workers

TILE = 64  # inputs of a filter: so much of a block of transposed weights stays in the first cache
BLOCK = 1 << 20  # weights: 4 MB of float32, which take as long as ten hand-overs to a thread

#: (filters, reduction) in C order: float32 or float64, int32 for codes.
Matrix = NDArray[Any]


def each_filters(weight: Weight, work: Callable[[slice, Matrix], None]) -> None:
    """Call `work(filters, matrix)` for every block of a weight, in threads where that pays."""
    _run(weight, [(rows, None) for rows in _spans(weight, 0, weight.shape[0])], work)


def each_live(layer: Layer, live: Mask, work: Callable[[slice, Matrix], None]) -> None:
    """As `each_filters`, with only the weights that read a live channel (`live` (C,)).

    Filters without one are left out.
    """
    if live.all():
        each_filters(layer.weight, work)
        return
    groups = layer.geometry.groups
    masks = live.reshape(groups, -1)
    changes = 1 + np.flatnonzero((masks[1:] != masks[:-1]).any(axis=1))
    per_group = layer.filters // groups
    parts = [
        (rows, masks[first])
        for first, last in pairwise([0, *changes.tolist(), groups])
        if masks[first].any()
        for rows in _spans(layer.weight, first * per_group, last * per_group)
    ]
    _run(layer.weight, parts, work)


def _run(
    weight: Weight,
    parts: list[tuple[slice, Mask | None]],
    work: Callable[[slice, Matrix], None],
) -> None:
    read = getattr(weight.load, "rows", None) or weight.load().__getitem__

    def some(parts: list[tuple[slice, Mask | None]]) -> None:
        for rows, mask in parts:
            block = read(rows) if mask is None else read(rows)[:, mask]
            work(rows, _matrix(block, weight, rows))

    if len(parts) < 2:
        some(parts)
    else:
        threads = min(workers(0), len(parts))  # a task each: to hand one over takes some 0.1 ms
        list(pool().map(some, (parts[first::threads] for first in range(threads))))


def _spans(weight: Weight, first: int, last: int) -> Iterator[slice]:
    step = max(1, BLOCK * weight.shape[0] // max(1, weight.size))
    for start in range(first, last, step):
        yield slice(start, min(start + step, last))


def _matrix(block: NDArray[Any], weight: Weight, rows: slice) -> Matrix:
    dtype: type = np.float32
    if weight.codes is not None:
        dtype = np.int32
    elif block.dtype == np.float64 or block.dtype.kind in "iu" or weight.gain is not None:
        dtype = np.float64
    matrix = np.require(_upright(block.reshape(len(block), -1)), dtype, ("C", "A"))
    return matrix if weight.gain is None else matrix * weight.gain[rows, None]


def _upright(matrix: NDArray[Any]) -> NDArray[Any]:
    """The matrix in C order where it lies transposed in the file, as the weight of MatMul does.

    NumPy's own copy reads a number from each cache line at a time, which took ten times as long.
    """
    if matrix.strides[0] >= matrix.strides[1]:
        return matrix
    columns, out = np.ascontiguousarray(matrix.T), np.empty_like(matrix, order="C")
    for start in range(0, len(columns), TILE):
        out[:, start : start + TILE] = columns[start : start + TILE].T
    return out
