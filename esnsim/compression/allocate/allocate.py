"""Widths under a budget: least noise at the output for a cost, filter by filter.

Each filter has a choice of widths, each with a cost and a noise (its squared error times its gain
to the output). Noise adds up where errors are independent, so the sum is least, for its cost, where
every filter stands on the lower convex hull of its choices at one slope: steps along the hulls are
taken in order of slope until the budget is spent (Everett's Lagrangian; Shoham and Gersho 1988).
Where the next step does not fit, smaller ones behind it fill what is left. Relaxing the last step
to a fraction gives the dual bound, which no allocation is below.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.allocate.budget_metrics import by_weights, check_metric, of_filters, unit
from esnsim.errors import UsageError, WidthError
from esnsim.machines.named.aim import Aim
from esnsim.model.liveness import Liveness
from esnsim.model.network import Mask, Network
from esnsim.quantization.filter_sums import Floats, Ints, midrise_sums, stored_sums
from esnsim.quantization.quantizer import QuantizedLayer, quantize
from esnsim.quantization.rules import RULES
from esnsim.quantization.scheme import Scheme
from esnsim.units import rounded_up

WIDEST = 8  # bits that a filter is offered
NEVER = np.iinfo(np.int64).max

#: Each layer at every width from 1 on.
Runs = list[list[QuantizedLayer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What every filter of a network may become: arrays (M, widths) of all layers in a row.

    Column b is the filter at b bits, 0 for pruned. `cost` is in units of the metric (a quarter of
    it for esn_a, to be integers), `noise` in those of the output. `first` (M,) is the least column
    that a filter may have. `names` are the layers that share each weight, `filters` how many rows
    it has, each of which stands for `alike` filters. `fixed` is the cost of layers that are
    quantised already, `parts` what makes 1 of the metric.
    """

    rule: str
    metric: str
    names: tuple[tuple[str, ...], ...]
    filters: tuple[int, ...]
    alike: tuple[int, ...]
    cost: Ints
    noise: Floats
    first: Ints
    fixed: int
    parts: float

    @property
    def offered(self) -> NDArray[np.bool_]:
        """Which columns each filter may have (M, widths)."""
        return np.arange(self.cost.shape[1]) >= self.first[:, None]

    @property
    def least(self) -> float:
        """The least budget that there is an allocation for, in the metric's units."""
        cheapest = np.where(self.offered, self.cost, NEVER).min(axis=1)
        return (self.fixed + int(cheapest.sum())) / self.parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Widths of each layer's filters (M,) by the layer's name, and what they cost at most.

    `cost` counts liveness as it was before: pruned filters make it less. `noise` is the expected
    Σ gain · error²; no allocation within the budget has less than `bound`.
    """

    rule: str
    metric: str
    budget: float
    cost: float
    noise: float
    bound: float
    widths: Mapping[str, Ints]

    @property
    def gap(self) -> float:
        """How far the noise is above the bound, as a share of it."""
        return self.noise / self.bound - 1 if self.bound > 0 else 0.0

    @property
    def scheme(self) -> Scheme:
        """The widths as the quantiser takes them."""
        return Scheme(rule=self.rule, widths=self.widths)


def choices(
    network: Network,
    metric: str = "esn_d_tilde",
    rule: str = "mse",
    gains: Sequence[Floats] | None = None,
    prune: bool | None = None,
    runs: Runs | None = None,
    errors: Sequence[Floats] | None = None,
    aim: Aim | None = None,
) -> Choices:
    """Cost and noise of every filter at every width, once for all budgets.

    `gains` has for each layer the noise at the output for a unit of squared error in each filter's
    weights (M,), or that for its removal and that at any width (M, 2), as `sensitivity` gives;
    without it the squared error itself counts. With `prune`, by default where removal has its own
    gain, filters may be given a width of 0, all but the one of most noise in each layer. Layers
    that share a weight share its widths. `runs` are those of `every_width` for this network and
    rule, made here unless given; `errors` (M, widths) take the place of their squared errors. Costs
    are those of the metric, or of an `aim`: on a machine that charges all filters as the widest of
    a layer a layer has one width. Raises UsageError or WidthError for what is not offered.
    """
    metric = check_metric(metric)
    if rule not in RULES or not RULES[rule].by_filter:
        offered = ", ".join(name for name, known in RULES.items() if known.by_filter)
        raise WidthError(f"no allocation under the rule '{rule}': use one of {offered}")
    if prune is None:
        prune = gains is not None and all(gain.ndim == 2 for gain in gains)
    runs = every_width(network, rule) if runs is None else runs
    errors = errors_of(runs) if errors is None else errors
    stored_once = aim is None and by_weights(metric)
    tables: dict[object, _Table] = {}
    fixed = 0
    for index, name in enumerate(names_of(network)):
        weight, each = network.layers[index].weight, runs[index]
        costs = [_costs(run, index, metric, aim) for run in each]
        if weight.codes is not None:
            fixed += int(costs[0].sum())
            continue
        gain = None if gains is None else gains[index]
        table = _table(name, each[0], costs, errors[index], gain, prune)
        if aim is not None and not aim.machine.by_filter:
            table = table.of_layer
        key = weight.origin, weight.shape
        tables[key] = tables[key].joined(table, stored_once) if key in tables else table
    if not tables:
        raise UsageError("every layer is quantised already: widths are for a float model")
    found = list(tables.values())
    return Choices(
        rule=rule, metric=metric, names=tuple(table.names for table in found),
        filters=tuple(len(table.cost) for table in found),
        alike=tuple(table.alike for table in found),
        cost=np.concatenate([table.cost for table in found]),
        noise=np.concatenate([table.noise for table in found]),
        first=np.concatenate([table.first for table in found]),
        fixed=fixed, parts=unit(metric) if aim is None else aim.parts,
    )  # fmt: skip


def every_width(network: Network, rule: str = "mse") -> Runs:
    """Each layer at every width from 1 on, with the channels live that any width leaves live."""
    runs = [quantize(network, Scheme(rule=rule, bits=b)).layers for b in range(1, WIDEST + 1)]
    found, liveness = [], Liveness(network)
    for layer, *each in zip(network.layers, *runs, strict=True):
        live = liveness.channels(layer)
        found.append([_with_live(one, live) for one in each])
        alive = np.any([one.sums.width_code > 0 for one in found[-1]], axis=0)
        liveness.decide(layer, alive)
    return found


def errors_of(runs: Runs) -> list[Floats]:
    """The squared error of each layer's filters (M, widths), of nearest codes."""
    return [np.stack([run.sums.noise for run in each], axis=1) for each in runs]


def allocate(offer: Choices, budget: float) -> Allocation:
    """The widths of least noise whose cost is within the budget (units of the offer's metric).

    Raises WidthError where the budget is below the least possible.
    """
    if budget < offer.least:
        raise WidthError(
            f"a budget of {budget:,.10g} is below the least that {offer.metric} can be, "
            f"{rounded_up(offer.least)}: give that or more"
        )
    rows = np.arange(len(offer.cost))
    at, steps = _hulls(offer)
    spare = floor(budget * offer.parts) - offer.fixed - int(offer.cost[rows, at].sum())
    taken = int(np.searchsorted(np.cumsum(steps.cost), spare, "right"))
    at[steps.filter[:taken]] = steps.column[:taken]  # the last of a filter stays
    spare -= int(steps.cost[:taken].sum())
    bound = float(offer.noise[rows, at].sum())
    if taken < len(steps.cost):
        bound -= float(steps.slope[taken]) * spare
        _fill(at, steps, taken, spare)
    noise = float(offer.noise[rows, at].sum())
    cost = (offer.fixed + int(offer.cost[rows, at].sum())) / offer.parts
    parts = map(np.repeat, np.split(at, np.cumsum(offer.filters)[:-1]), offer.alike)
    widths = {name: part for names, part in zip(offer.names, parts, strict=True) for name in names}
    return Allocation(
        rule=offer.rule,
        metric=offer.metric,
        budget=budget,
        cost=cost,
        noise=noise,
        bound=min(bound, noise),
        widths=widths,
    )


class Steps(NamedTuple):
    """Steps along the hulls, steepest first: from where `filter` stands to `column`."""

    filter: Ints
    column: Ints
    before: Ints  # the column that the filter must stand on
    cost: Ints
    slope: Floats  # noise saved for a unit of cost; falls along each filter's hull


def _hulls(offer: Choices) -> tuple[Ints, Steps]:
    """The cheapest column of each filter (M,), and the steps from there on, of all filters."""
    cost, noise, rows = offer.cost, offer.noise, np.arange(len(offer.cost))
    offered = np.where(offer.offered, cost, NEVER)
    cheapest = offered == offered.min(axis=1, keepdims=True)
    start = np.where(cheapest, noise, np.inf).argmin(axis=1)
    at, last = start.copy(), np.full(len(rows), np.inf)
    found = []
    for _ in range(cost.shape[1] - 1):
        more, less = cost - cost[rows, at, None], noise[rows, at, None] - noise
        slopes = np.where(offer.offered & (more > 0), less / np.maximum(more, 1), 0.0)
        best = slopes.max(axis=1, keepdims=True)
        furthest = np.where(slopes == best, more, -1).argmax(axis=1)
        on = np.flatnonzero(best[:, 0] > 0)
        if not len(on):
            break
        last[on] = np.minimum(last[on], best[on, 0])  # rounding must not turn the order
        found.append((on, furthest[on], at[on], more[on, furthest[on]], last[on]))
        at[on] = furthest[on]
    empty = [np.empty(0, np.int64)] * 4 + [np.empty(0)]
    columns = [np.concatenate(part) for part in zip(empty, *found, strict=True)]
    order = np.argsort(-columns[4], kind="stable")  # of equal slopes the earlier round first
    return start, Steps(*(column[order] for column in columns))


def _fill(at: Ints, steps: Steps, taken: int, spare: int) -> None:
    """Move filters on where a step still fits, steepest first; so more budget is never worse."""
    small = np.minimum.accumulate(steps.cost[::-1])[::-1]  # the least cost from each step on
    for index in range(taken, len(small)):
        if small[index] > spare:
            return
        filter_ = steps.filter[index]
        if steps.cost[index] <= spare and at[filter_] == steps.before[index]:
            at[filter_] = steps.column[index]
            spare -= int(steps.cost[index])


def _with_live(quantized: QuantizedLayer, live: Mask) -> QuantizedLayer:
    if (quantized.live == live).all():
        return quantized
    layer, stored = quantized.layer, quantized.layer.weight.codes
    if stored is not None:
        return replace(quantized, live=live, sums=stored_sums(layer, live, stored))
    steps = np.where(quantized.steps > 0, quantized.steps, 1.0)
    sums = midrise_sums(layer, live, steps, quantized.limit, quantized.keep_zeros)
    return replace(quantized, live=live, sums=sums)


def _costs(run: QuantizedLayer, index: int, metric: str, aim: Aim | None) -> Ints:
    """What each filter (M,) of a layer costs, in the offer's parts."""
    return of_filters(run, metric) if aim is None else aim.of_filters(index, run)


class _Table(NamedTuple):
    """Of a weight and the layers that use it, what `Choices` has; `alike` filters are a row."""

    names: tuple[str, ...]
    alike: int
    cost: Ints
    noise: Floats
    first: Ints

    @property
    def of_layer(self) -> "_Table":
        """With one row for all filters."""
        cost, noise = (x.sum(axis=0, keepdims=True) for x in (self.cost, self.noise))
        return _Table(self.names, len(self.cost), cost, noise, self.first.max(keepdims=True))

    def joined(self, other: "_Table", stored_once: bool) -> "_Table":
        """With another use of the weight."""
        cost = (np.maximum if stored_once else np.add)(self.cost, other.cost)
        noise, first = self.noise + other.noise, np.maximum(self.first, other.first)
        return _Table(self.names + other.names, self.alike, cost, noise, first)


def _table(
    name: str, run: QuantizedLayer, costs: Sequence[Ints], errors: Floats, gain: Floats | None,
    prune: bool,
) -> _Table:  # fmt: skip
    """Of a layer whose filters have these costs and squared errors at each width."""
    none = np.zeros(run.layer.filters, np.int64)
    cost = np.stack([none, *costs], axis=1)
    noise = np.column_stack([run.sums.signal, errors]).astype(np.float64)
    if gain is not None:
        gain = gain.reshape(len(noise), -1)
        noise[:, 0] *= gain[:, 0]
        noise[:, 1:] *= gain[:, -1:]
    first = none + (not prune)
    first[noise[:, 0].argmax()] = 1
    return _Table((name,), 1, cost, noise, first)


def names_of(network: Network) -> list[str]:
    """What each layer is called in a scheme: its name, or where others have it too its weight's."""
    times = Counter(layer.name for layer in network.layers)
    return [layer.name if times[layer.name] == 1 else layer.weight.name for layer in network.layers]
