"""The points that no other beats, and the cheapest for an accuracy."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from esnsim.results import Outcome
from esnsim.sweeps.points import Baseline, Point, Refused

Price = Callable[[Point], float]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sweep(Outcome):
    """All points of one or more models on the same images, which `images` names.

    `metric` names the cost as `--metric` does; `drop` (0 to 1) is the accuracy that may be lost.
    `grid` is how many candidates there are, `refused` those that no point can be made of, and
    `binding` the images and options that all points depend on. `stay_float` says which layers no
    candidate changes.
    """

    images: str
    baselines: tuple[Baseline, ...]
    points: tuple[Point, ...]
    metric: str = "esn_d_tilde"
    drop: float = 0.01
    grid: int = 0
    refused: tuple[Refused, ...] = ()
    binding: dict[str, Any] = field(default_factory=dict)
    stay_float: tuple[str, ...] = ()

    def price(self, point: Point) -> float:
        """The cost of a point under the sweep's metric."""
        return point.price(self.metric)

    @property
    def left(self) -> int:
        """How many candidates are neither points yet nor refused."""
        return self.grid - len(self.points) - len(self.refused)

    @property
    def best(self) -> Baseline:
        """The most accurate of the float models, the first of equals."""
        return max(self.baselines, key=lambda baseline: baseline.accuracy)

    @property
    def cheapest_first(self) -> tuple[Point, ...]:
        """The points in the order of their cost, of equals the most accurate first."""
        return tuple(sorted(self.points, key=lambda p: (self.price(p), -p.accuracy)))

    @property
    def frontier(self) -> tuple[Point, ...]:
        """The points that no other dominates, cheapest first."""
        return frontier(self.points, self.price)

    @property
    def chosen(self) -> Point | None:
        """The cheapest point within `drop` of the best float model, None where there is none."""
        return cheapest(self.points, floor(self.best, self.drop), self.price)

    @property
    def widest(self) -> Point | None:
        """The first model unpruned at its greatest uniform width."""
        first = self.baselines[0].model
        found = [p for p in self.points if p.candidate.model == first and not p.candidate.ratio]
        uniform = (p for p in found if p.candidate.policy == "uniform")
        return max(uniform, key=lambda p: p.candidate.bits, default=None)

    @property
    def saved(self) -> float | None:
        """Its cost over that of the chosen point."""
        if self.widest is None or self.chosen is None or not self.price(self.chosen):
            return None
        return self.price(self.widest) / self.price(self.chosen)

    @property
    def left_out(self) -> tuple[str, ...]:
        """How many candidates there are no points of, a sentence for each reason."""
        reasons = Counter(item.reason for item in self.refused).items()
        return tuple(f"{n} point{'s' * (n > 1)} left out: {reason}" for reason, n in reasons)


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


def floor(baseline: Baseline, drop: float) -> float:
    """The least accuracy that loses no more than `drop`, rounded so that it can be reached."""
    return round(baseline.accuracy - drop, 9)
