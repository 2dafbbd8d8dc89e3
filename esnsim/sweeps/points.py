"""The candidates of a sweep, and the points that they become."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esnsim.compression.policies import find_policy
from esnsim.costs.figures import Metrics
from esnsim.costs.metric import metric_value
from esnsim.errors import UsageError
from esnsim.evaluate.scores import Evaluation, Scored
from esnsim.machines.named.aim import AT


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to compress one model.

    `ratio` is the share of filters that are pruned, `rule` a step rule, `bits` the width of a
    filter: nominal under `uniform`, the mean over MACs that are left under the other policies.
    """

    model: str
    ratio: float
    policy: str
    rule: str
    bits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A candidate and what came of it.

    `histogram` counts filters by width, those that were pruned away at 0. `seconds` is the time
    that the point took, `on_machine` what a machine takes, where the sweep's metric is one's.
    """

    candidate: Candidate
    total: Metrics
    evaluation: Evaluation
    histogram: Mapping[int, int]
    seconds: float
    on_machine: float | None = None

    def price(self, metric: str) -> float:
        """The cost under a metric; a machine's is that of the sweep."""
        if AT in metric:
            return self.on_machine or 0.0
        return metric_value(self.total, metric)

    @property
    def accuracy(self) -> float:
        """Top-1 where there are labels, else agreement with the float model; 0 to 1."""
        return self.evaluation.known_accuracy

    @property
    def budget_used(self) -> float | None:
        """The share of `bits` for each MAC that was spent; None for a nominal width."""
        candidate, macs = self.candidate, self.total.macs
        if find_policy(candidate.policy).nominal or not macs:
            return None
        return self.total.esn_d_tilde.macs / (candidate.bits * macs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A model in float, as it was given: what its points are measured against.

    `scored` is what of its outputs was; results of versions before 0.2 do not say.
    """

    model: str
    sha256: str
    macs: int
    filters: int
    evaluation: Evaluation
    scored: Scored | None = None

    @property
    def accuracy(self) -> float:
        """As of a point."""
        return self.evaluation.known_accuracy


@dataclass(frozen=True, slots=True)
class Refused:
    """A candidate that there is no point of, and why."""

    candidate: Candidate
    reason: str


def candidates(
    models: Sequence[str], ratios: Sequence[float], policies: Sequence[str], rules: Sequence[str],
    bits: Sequence[float],
) -> tuple[Candidate, ...]:  # fmt: skip
    """The grid of a sweep, model by model and ratio by ratio: these share a graph.

    Policies of one nominal width take every rule, and whole numbers of bits alone; the others
    have a rule of their own. Raises UsageError for a policy that there is none of, and for a grid
    without a point.
    """
    table = {name: find_policy(name) for name in policies}
    found = [
        Candidate(model=model, ratio=ratio, policy=name, rule=rule, bits=width)
        for model in models
        for ratio in ratios
        for name, policy in table.items()
        for rule in (rules if policy.nominal else [policy.rule])
        for width in bits
        if not policy.nominal or width == int(width)
    ]
    if not found:
        raise UsageError(
            "the grid has no point: give models, ratios, policies and bits, which uniform takes as "
            "whole numbers alone"
        )
    return tuple(dict.fromkeys(found))
