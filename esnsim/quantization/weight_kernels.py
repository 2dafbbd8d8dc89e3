"""The passes over the weights: fused Numba kernels where they pay, else NumPy.

Loading Numba takes near half a second, in which NumPy passes over some 50 million weights
(docs/architecture.md has the measurement). So a pass is Numba's once its kernels are loaded in the
process; object code that they left behind is loaded in a tenth of the time (object_code.py); and
it is NumPy's until then. All give the same bits: they add floats up in the same order.
"""

import sys
from functools import cache
from importlib import import_module
from math import prod
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.quantization import object_code

FUSED = "esnsim_kernels.midrise"
PAYS, LINKS = 100_000_000, 4_000_000  # weights from which Numba, or object code, is loaded
LANES = 64  # running sums of a row, term k in sum k mod LANES
EXACT_WEIGHTS = 1 << 19  # reduction up to which Σ q² is exact in float64 for |q| of 17 bits

_LOCAL = local()

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matrix = NDArray[Any]


def load_fused(weights: int) -> None:
    """Load compiled kernels, in the cheapest way, if a pass over `weights` weights pays for it."""
    if weights > LINKS and object_code.load() is None and weights > PAYS:
        midrise()


@cache
def midrise() -> Any:
    """The module of the Numba kernels; the first process to load it leaves object code behind."""
    module = import_module(FUSED)
    object_code.keep()
    return module


def largest(weights: Matrix, out: Floats) -> None:
    """out[m] = max |weights[m, :]|."""
    if FUSED in sys.modules:
        from esnsim_kernels import magnitude

        magnitude.largest(weights, out)
    elif code := _object_code(weights):
        code.largest(weights, out)
    else:
        np.maximum(weights.max(axis=1), -weights.min(axis=1), out=out)


def moments(weights: Matrix, out: Floats) -> None:
    """out[m] = Σ |w|, Σ w² of weights[m, :]."""
    if FUSED in sys.modules:
        from esnsim_kernels import magnitude

        magnitude.moments(weights, out)
    else:
        wide = weights.astype(np.float64)
        out[:, 0] = _sums(np.abs(wide))
        out[:, 1] = _sums(np.multiply(wide, wide, out=wide))


def statistics(
    weights: Matrix, step: Floats, limit: Ints, keep_zeros: bool, counts: Ints, energies: Floats
) -> None:
    """Sums over the midrise codes of each row: see `esnsim_kernels.midrise.statistics`."""
    if FUSED in sys.modules:
        midrise().statistics(weights, step, limit, keep_zeros, counts, energies)
    elif code := _object_code(weights):
        code.statistics(weights, step, limit, keep_zeros, counts, energies)
    elif weights.shape[1] > EXACT_WEIGHTS:
        midrise().statistics(weights, step, limit, keep_zeros, counts, energies)
    else:
        _statistics(weights, step, limit, keep_zeros, counts, energies)


def _object_code(weights: Matrix) -> object_code.Passes | None:
    """What was loaded, where it takes weights of this type."""
    return object_code.loaded() if weights.dtype == np.float32 else None


@np.errstate(invalid="ignore", over="ignore")  # weights that are not finite show in energies
def _statistics(
    weights: Matrix, step: Floats, limit: Ints, keep_zeros: bool, counts: Ints, energies: Floats
) -> None:
    wide, q, test, error = _scratch(weights.shape)
    delta, top = _column(step), _column(limit)
    np.copyto(wide, weights)
    energies[:, 0] = _sums(np.multiply(wide, wide, out=error))
    np.floor(np.divide(wide, delta, out=q), out=q)
    np.clip(q, -0.5 * (top + 1), 0.5 * (top - 1), out=q)
    q *= 2
    q += 1
    zeros = np.count_nonzero(np.equal(weights, 0, out=test), axis=1)
    counts[:, 5] = weights.shape[1] - zeros
    if keep_zeros and zeros.any():
        q[test] = 0
    counts[:, 4] = counts[:, 5] if keep_zeros else weights.shape[1]
    counts[:, 1] = np.einsum("mk,mk->m", q, q)
    wide -= np.multiply(q, 0.5 * delta, out=error)
    energies[:, 1] = _sums(np.multiply(wide, wide, out=wide))
    np.abs(q, out=q)
    counts[:, 0] = q.max(axis=1)
    counts[:, 3] = np.count_nonzero(np.equal(q, 1, out=test), axis=1)
    # The exponent field of a float64 is its bit length + 1022, and 0 for 0.
    exponents = np.right_shift(q.view(np.int64), 52, out=wide.view(np.int64))
    counts[:, 2] = np.einsum("mk->m", exponents) - 1022 * counts[:, 4]
    pruned = limit == 0
    faint = np.flatnonzero(counts[:, 0] == 1)  # all |w| < Δ/2 makes |q| 1 throughout
    pruned[faint] |= np.abs(weights[faint]).max(axis=1) < 0.5 * step[faint]
    counts[pruned, :5] = 0
    energies[pruned, 1] = energies[pruned, 0]


def _sums(terms: Floats) -> Floats:
    """The sum of each row, added up in LANES and these by halves, as the kernels do."""
    rows, size = terms.shape
    whole = size - size % LANES
    lanes = terms[:, :whole].reshape(rows, -1, LANES).sum(axis=1)  # not the last axis: in order
    lanes[:, : size - whole] += terms[:, whole:]
    while (half := lanes.shape[1] // 2) > 0:
        lanes = lanes[:, :half] + lanes[:, half:]
    totals: Floats = lanes[:, 0]
    return totals


def _column(values: NDArray[Any]) -> Any:
    """A scalar where all values are one, which NumPy's loops like better, else a column."""
    return values[0] if (values == values[0]).all() else values[:, None]


def _scratch(shape: tuple[int, ...]) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    """Working memory of the thread: fresh arrays would fault in their pages at every block."""
    size = prod(shape)
    if getattr(_LOCAL, "size", 0) < size:
        _LOCAL.size = size
        _LOCAL.floats = np.empty((3, size))
        _LOCAL.flags = np.empty(size, np.bool_)
    a, b, c = (row[:size].reshape(shape) for row in _LOCAL.floats)
    return a, b, _LOCAL.flags[:size].reshape(shape), c
