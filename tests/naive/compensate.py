"""Codes that compensate, a weight at a time: optimal brain surgeon's loop from its definition."""

from collections.abc import Sequence

from tests.naive.midrise import code

Row = Sequence[float]
Matrix = Sequence[Row]


def columns(target: Row, upper: Matrix, step: float, limit: int, kept: Sequence[bool]) -> list[int]:
    """The codes of a filter: each column is rounded, and all after it make up for its error."""
    left, found = list(target), []
    for k, zero in enumerate(kept):
        found.append(0 if zero else code(left[k], step, limit, False))
        error = (left[k] - step * found[k] / 2) / upper[k][k]
        left = [
            w - error * u if j > k else w
            for j, (w, u) in enumerate(zip(left, upper[k], strict=True))
        ]
    return found


def error(target: Row, gram: Matrix, step: float, q: Sequence[int]) -> float:
    """(T − Δ·q/2)·H·(T − Δ·q/2)ᵀ of a filter."""
    off = [t - step * code / 2 for t, code in zip(target, q, strict=True)]
    return sum(
        a * h * b for a, row in zip(off, gram, strict=True) for h, b in zip(row, off, strict=True)
    )
