"""Which filters stay: in order of a norm, by layer or over the network, to a ratio or a budget."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.prune.criteria import CRITERIA, SCOPES
from esnsim.compression.prune.units import Coupling, couple
from esnsim.errors import UsageError
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.model.liveness import Liveness
from esnsim.model.network import Mask, Network
from esnsim.quantization.filter_sums import Floats

#: The filters (M,) that stay, of each layer.
Kept: TypeAlias = tuple[Mask, ...]


@accepts_pair
def choose(
    model: Model,
    ratio: float | None = None,
    budget: int | None = None,
    criterion: str = "norm",
    scope: str = "layer",
    price: Callable[[Kept], int] | None = None,
) -> Kept:
    """The filters to keep, where `ratio` of the units go or where the price fits the `budget`.

    Units go in the order of their least `criterion`, summed over their filters: the signal norm
    ‖W_m‖² (Section 3 of the paper), Σ|W_m|, or |γ| of the BatchNormalization. In the scope `layer`
    every layer loses the same share; in the scope `network` units compete by their norm relative
    to the mean of their layer, or of the layers that are tied. Of every activation one unit
    stays, the largest. `price` is `live_macs` unless given; it must not rise when more
    filters go. Raises UsageError for what can't be met.
    """
    if (ratio is None) == (budget is None):
        raise UsageError("give a ratio or a budget, and not both")
    if ratio is not None and not 0 <= ratio < 1:
        raise UsageError(f"pruning a share of {ratio}: give one from 0 to below 1")
    network, coupling = model.network, couple(model)
    order, due = _order(model, coupling, criterion, scope)
    if ratio is not None:
        return without(network, coupling, order[due < ratio])
    assert budget is not None
    price = price or (lambda kept: live_macs(network, kept))
    count = _least(lambda n: price(without(network, coupling, order[:n])), len(order), budget)
    return without(network, coupling, order[:count])


def live_macs(
    network: Network, kept: Sequence[Mask], bits: Sequence[NDArray[np.int64]] | None = None
) -> int:
    """MACs of the filters (M,) that stay, on the channels that stay; times their width if given."""
    total, liveness = 0, Liveness(network, leaving=True)
    for index, layer in enumerate(network.layers):
        groups, live = layer.geometry.groups, liveness.channels(layer)
        fan_in = np.repeat(live.reshape(groups, -1).sum(axis=1), layer.filters // groups)
        alive = np.asarray(kept[index], np.bool_) & (fan_in > 0)
        kernel = layer.weight.size // (layer.filters * layer.weight.shape[1])
        widths = 1 if bits is None else np.asarray(bits[index])
        total += int((alive * fan_in * widths).sum()) * kernel * layer.macs_per_weight
        liveness.decide(layer, alive)
    return total


def _order(
    model: Model, coupling: Coupling, criterion: str, scope: str
) -> tuple[NDArray[np.int64], Floats]:
    """The units that can go, the first to go first, and the ratio above which each does."""
    if criterion not in CRITERIA or scope not in SCOPES:
        raise UsageError(
            f"criterion '{criterion}' in scope '{scope}': use one of {', '.join(CRITERIA)} "
            f"in {' or '.join(SCOPES)}"
        )
    scores, has = _scores(model, coupling, criterion)
    has[list(coupling.stays)] = False
    spaces = _spaces(model.network, coupling, has)
    protected = np.zeros(len(scores), np.bool_)
    protected[[value[np.argmax(scores[value])] for value in coupling.values]] = True
    units, due = [np.empty(0, np.int64)], [np.empty(0)]
    for space in SCOPES[scope].competitors(spaces, scores):
        ordered = space[np.lexsort((scores[space], protected[space]))]
        units.append(ordered)
        due.append((np.arange(len(ordered)) + 0.5) / len(ordered))
    unit, ratio = np.concatenate(units), np.concatenate(due)
    free = ~protected[unit]
    first = np.argsort(ratio[free], kind="stable")
    return unit[free][first], ratio[free][first]


def _scores(model: Model, coupling: Coupling, criterion: str) -> tuple[Floats, Mask]:
    """The criterion of each unit, and whether it has one."""
    network = model.network
    scores, has = np.zeros(len(coupling.unit)), np.zeros(len(coupling.unit), np.bool_)
    score = CRITERIA[criterion].scorer(model)
    floats = [layer for layer in network.layers if layer.weight.codes is None]
    if not floats:
        raise UsageError(
            "every layer is quantised already, and those keep their filters: prune the float model"
        )
    for layer in floats:
        found = score(layer)
        if found is not None:
            np.add.at(scores, coupling.of(layer), found)
            has[coupling.of(layer)] = True
    if not has.any():
        raise UsageError(
            "no layer is followed by a BatchNormalization of its own: it may be folded into the "
            "weights; use the criterion 'norm' or 'l1'"
        )
    return scores, has


def _spaces(network: Network, coupling: Coupling, has: Mask) -> list[NDArray[np.int64]]:
    """The units that can go, in sets of those whose filters are of the same layers."""
    layers: dict[int, list[int]] = {}
    for index, layer in enumerate(network.layers):
        unit = np.unique(coupling.of(layer))
        for each in unit[has[unit]].tolist():
            layers.setdefault(each, []).append(index)
    spaces: dict[tuple[int, ...], list[int]] = {}
    for each, of in layers.items():
        spaces.setdefault(tuple(of), []).append(each)
    return [np.array(space) for space in spaces.values()]


def without(network: Network, coupling: Coupling, units: NDArray[np.int64]) -> Kept:
    """The filters (M,) of each layer that stay where some units go."""
    gone = np.zeros(len(coupling.unit), np.bool_)
    gone[units] = True
    return tuple(~gone[coupling.of(layer)] for layer in network.layers)


def _least(price: Callable[[int], int], most: int, budget: int) -> int:
    """The smallest count whose price fits the budget, by bisection."""
    least = price(most)
    if least > budget:
        raise UsageError(
            f"a budget of {budget:,} is below the least that pruning can reach, {least:,}: "
            "raise it, or use fewer bits"
        )
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if price(middle) <= budget else (middle + 1, high)
    return low
