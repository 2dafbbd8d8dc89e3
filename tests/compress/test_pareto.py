"""The frontier of a sweep.

- Along it, cost and accuracy both rise strictly.
- No point of the sweep dominates a point on it; every other point is dominated by one on it.
- It does not depend on the order of the points; more points never lower it.
- The cheapest point for an accuracy lies on it.
"""

from argparse import ArgumentTypeError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.commands import options
from esnsim.costs.figures import Metrics
from esnsim.costs.metric import metric_value
from esnsim.sweeps.compare import METHODS, by_method, compare, levels
from esnsim.sweeps.frontier import cheapest, frontier
from esnsim.sweeps.points import Point, candidates
from tests.compress.points import TOTAL, baseline, point, some_points, sweep


def spent(p: Point) -> float:
    return metric_value(p.total, "esn_d_tilde")


def place(p: Point) -> tuple[float, float]:
    return spent(p), p.accuracy


def dominates(one: Point, other: Point) -> bool:
    """By the definition: nowhere worse, somewhere better."""
    (cost, accuracy), (theirs, worse) = place(one), place(other)
    return cost <= theirs and accuracy >= worse and place(one) != place(other)


@given(some_points)
def test_cost_and_accuracy_rise_along_the_frontier(points: list[Point]) -> None:
    for one, other in pairwise(frontier(points, spent)):
        assert spent(one) < spent(other)
        assert one.accuracy < other.accuracy


@given(some_points)
def test_what_is_on_the_frontier_is_what_no_point_dominates(points: list[Point]) -> None:
    found = {place(p) for p in frontier(points, spent)}
    assert found == {place(p) for p in points if not any(dominates(q, p) for q in points)}


@given(some_points, st.randoms())
def test_the_frontier_does_not_depend_on_the_order(points: list[Point], random) -> None:
    mixed = random.sample(points, len(points))
    assert [*map(place, frontier(mixed, spent))] == [*map(place, frontier(points, spent))]


@given(some_points, some_points)
def test_more_points_never_lower_the_frontier(points: list[Point], more: list[Point]) -> None:
    for p in frontier(points, spent):
        least = cheapest([*points, *more], p.accuracy, spent)
        assert least is not None
        assert spent(least) <= spent(p)


@given(some_points, st.integers(0, 10).map(lambda n: n / 10))
def test_the_cheapest_point_for_an_accuracy_is_on_the_frontier(
    points: list[Point], accuracy: float
) -> None:
    found = cheapest(points, accuracy, spent)
    reached = [p for p in points if p.accuracy >= accuracy]
    assert (found is None) == (not reached)
    if found is not None:
        assert spent(found) == min(map(spent, reached))
        assert place(found) in {place(p) for p in frontier(points, spent)}


def test_methods_are_told_apart_by_pruning_and_by_the_widest_bits() -> None:
    points = [
        point(8, 0.9, 0, 8),
        point(4, 0.9, 0, 4),
        point(6, 0.9, 0.5, 8),
        point(3, 0.9, 0.5, 4),
    ]
    groups = by_method(points)
    assert tuple(groups) == METHODS
    assert [*groups.values()] == [tuple(points[:2]), (points[2],), (points[3],)]


def test_a_comparison_names_the_cheapest_of_each_and_their_ratio() -> None:
    fat = [point(100, 0.95), point(60, 0.92), point(50, 0.80)]
    slim = [point(80, 0.95, 0.5), point(20, 0.90, 0.5)]
    high, low = compare(slim, fat, [0.94, 0.85, 0.99], spent)
    assert (high.accuracy, high.ratio, high.tie) == (0.94, 100 / 80, False)
    assert (low.accuracy, low.ratio, low.tie) == (0.85, 3, False)
    assert (low.ours, low.theirs) == (slim[1], fat[1])


def test_a_difference_inside_the_interval_is_a_tie() -> None:
    slim = [point(80, 0.95, 0.5)]
    fat = [point(100, 0.93), point(70, 0.919)]  # misses 0.92 by less than the interval
    (found,) = compare(slim, fat, [0.92], spent)
    assert (found.ratio, found.tie) == (100 / 80, True)
    (turned,) = compare(fat, slim, [0.92], spent)
    assert (turned.ratio, turned.tie) == (80 / 100, True)
    (clear,) = compare(slim, [fat[0], point(70, 0.90)], [0.92], spent)
    assert (clear.ratio, clear.tie) == (100 / 80, False)


def test_without_labels_the_accuracy_is_the_agreement() -> None:
    assert point(1, 0.7, labels=False).accuracy == 0.7


def test_levels_are_below_the_float_model_by_multiples_of_the_drop() -> None:
    assert levels(baseline(0.94), 0.01) == (0.93, 0.92, 0.89, 0.84, 0.74)
    assert levels(baseline(0.15), 0.01) == (0.14, 0.13, 0.10, 0.05)


def test_a_point_that_loses_the_drop_exactly_is_within_it() -> None:
    found = sweep([point(10, 0.93)], baseline(0.94)).chosen
    assert found is not None


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("esn_d_tilde", TOTAL.esn_d_tilde.macs),
        ("mac_bits", TOTAL.esn_d_tilde.macs),
        ("esn_d_tilde.weights", TOTAL.esn_d_tilde.weights),
        ("esn_a", TOTAL.esn_a_x4.macs / 4),
        ("esn_d.weights", TOTAL.esn_d.weights),
        ("live_macs", TOTAL.live_macs),
    ],
)
def test_metrics_go_by_the_names_of_the_command_line(metric: str, value: float) -> None:
    assert isinstance(TOTAL, Metrics)
    assert metric_value(TOTAL, metric) == value


def test_a_grid_goes_model_by_model_and_only_uniform_takes_every_rule() -> None:
    policies, rules = ["uniform", "allocate"], ["mse", "layer-max"]
    grid = candidates(["a", "b"], [0, 0.5], policies, rules, [2, 2.5, 3])
    assert len(grid) == 2 * 2 * (2 * 2 + 3)
    assert {c.bits for c in grid if c.policy == "uniform"} == {2, 3}
    assert [c.model for c in grid] == sorted(c.model for c in grid)
    assert {c.rule for c in grid if c.policy == "allocate"} == {"mse"}
    assert len(set(grid)) == len(grid)


@pytest.mark.parametrize(
    ("text", "widths"),
    [
        ("1-4", (1, 2, 3, 4)),
        ("2,2.5,8", (2, 2.5, 8)),
        ("1-2:0.25,2", (1, 1.25, 1.5, 1.75, 2)),
        ("1-1.1:0.1", (1, 1.1)),
    ],
)
def test_widths_are_read(text: str, widths: tuple[float, ...]) -> None:
    assert options.mean_widths(text) == widths


@pytest.mark.parametrize("text", ["0", "0.5-2", "3-2", "17", "1-2:0", "1-", "a", "", "1:2", "1e1"])
def test_other_widths_are_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no range of widths from 1 to 16"):
        options.mean_widths(text)
