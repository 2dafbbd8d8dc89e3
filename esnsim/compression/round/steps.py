"""Steps for the error that remains at a layer's output, in place of that of the weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.round.codes import Problem, values
from esnsim.quantization.filter_sums import Floats, Ints

FACTORS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)  # of the step of the weights' least error
BY_FILTER, BY_LAYER = "mse", "layer-mse"  # the rules whose steps are of least error
AT_ONCE = 1 << 22  # weights of all multiples
ROUNDS = 3  # of codes for the steps and steps for the codes


@dataclass(frozen=True, slots=True)
class Coded:
    """Filters in codes q = 2·W_int (…, M, K) at steps (…, M); their `noise` at the output."""

    q: NDArray[np.int32]
    steps: Floats
    noise: Floats

    def best(self, places: Ints) -> "Coded":
        """Of an axis in front, what stands at a place for each filter (M,)."""
        at = places, np.arange(len(places))
        return Coded(self.q[at], self.steps[at], self.noise[at])

    def better(self, other: "Coded", which: NDArray[np.bool_]) -> "Coded":
        """The other's where `which` (M,) says so."""
        return Coded(
            np.where(which[:, None], other.q, self.q), np.where(which, other.steps, self.steps),
            np.where(which, other.noise, self.noise),
        )  # fmt: skip


def coded(problem: Problem, q: NDArray[np.int32], steps: Floats) -> Coded:
    """Codes at steps, and what they leave of noise."""
    return Coded(q, steps, problem.noise(values(q, steps)))


def tries(problem: Problem, steps: Floats, limit: Ints, rule: str) -> Coded:
    """Compensated codes at the steps, or at each multiple of them where the rule seeks some: with
    an axis of these in front.
    """
    factors = FACTORS if rule in (BY_FILTER, BY_LAYER) else (1.0,)
    rows, parts = max(1, AT_ONCE // (len(factors) * problem.target.shape[1])), list[Coded]()
    for start in range(0, len(steps), rows):
        part = slice(start, start + rows)
        some, each = problem.of(part), np.multiply.outer(factors, steps[part])
        parts.append(coded(some, some.compensated(each, limit[part]), each))
    return Coded(
        np.concatenate([part.q for part in parts], axis=1),
        np.concatenate([part.steps for part in parts], axis=1),
        np.concatenate([part.noise for part in parts], axis=1),
    )


def polished(problem: Problem, found: Coded, limit: Ints, rule: str) -> Coded:
    """Single codes exchanged, and under `mse` the step of least error for the codes, in turn."""
    for _ in range(ROUNDS if rule == BY_FILTER else 1):
        if rule == BY_FILTER:
            steps = _fitting(problem, found)
            found = coded(problem, found.q, steps)
        moved = coded(problem, problem.descended(found.q, found.steps, limit), found.steps)
        found = found.better(moved, moved.noise < found.noise)
    return found


def _fitting(problem: Problem, found: Coded) -> Floats:
    """Δ = (P·Wᵀ)/(W·H·Wᵀ) of least error for codes W = q/2, as it was where that is no step."""
    whole = 0.5 * found.q
    energy = np.einsum("mk,mk->m", whole @ problem.gram, whole)
    match = np.einsum("mk,mk->m", problem.pull, whole)
    good = (match > 0) & (energy > 0)
    return np.where(good, match / np.where(good, energy, 1.0), found.steps)
