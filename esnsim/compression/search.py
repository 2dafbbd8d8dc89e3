"""The cheapest codes that are good enough: bisection over budgets, on a scale of ratios."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import sqrt

from esnsim.compression.policies import Plan
from esnsim.compression.round.layers import Candidate
from esnsim.compression.workspace import Workspace
from esnsim.errors import EsnsimError, UsageError, WidthError
from esnsim.evaluate.scores import Evaluation
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme

WIDEST = 8  # bits at which the search begins
SPAN, PRECISION = 32.0, 1.02  # it goes down to a part of that cost, and ends within a factor
ROUNDING = 1e-9  # of shares of images


class MissedError(EsnsimError):
    """The most that there is to spend misses the goal."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A share `drop` of the accuracy of `floats` lost at most, or an SQNR of `sqnr` dB at least."""

    floats: Evaluation
    drop: float | None = None
    sqnr: float | None = None

    def check(self) -> None:
        """Raise UsageError where there is no accuracy that can be lost."""
        if self.drop is not None and self.floats.at_chance:
            raise UsageError(
                f"the float model's {100 * self.floats.known_accuracy:.4g}% are no better than "
                "always the same answer, so nothing can be lost: give --budget, other images, or "
                "another --score-output"
            )

    def missed(self, evaluation: Evaluation) -> str | None:
        """Why a candidate is not good enough, None where it is."""
        if self.sqnr is not None:
            reason = f"the SQNR is {evaluation.sqnr_db:.1f} dB: allow a lower --sqnr"
            return reason if evaluation.sqnr_db < self.sqnr else None
        lost = self.floats.known_accuracy - evaluation.known_accuracy
        if lost <= (self.drop or 0) + ROUNDING:
            return None
        below = f"{100 * lost:.2f} points below the float model's"
        return f"the accuracy is {below}: allow a larger --drop"


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate of the search; `spent` is in units of the metric."""

    spent: float
    evaluation: Evaluation


def search(
    workspace: Workspace,
    plan: Plan,
    metric: str,
    goal: Goal,
    evaluate: Callable[[Candidate], Evaluation],
    progress: Callable[[str], None] = lambda step: None,
    most: float | None = None,
) -> tuple[Candidate, tuple[Trial, ...]]:
    """The cheapest codes of a plan that reach the goal, and what was tried, in order.

    It begins at the cost of 8 bits, or at the `most` that there is to spend. Raises MissedError
    where that misses it, UsageError where there is nothing to lose.
    """
    goal.check()

    def tried(budget: float) -> Candidate:
        candidate = workspace.candidate(plan(budget))
        price = float(workspace.spent(candidate.quantized, metric))
        progress(f"{metric} {price:.3g}")
        trials.append(Trial(price, evaluate(candidate)))
        return candidate

    trials: list[Trial] = []
    widest = workspace.spent(quantize(workspace.network, Scheme(bits=WIDEST)), metric)
    high = widest if most is None else most
    best, low = tried(high), widest / SPAN
    if reason := goal.missed(trials[0].evaluation):
        raise MissedError(f"at {WIDEST} bits {reason}, or prune less")
    while high > PRECISION * low:
        budget = sqrt(low * high)
        with suppress(WidthError):  # a policy may not go as low as this
            candidate = tried(budget)
            if goal.missed(trials[-1].evaluation) is None:
                best, high = candidate, min(budget, trials[-1].spent)
                continue
        low = budget
    return best, tuple(trials)
