"""The paper's policies under a budget: one width for all, or steps of one multiple of σ."""

from collections.abc import Callable
from functools import cache

from esnsim.compression.allocate.budget_metrics import check_metric
from esnsim.costs.cost import Cost, cost
from esnsim.costs.metric import metric_value
from esnsim.errors import WidthError
from esnsim.model.network import Network
from esnsim.quantization import rules as steps
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import WIDEST, Scheme
from esnsim.units import rounded_up

TOLERANCE = 1e-4  # relative, of the α that is found


def uniform(
    network: Network, budget: float, metric: str = "esn_d_tilde", rule: str = "layer-max"
) -> Scheme:
    """The widest nominal width for all filters whose cost is within the budget.

    Raises WidthError where one bit costs more, UsageError for an unknown metric.
    """
    metric = check_metric(metric)
    least = 0.0
    for bits in range(WIDEST, 0, -1):
        scheme = Scheme(rule=rule, bits=bits)
        least = metric_value(cost(quantize(network, scheme)).total, metric)
        if least <= budget:
            return scheme
    raise _below(budget, metric, least, "at one bit")


def filter_sigma(network: Network, budget: float, metric: str = "esn_d_tilde") -> Scheme:
    """The least α of filter-sigma, Δ_m = α·σ_m, whose cost is within the budget.

    A larger α never costs more, so bisection finds it. Raises WidthError where a layer would lose
    its last filter first, UsageError for an unknown metric.
    """
    metric = check_metric(metric)

    @cache
    def priced(alpha: float) -> Cost:
        return cost(quantize(network, Scheme(rule="filter-sigma", alpha=alpha)))

    def living(alpha: float) -> int:
        rows = priced(alpha).layers
        return sum(row.metrics.pruned_filters < row.layer.filters for row in rows)

    low = _widest(network)
    every = living(low)
    alpha = _last(lambda alpha: metric_value(priced(alpha).total, metric) > budget, low)[1]
    if living(alpha) < every:
        last = _last(lambda alpha: living(alpha) == every, low)[0]
        least = metric_value(priced(last).total, metric)
        raise _below(budget, metric, least, "before a layer loses its last filter")
    return Scheme(rule="filter-sigma", alpha=alpha)


def _widest(network: Network) -> float:
    """An α at which the widest codes have as many bits as there may be."""
    ratio = 1.0
    for layer in network.layers:
        if layer.weight.codes is None:
            sigma = steps.filter_sigma(layer.weight, 1.0)
            tops = steps.largest(layer.weight)
            ratio = max(ratio, float((tops[sigma > 0] / sigma[sigma > 0]).max(initial=0)))
    return 1.01 * ratio / (1 << WIDEST - 1)


def _last(holds: Callable[[float], bool], low: float) -> tuple[float, float]:
    """The last α at which something holds and the first at which it does not, from `low` on."""
    if not holds(low):
        return low, low
    high = low
    while holds(high):
        low, high = high, 2 * high
    while high > (1 + TOLERANCE) * low:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high


def _below(budget: float, metric: str, least: float, when: str) -> WidthError:
    return WidthError(
        f"a budget of {budget:,.10g} is below the least that {metric} can be {when}, "
        f"{rounded_up(least)}: give that or more"
    )
