"""Energy by amplitude: Σ |2·W|^p over the cells of an array, W their values in steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.crossbar.spec import CrossbarSpec

Ints = NDArray[np.int64]


def powers(digits: NDArray[np.int32], spec: CrossbarSpec) -> NDArray[Any]:
    """Σ |digit|^p of columns (P, K) in each row tile: (P, R), integers where p is 0, 1 or 2.

    In class A, and at p = 0, the number of digits that are not zero.
    """
    p = _exponent(spec)
    if p == 0 or spec.amplitude_class == "A":
        terms: NDArray[Any] = (digits != 0).astype(np.int64)
    else:
        terms = np.abs(digits).astype(np.int64 if isinstance(p, int) else np.float64) ** p
    return np.add.reduceat(terms, np.arange(0, digits.shape[1], spec.rows), axis=1)


def of_arrays(
    powers: Sequence[NDArray[Any]], tops: Ints, units: Ints, owner: Ints, spec: CrossbarSpec
) -> list[list[float]]:
    """The sums of arrays, by column tile and row tile, from the `powers` of each column tile.

    Of each column (P,), `tops` are the largest digit, `units` what a digit of 1 stands for in
    halves of a step, `owner` the filter.
    """
    weights = _weights(tops, units, owner, spec)
    sums, first = [], 0
    for part in powers:
        sums.append((weights[first : first + len(part)] @ part).tolist())
        first += len(part)
    return sums


def _weights(tops: Ints, units: Ints, owner: Ints, spec: CrossbarSpec) -> NDArray[Any]:
    """What the powers of each column (P,) count: in class A the largest amplitude of the scope."""
    p = _exponent(spec)
    if spec.amplitude_class == "B":
        return np.asarray(units**p)
    largest = tops * units
    if spec.scope == "layer":
        return np.asarray(np.full_like(largest, largest.max(initial=0)) ** p)
    of_filter = np.zeros(owner.max(initial=-1) + 1, np.int64)
    np.maximum.at(of_filter, owner, largest)
    return np.asarray(of_filter[owner] ** p)


def _exponent(spec: CrossbarSpec) -> float:
    """p, an integer where sums of powers are to be exact."""
    assert spec.exponent is not None
    return int(spec.exponent) if spec.exponent in (0, 1, 2) else spec.exponent
