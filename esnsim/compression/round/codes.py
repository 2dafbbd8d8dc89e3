"""Codes for the least error at a layer's output, where nearest codes have the least of the weights.

One column of the weights after another is rounded, and those not yet rounded make up for its error
at the output (optimal brain surgeon, Hassibi and Stork 1993; GPTQ, Frantar et al. 2022,
arXiv:2210.17323). Then single codes are exchanged while that lessens the error.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.round.refit import Factor
from esnsim.model.network import Array
from esnsim.quantization.filter_sums import Floats, Ints

BLOCK = 128  # columns between two updates of all columns behind
SWEEPS = 4  # over the codes of a filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Filters of one group that are to become codes: `target` T (M, K), `kept` zeros (M, K).

    The error at the output of values Q is Q·H·Qᵀ − 2·P·Qᵀ but for a constant, with H `gram` (K, K)
    and P `pull` (M, K), the cross moments of what filters give in float and inputs.
    """

    target: Floats
    pull: Floats
    gram: Floats
    kept: NDArray[np.bool_]
    factor: Factor

    def of(self, filters: slice) -> "Problem":
        """That of some filters."""
        return replace(
            self, target=self.target[filters], pull=self.pull[filters], kept=self.kept[filters]
        )

    def noise(self, values: Floats) -> Floats:
        """The error at the output (…, M) of values (…, M, K), but for a constant of each filter."""
        return np.asarray(((values @ self.gram - 2 * self.pull) * values).sum(axis=-1))

    @property
    def signal(self) -> float:
        """The energy at the output of the weights that are to be met: what `noise` leaves out."""
        return float(np.einsum("mk,mk->", self.pull, self.target))

    def compensated(self, steps: Floats, limit: Ints) -> NDArray[np.int32]:
        """Odd integers q = 2·W_int (…, M, K) at steps Δ (…, M) > 0, |q| ≤ limit (M,).

        Kept zeros are 0.
        """
        from esnsim_kernels import compensate

        order, upper, times = self.factor.order, self.factor.upper, steps.size // len(limit)
        left = np.tile(self.target[:, order], (times, 1))
        kept = np.tile(self.kept[:, order], (times, 1))
        shape, steps, limit = (*steps.shape, len(order)), steps.ravel(), np.tile(limit, times)
        q = np.empty(left.shape, np.int32)
        for start in range(0, left.shape[1], BLOCK):
            part = slice(start, start + BLOCK)
            block, errors = left[:, part].copy(), np.empty(left[:, part].shape)
            compensate.columns(
                block, upper[part, part], steps, limit, kept[:, part], q[:, part], errors
            )
            left[:, start + BLOCK :] -= errors @ upper[part, start + BLOCK :]
        found = np.empty_like(q)
        found[:, order] = q  # columns back where they were before they were put in order
        return found.reshape(shape)

    def descended(self, q: Array, steps: Floats, limit: Ints) -> NDArray[np.int32]:
        """Codes (M, K) with single ones exchanged where that lessens the damped error."""
        from esnsim_kernels import compensate

        damped = self.gram + self.factor.ridge * np.eye(len(self.gram))
        gradient = (self.target - values(q, steps)) @ damped
        found = q.copy()
        compensate.descend(gradient, damped, steps, limit, self.kept, SWEEPS, found)
        return found


def values(q: Array, steps: Floats) -> Floats:
    """Δ·W_int (…, M, K) of codes q = 2·W_int at steps (…, M)."""
    return 0.5 * steps[..., None] * q
