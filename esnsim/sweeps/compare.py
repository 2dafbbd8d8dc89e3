"""What groups of points, by method or by model, must spend to be equally accurate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from esnsim.sweeps.frontier import Price, Sweep, cheapest, floor
from esnsim.sweeps.points import Baseline, Point

METHODS = ("quantise only", "prune only", "prune then quantise")
DROPS = (1, 2, 5, 10, 20)  # levels of accuracy to compare costs at, in multiples of `drop`


@dataclass(frozen=True, slots=True, kw_only=True)
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


def by_method(points: Sequence[Point]) -> dict[str, tuple[Point, ...]]:
    """Points of each of METHODS. Pruning only keeps the greatest width of the sweep (Fig. 6)."""
    widest = max((point.candidate.bits for point in points), default=0)
    groups: dict[str, list[Point]] = {method: [] for method in METHODS}
    for point in points:
        pruned, wide = point.candidate.ratio > 0, point.candidate.bits == widest
        groups[METHODS[0] if not pruned else METHODS[1] if wide else METHODS[2]].append(point)
    return {method: tuple(found) for method, found in groups.items()}


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


def levels(baseline: Baseline, drop: float) -> tuple[float, ...]:
    """The accuracies to compare costs at: below the float model's by multiples of `drop`."""
    found = [floor(baseline, drop * times) for times in DROPS]
    return tuple(level for level in found if level > 0)


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
        ratio = cost(other) / cost(mine)
        found.append(Comparison(accuracy=accuracy, ours=mine, theirs=other, ratio=ratio, tie=tie))
    return tuple(found)
