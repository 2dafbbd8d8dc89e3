"""The best float weights for the inputs that a layer really gets: least squares, towards its own.

T = (P + λ·W_kept)·(H + λI)⁻¹ meets what the float model's filters give on the inputs x that are
there, and where they leave it open stays near the weights as they are (docs/compress.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.round.moments import Moments
from esnsim.quantization.filter_sums import Floats

LEAST, FEW = 0.01, 0.3  # λ in units of H's mean diagonal, and for each input over windows
PRUNED_LEAST, PRUNED_FEW = 0.1, 1.0  # the same where filters are gone
WORSE = 10.0  # λ grows by that where H + λI is still singular
TRIES = 12


@dataclass(frozen=True, slots=True)
class Factor:
    """(H + λI)⁻¹ = UᵀU, `upper` (K, K), inputs in `order`, that of falling energy; λ is `ridge`."""

    order: NDArray[np.int64]
    upper: Floats
    ridge: float

    def solve(self, right: Floats) -> Floats:
        """right (M, K) · (H + λI)⁻¹."""
        found = np.empty_like(right)
        found[:, self.order] = right[:, self.order] @ self.upper.T @ self.upper
        return found


def ridge(moments: Moments, pruned: bool = False) -> float:
    """λ: more where windows are few, in units of the inputs' mean energy."""
    size = len(moments.gram)
    least, few = (PRUNED_LEAST, PRUNED_FEW) if pruned else (LEAST, FEW)
    energy = float(np.trace(moments.gram)) / max(1, size)
    return max(least, few * size / max(1, moments.count)) * energy


def factor(gram: Floats, damping: float) -> Factor | None:
    """The factor of a Gram matrix (K, K); None where it is all 0 or not finite."""
    if not gram.any() or not np.isfinite(gram).all() or not damping > 0:
        return None
    order = np.argsort(-np.diag(gram), kind="stable")
    turned = order[::-1]
    for _ in range(TRIES):
        try:
            lower = np.linalg.cholesky(gram[np.ix_(turned, turned)] + damping * np.eye(len(gram)))
        except np.linalg.LinAlgError:
            damping *= WORSE
            continue
        # H + λI = R·Rᵀ with R upper triangular, so U = R⁻¹.
        return Factor(order, np.triu(np.linalg.inv(lower[::-1, ::-1])), damping)
    return None


def target(kept: Floats, moments: Moments, by: Factor) -> Floats:
    """T (M, K) from the weights of the inputs that are left (M, K).

    Where inputs are what they are in float T is `kept`, to the bit.
    """
    return kept + by.solve(moments.pull - kept @ moments.gram)
