"""Eq. 5 of the paper in NumPy, from the weights as they were stored after every step."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def noise_of_epoch(
    start: NDArray[np.float32], after: Sequence[NDArray[np.float32]]
) -> dict[str, float | None]:
    """What ESNTracker says of one layer: weights (M, …) at the start and after each step."""
    signal = sum(float((w.astype(np.float64) ** 2).sum()) for w in after)
    noise = sum(float(((w.astype(np.float64) - start) ** 2).sum()) for w in after)
    nonzero = int((after[-1] != 0).sum())
    step = float(np.sqrt(12 * noise / (len(after) * nonzero)))
    pruned = sum(bool((np.abs(f) < step / 2).all()) for f in after[-1])
    sn = signal / noise
    return {
        "signal": signal, "noise": noise, "nonzero": nonzero, "sn": sn,
        "esn_a": sn * nonzero / 12, "step": step, "pruned_filters": pruned,
    }  # fmt: skip


def project(norms: Sequence[float], kept: int) -> list[bool]:
    """Which filters the projection of ADMM keeps: the `kept` of largest norm, ties to the first."""
    order = sorted(range(len(norms)), key=lambda i: (-norms[i], i))
    return [i in order[:kept] for i in range(len(norms))]
