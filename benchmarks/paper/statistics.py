"""The numbers behind the statements: rank correlation, accuracy at a cost, cost at an accuracy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Curve = Sequence[tuple[float, float]]  # (cost, accuracy)


def curve(points: Sequence[Mapping[str, Any]], metric: str, by: str = "macs") -> Curve:
    """(cost, accuracy) of points, their cost by MACs or by weights."""
    return [(p[metric][by], p["accuracy"]) for p in points]


def percent(curve: Curve) -> Curve:
    """A curve with its accuracies in percent."""
    return [(cost, 100 * top1) for cost, top1 in curve]


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's ρ, ties sharing their mean rank; None where one side is constant."""
    left, right = (_ranks(side) for side in zip(*pairs, strict=True))
    if not (left.std() and right.std()):
        return None
    return float(np.corrcoef(left, right)[0, 1])


def accuracy_at(curve: Curve, cost: float) -> float:
    """The best accuracy of the points that cost no more, 0 where there is none."""
    return max((top1 for price, top1 in curve if price <= cost), default=0.0)


def cost_at(curve: Curve, accuracy: float) -> float | None:
    """The least cost of the points at least as accurate, None where there is none."""
    return min((price for price, top1 in curve if top1 >= accuracy), default=None)


def frontier(curve: Curve) -> list[tuple[float, float]]:
    """The points that no cheaper point matches, by rising cost."""
    best: list[tuple[float, float]] = []
    for price, top1 in sorted(curve, key=lambda p: (p[0], -p[1])):
        if not best or top1 > best[-1][1]:
            best.append((price, top1))
    return best


def spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """Mean, least and most; None where a value is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return {"mean": float(np.mean(known)), "least": min(known), "most": max(known)}


def _ranks(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, np.float64)
    return np.array([(array < v).sum() + ((array == v).sum() - 1) / 2 for v in array])
