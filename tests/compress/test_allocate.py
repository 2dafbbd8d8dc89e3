"""Widths under a budget: never above it, never worse with more, the best there is on the hull."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from esnsim.compression.allocate.allocate import Choices, allocate, choices
from esnsim.compression.allocate.budget_metrics import ALIASES, budgeted
from esnsim.costs.cost import cost
from esnsim.costs.metric import metric_value
from esnsim.errors import UsageError, WidthError
from esnsim.model.network import Codes, Network
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.rules import RULES
from tests.networks import chain, layer, network
from tests.strategies import networks

SHARES = st.floats(1, 6)


def offer(
    costs: NDArray[np.int64], noise: NDArray[np.float64], first: int | NDArray[np.int64] = 0
) -> Choices:
    """The choices of one layer's filters."""
    firsts = np.broadcast_to(np.asarray(first, np.int64), len(costs))
    return Choices(
        rule="mse",
        metric="esn_d_tilde",
        names=(("layer",),),
        filters=(len(costs),),
        alike=(1,),
        cost=costs,
        noise=noise,
        first=firsts,
        fixed=0,
        parts=1,
    )


@st.composite
def offers(draw: st.DrawFn, convex: bool = False) -> Choices:
    """Up to 4 filters of 4 columns; `convex`: noise that falls ever less for equal steps of cost.

    Otherwise costs may stand still, and noise may rise.
    """
    count = draw(st.integers(1, 4))
    small = st.integers(0, 9)

    def row(low: int) -> list[int]:
        return draw(st.lists(st.integers(low, 9), min_size=3, max_size=3))

    if convex:
        falls = np.array([sorted(row(0), reverse=True) for _ in range(count)])
        noise = np.concatenate([falls[:, ::-1].cumsum(axis=1)[:, ::-1], np.zeros((count, 1))], 1)
        macs = np.array(draw(st.lists(st.integers(1, 5), min_size=count, max_size=count)))
        return offer(macs[:, None] * np.arange(4), noise)
    costs = np.array([np.cumsum([0, *row(0)]) for _ in range(count)])
    noise = np.array([[draw(small) for _ in range(4)] for _ in range(count)], np.float64)
    return offer(costs, noise, np.array([draw(st.integers(0, 3)) for _ in range(count)]))


def every(choices_: Choices) -> list[tuple[int, float]]:
    """Cost and noise of every allocation there is."""
    rows = range(len(choices_.cost))
    columns = [range(int(first), choices_.cost.shape[1]) for first in choices_.first]
    return [
        (
            sum(int(choices_.cost[m, b]) for m, b in zip(rows, picked, strict=True)),
            sum(float(choices_.noise[m, b]) for m, b in zip(rows, picked, strict=True)),
        )
        for picked in product(*columns)
    ]


@given(offers(), st.integers(0, 60))
def test_the_bound_is_below_the_best_and_the_budget_is_kept(drawn: Choices, more: int) -> None:
    budget = int(drawn.least) + more
    found = allocate(drawn, budget)
    best = min(noise for price, noise in every(drawn) if price <= budget)
    assert found.cost <= budget
    assert found.bound <= best + 1e-9
    assert best <= found.noise + 1e-9
    widths = found.widths["layer"]
    rows = np.arange(len(widths))
    assert found.cost == drawn.cost[rows, widths].sum()
    assert found.noise == pytest.approx(drawn.noise[rows, widths].sum())
    assert (widths >= drawn.first).all()


@given(offers(convex=True))
def test_on_the_hull_it_is_the_best_by_brute_force(drawn: Choices) -> None:
    """At each budget at which greedy steps end, no allocation has less noise."""
    for budget in sorted({price for price, _ in every(drawn)}):
        found = allocate(drawn, budget)
        if found.bound == pytest.approx(found.noise):
            best = min(noise for price, noise in every(drawn) if price <= budget)
            assert found.noise == pytest.approx(best)
    assert allocate(drawn, max(price for price, _ in every(drawn))).noise == 0


@given(offers())
def test_more_budget_is_never_more_noise(drawn: Choices) -> None:
    least = int(drawn.least)
    noise = [allocate(drawn, budget).noise for budget in range(least, least + 60)]
    assert (np.diff(noise) <= 1e-9).all()


@settings(max_examples=25)  # searching steps of least error takes a while for tiny filters
@given(
    networks(),
    st.sampled_from([*budgeted(), *(f"{name}.weights" for name in budgeted()), *ALIASES]),
    st.sampled_from([name for name, rule in RULES.items() if rule.by_filter]),
    SHARES,
    st.booleans(),
    st.data(),
)
def test_a_quantised_network_is_within_its_budget(
    drawn: Network, metric: str, rule: str, share: float, prune: bool, data: st.DataObject
) -> None:
    gains = [
        np.array(data.draw(st.lists(st.floats(0.1, 9), min_size=f, max_size=f)))
        for f in (each.filters for each in drawn.layers)
    ]
    made = choices(drawn, metric, rule, gains, prune)
    budget = made.least * share
    found = allocate(made, budget)
    assert found.cost <= budget
    assert metric_value(cost(quantize(drawn, found.scheme)).total, found.metric) <= found.cost
    if not prune:
        assert all((widths > 0).all() for widths in found.widths.values())


def test_liveness_is_what_the_widest_choice_leaves_live() -> None:
    """Below 5 bits the second filter is pruned, as its largest weight reads a dead channel."""
    first = np.array([[0.0], [1.0]])
    net = chain(first, np.array([[1.0, 1.0], [9.0, 0.5]]), np.array([[1.0, 2.0]]))
    made = choices(net, rule="filter-max")
    assert made.cost[3].tolist() == [0, 0, 0, 0, 0, 1, 2, 3, 4]
    assert made.cost[4, 1] == 2


def test_it_is_uniform_where_filters_are_alike_and_spends_on_the_sensitive() -> None:
    row = np.random.default_rng(0).normal(size=50)
    alike = chain(np.array([row] * 6))
    assert allocate(choices(alike), 50 * 6 * 3).widths["layer0"].tolist() == [3] * 6
    gains = [np.array([1.0, 1, 1, 1, 1, 400])]
    widths = allocate(choices(alike, gains=gains), 50 * 6 * 3).widths["layer0"]
    assert widths[5] > widths[:5].max()
    assert widths.sum() == 18


def test_without_pruning_no_filter_is_given_up_and_with_it_one_a_layer_stays() -> None:
    net = chain(np.array([[1.0, 0.5], [1e-6, 2e-6]]), np.array([[1e-6, 1e-7]]))
    kept, pruned = choices(net), choices(net, prune=True)
    assert (kept.least, pruned.least) == (6, 4)
    widths = allocate(pruned, 4).widths
    assert {name: w.tolist() for name, w in widths.items()} == {"layer0": [1, 0], "layer1": [1]}


def test_a_budget_below_the_least_is_refused_and_the_least_named() -> None:
    net = chain(np.ones((2, 3)))
    with pytest.raises(WidthError, match=r"budget of 5 is below .* esn_d_tilde can be, 6:"):
        allocate(choices(net), 5)
    assert allocate(choices(net, "esn_a"), 1.5).cost == 1.5
    with pytest.raises(WidthError, match=r"can be, 1\.5:"):
        allocate(choices(net, "esn_a"), 1.25)


def test_layers_that_share_a_weight_share_their_widths() -> None:
    values = np.random.default_rng(1).normal(size=(3, 4))
    one, two = layer(values, name="one"), layer(values, name="two", first_filter=5)
    two = replace(two, weight=one.weight)
    found = allocate(choices(network([one, two])), 2 * 12 * 2.5)
    assert found.widths["one"].tolist() == found.widths["two"].tolist()
    stored = allocate(choices(network([one, two]), "weight_bits"), 12 * 3)
    assert stored.widths["one"].tolist() == [3, 3, 3]


def test_layers_that_are_quantised_already_cost_what_they_cost() -> None:
    codes = Codes(8, False, False, lambda: np.ones((1, 2)))
    stored = layer(np.array([[3, -4]], np.int8), name="stored", codes=codes)
    free = layer(np.array([[3.0, -4.0]]), name="free", first_filter=3)
    made = choices(network([stored, free]))
    assert made.least == 2 * 3 + 2
    assert list(allocate(made, 10).widths) == ["free"]
    with pytest.raises(UsageError, match="quantised already"):
        choices(network([stored]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metric": "watts"}, UsageError, "no budget of 'watts'"),
        ({"rule": "layer-max"}, WidthError, "no allocation under the rule 'layer-max'"),
    ],
)
def test_what_is_not_offered_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        choices(chain(np.ones((1, 2))), **options)


def test_gains_of_removal_and_of_errors_weigh_their_own_columns() -> None:
    net = chain(np.arange(1.0, 13.0).reshape(3, 4))
    plain, removal, error = choices(net).noise, np.array([2.0, 3, 5]), np.array([7.0, 11, 13])
    both = choices(net, gains=[np.stack([removal, error], axis=1)]).noise
    assert both[:, 0] == pytest.approx(plain[:, 0] * removal)
    assert both[:, 1:] == pytest.approx(plain[:, 1:] * error[:, None])
    assert choices(net, gains=[error]).noise == pytest.approx(plain * error[:, None])


def test_what_is_left_is_spent_to_the_last_unit() -> None:
    """Behind a step that is too large a smaller one, which costs just what is left."""
    made = offer(np.array([[0, 10], [0, 4]]), np.array([[100.0, 0.0], [1.0, 0.0]]))
    for budget, widths in ((14, [1, 1]), (13, [1, 0]), (9, [0, 1]), (4, [0, 1]), (3, [0, 0])):
        assert allocate(made, budget).widths["layer"].tolist() == widths
