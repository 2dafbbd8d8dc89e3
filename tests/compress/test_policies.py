"""The paper's policies under a budget."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esnsim.compression.allocate.budget_metrics import budgeted
from esnsim.compression.allocate.policies import filter_sigma, uniform
from esnsim.costs.cost import cost
from esnsim.costs.metric import metric_value
from esnsim.errors import UsageError, WidthError
from esnsim.model.network import Network
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme
from tests.networks import chain

METRICS = [f"{name}{end}" for name in budgeted() for end in ("", ".macs", ".weights")]
RULES = st.sampled_from(["layer-max", "filter-max", "mse", "aciq"])
RNG = np.random.default_rng(0)
NET = chain(RNG.normal(size=(5, 12)), RNG.normal(size=(3, 5)), RNG.normal(size=(7, 3)))


def price(network: Network, scheme: Scheme, metric: str) -> float:
    return metric_value(cost(quantize(network, scheme)).total, metric)


@given(st.sampled_from(METRICS), RULES, st.floats(0.1, 20))
def test_uniform_is_the_widest_width_within_the_budget(
    metric: str, rule: str, share: float
) -> None:
    budget = share * price(NET, Scheme(rule=rule, bits=2), metric)
    try:
        found = uniform(NET, budget, metric, rule)
    except WidthError:
        assert price(NET, Scheme(rule=rule, bits=1), metric) > budget
        return
    assert price(NET, found, metric) <= budget
    assert found.bits is not None
    if found.bits < 16:
        assert price(NET, Scheme(rule=rule, bits=found.bits + 1), metric) > budget


@settings(max_examples=20)
@given(st.sampled_from(METRICS), st.floats(0.02, 3))
def test_filter_sigma_is_the_least_alpha_within_the_budget(metric: str, share: float) -> None:
    budget = share * price(NET, Scheme(rule="filter-sigma", alpha=0.5), metric)
    try:
        found = filter_sigma(NET, budget, metric)
    except WidthError:
        assert share < 0.5  # a layer would lose its last filter
        return
    assert price(NET, found, metric) <= budget
    less = Scheme(rule="filter-sigma", alpha=found.alpha / 1.001)
    try:
        assert price(NET, less, metric) >= price(NET, found, metric)
    except WidthError:  # 16 bits
        return


def test_the_least_of_filter_sigma_is_named_and_can_be_had() -> None:
    with pytest.raises(WidthError, match="can be before a layer loses its last filter") as caught:
        filter_sigma(NET, 1)
    least = float(str(caught.value).rpartition(", ")[2].partition(":")[0].replace(",", ""))
    assert price(NET, filter_sigma(NET, least), "esn_d_tilde") <= least


def test_budgets_that_cannot_be_are_refused() -> None:
    with pytest.raises(WidthError, match="can be at one bit, 96:"):
        uniform(NET, 95, rule="filter-max")
    with pytest.raises(UsageError, match="no budget of 'watts'"):
        uniform(NET, 95, "watts")
