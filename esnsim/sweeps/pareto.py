"""The candidates of a sweep, the points that they become, and which of those no other beats."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esnsim.compression.policies import find_policy
from esnsim.costs.cost import Metrics
from esnsim.costs.metric import metric_value

if TYPE_CHECKING:
    from esnsim.evaluate.scores import Evaluation, Scored

METHODS = ("quantise only", "prune only", "prune then quantise")
DROPS = (1, 2, 5, 10, 20)  # levels of accuracy to compare costs at, in multiples of `drop`

Price = Callable[["Point"], float]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate and what came of it.

    `histogram` counts filters by width, those that were pruned away at 0. `seconds` is the time
    that the point took.
    """

    candidate: Candidate
    total: Metrics
    evaluation: "Evaluation"
    histogram: Mapping[int, int]
    seconds: float

    @property
    def accuracy(self) -> float:
        """Top-1 where there are labels, else agreement with the float model; 0 to 1."""
        return self.evaluation.known_accuracy


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model in float, as it was given: what its points are measured against.

    `scored` is what of its outputs was; results of versions before 0.2 do not say.
    """

    model: str
    sha256: str
    macs: int
    filters: int
    evaluation: "Evaluation"
    scored: "Scored | None" = None

    @property
    def accuracy(self) -> float:
        """As of a point."""
        return self.evaluation.known_accuracy


@dataclass(frozen=True, slots=True)
class Sweep:
    """All points of one or more models on the same images, which `images` names.

    `metric` names the cost as `--metric` does; `drop` (0 to 1) is the accuracy that may be lost.
    """

    images: str
    baselines: tuple[Baseline, ...]
    points: tuple[Point, ...]
    metric: str = "esn_d_tilde"
    drop: float = 0.01

    def price(self, point: Point) -> float:
        """The cost of a point under the sweep's metric."""
        return metric_value(point.total, self.metric)

    @property
    def best(self) -> Baseline:
        """The most accurate of the float models, the first of equals."""
        return max(self.baselines, key=lambda baseline: baseline.accuracy)

    @property
    def frontier(self) -> tuple[Point, ...]:
        """The points that no other dominates, cheapest first."""
        return frontier(self.points, self.price)

    @property
    def chosen(self) -> Point | None:
        """The cheapest point within `drop` of the best float model, None where there is none."""
        return cheapest(self.points, floor(self.best, self.drop), self.price)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The cheapest points of two groups that reach an accuracy, `ratio` = theirs over ours.

    `tie` where the one that costs more has a point within the other's cost whose interval holds
    the accuracy, so that it may reach it as well.
    """

    accuracy: float
    ours: Point
    theirs: Point
    ratio: float
    tie: bool


def candidates(
    models: Sequence[str], ratios: Sequence[float], policies: Sequence[str], rules: Sequence[str],
    bits: Sequence[float],
) -> tuple[Candidate, ...]:  # fmt: skip
    """The grid of a sweep, model by model and ratio by ratio: these share a graph.

    Policies of one nominal width take every rule, and whole numbers of bits alone; the others
    have a rule of their own.
    """
    nominal = {policy: find_policy(policy).nominal for policy in policies}
    found = [
        Candidate(model, ratio, policy, rule, width)
        for model in models
        for ratio in ratios
        for policy in policies
        for rule in (rules if nominal[policy] else [find_policy(policy).rule])
        for width in bits
        if not nominal[policy] or width == int(width)
    ]
    return tuple(dict.fromkeys(found))


def frontier(points: Iterable[Point], cost: Price) -> tuple[Point, ...]:
    """The points that no other dominates, cheapest first: cost and accuracy both rise strictly.

    One point dominates another that costs no less and is no more accurate; of equals the first
    stays.
    """
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (cost(p), -p.accuracy)):
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return tuple(found)


def cheapest(points: Iterable[Point], accuracy: float, cost: Price) -> Point | None:
    """The point of least cost that reaches an accuracy, None where none does."""
    reached = [point for point in points if point.accuracy >= accuracy]
    return min(reached, key=lambda p: (cost(p), -p.accuracy), default=None)


def by_method(points: Sequence[Point]) -> dict[str, tuple[Point, ...]]:
    """Points of each of METHODS. Pruning only keeps the greatest width of the sweep (Fig. 6)."""
    widest = max((point.candidate.bits for point in points), default=0)
    groups: dict[str, list[Point]] = {method: [] for method in METHODS}
    for point in points:
        pruned, wide = point.candidate.ratio > 0, point.candidate.bits == widest
        groups[METHODS[0] if not pruned else METHODS[1] if wide else METHODS[2]].append(point)
    return {method: tuple(found) for method, found in groups.items()}


def chosen_of_each(sweep: Sweep) -> dict[str, Point]:
    """The cheapest point within the drop, or the most accurate, of each method; of several models,
    of each model.
    """
    several = len(sweep.baselines) > 1
    groups = by_model(sweep) if several else by_method(sweep.points)
    least = floor(sweep.best, sweep.drop)
    return {
        name: cheapest(points, least, sweep.price) or max(points, key=lambda p: p.accuracy)
        for name, points in groups.items()
        if points
    }


def by_model(sweep: Sweep) -> dict[str, tuple[Point, ...]]:
    """The points of each model."""
    return {
        baseline.model: tuple(p for p in sweep.points if p.candidate.model == baseline.model)
        for baseline in sweep.baselines
    }


def by_network(sweep: Sweep) -> dict[tuple[str, float], tuple[Point, ...]]:
    """The points of each width of each model: model and ratio."""
    groups: dict[tuple[str, float], list[Point]] = {}
    for point in sweep.points:
        groups.setdefault((point.candidate.model, point.candidate.ratio), []).append(point)
    return {network: tuple(points) for network, points in groups.items()}


def levels(baseline: Baseline, drop: float) -> tuple[float, ...]:
    """The accuracies to compare costs at: below the float model's by multiples of `drop`."""
    found = [floor(baseline, drop * times) for times in DROPS]
    return tuple(level for level in found if level > 0)


def floor(baseline: Baseline, drop: float) -> float:
    """The least accuracy that loses no more than `drop`, rounded so that it can be reached."""
    return round(baseline.accuracy - drop, 9)


def compare(
    ours: Sequence[Point], theirs: Sequence[Point], accuracies: Iterable[float], cost: Price
) -> tuple[Comparison, ...]:
    """What two groups must spend for each accuracy that both reach."""
    found = []
    for accuracy in accuracies:
        mine, other = cheapest(ours, accuracy, cost), cheapest(theirs, accuracy, cost)
        if mine is None or other is None or not cost(mine):
            continue
        low, rivals = (cost(mine), theirs) if cost(mine) <= cost(other) else (cost(other), ours)
        tie = any(cost(p) <= low and p.evaluation.interval[1] >= accuracy for p in rivals)
        found.append(Comparison(accuracy, mine, other, cost(other) / cost(mine), tie))
    return tuple(found)
