"""Midrise codes that make up for each other: what one weight loses, others of its filter win back.

target (M, K) float64 are the weights that are to be met; step (M,) float64 is Δ > 0; limit (M,)
int64 is the largest |q|, 0 for a filter of width 0; kept (M, K) are zeros that stay 0.
"""

import numpy as np
from numba import njit

__all__ = ["columns", "descend"]


@njit(cache=True, nogil=True, error_model="numpy")
def _code(w, delta, limit):
    """The odd integer q = 2·floor(w/Δ) + 1 nearest to 2·w/Δ, within ±limit."""
    return 2.0 * min(max(np.floor(w / delta), -0.5 * (limit + 1)), 0.5 * (limit - 1)) + 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def columns(target, upper, step, limit, kept, q, errors):
    """Round a block of columns one after the other, each error passed on to the columns after it.

    UᵀU is the inverse of the inputs' Gram matrix, `upper` (K, K) its part for this block. The
    target is changed. errors[m, k] = (T − Δ·q/2)/U[k, k], which columns after the block still owe:
    T −= errors · U.
    """
    for m in range(target.shape[0]):
        half = 0.5 * step[m]
        for k in range(target.shape[1]):
            code = 0.0
            if limit[m] > 0 and not kept[m, k]:
                code = _code(target[m, k], step[m], limit[m])
            error = 0.0 if limit[m] == 0 else (target[m, k] - half * code) / upper[k, k]
            q[m, k] = np.int32(code)
            errors[m, k] = error
            for j in range(k + 1, target.shape[1]):
                target[m, j] -= error * upper[k, j]


@njit(cache=True, nogil=True, error_model="numpy")
def descend(gradient, gram, step, limit, kept, sweeps, q):
    """Exchange one code after the other for the one of least (T − Δ·q/2)·H·(T − Δ·q/2)ᵀ.

    `gradient` (M, K) is (T − Δ·q/2)·H, and kept so; `gram` (K, K) is H, of a positive diagonal.
    Each filter is swept until nothing moves, `sweeps` times at most.
    """
    for m in range(q.shape[0]):
        half, moved = 0.5 * step[m], limit[m] > 0
        for _ in range(sweeps):
            if not moved:
                break
            moved = False
            for k in range(q.shape[1]):
                if kept[m, k]:
                    continue
                code = _code(half * q[m, k] + gradient[m, k] / gram[k, k], step[m], limit[m])
                if code != q[m, k]:
                    change = half * (code - q[m, k])
                    for j in range(q.shape[1]):
                        gradient[m, j] -= change * gram[k, j]
                    q[m, k] = np.int32(code)
                    moved = True
