"""Targets of ESNa by layer, measured in training, and the layer-wide steps that meet them."""

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from esnsim.compression.allocate.budget_metrics import check_metric
from esnsim.compression.allocate.rate import SortedLayer, largest_step, rates, sort_layer
from esnsim.costs.cost import cost
from esnsim.costs.metric import metric_value
from esnsim.errors import WidthError
from esnsim.files.read import read_small
from esnsim.model.liveness import Liveness
from esnsim.model.network import Layer, Mask, Network
from esnsim.quantization import rules
from esnsim.quantization.filter_sums import Floats
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import WIDEST, Scheme
from esnsim.units import rounded_up

SCHEMA = "esnsim.training/1"
LARGEST_BYTES = 1 << 28
TOLERANCE = 1e-3  # relative, of the factor that fits a budget
LEAST_SHARE = 1e-12  # of the targets: a step so large that one filter of each layer is left
#: What reading a file that is none raises.
DAMAGE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError,
    csv.Error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """The ESNa by weights (c = 1) of one layer; None where its weights did not move."""

    name: str
    weight: str
    esn_a: float | None


def read_targets(path: Path, epoch: int | None = None) -> tuple[Target, ...]:
    """The targets of an epoch, the last by default, from what `ESNTracker` writes, JSON or CSV.

    Raises WidthError for a file that is none, or has no such epoch.
    """
    try:
        text = read_small(path, LARGEST_BYTES).decode("utf-8-sig")
        epochs = _from_csv(text) if path.suffix.lower() == ".csv" else _from_json(text)
    except FileNotFoundError:
        raise WidthError(f"there is no file '{path}': check the path") from None
    except DAMAGE as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise WidthError(
            f"'{path}' cannot be read as ESNa of training ({reason}): give what ESNTracker's "
            "to_json or to_csv writes"
        ) from None
    if not epochs:
        raise WidthError(f"'{path}' holds no epoch: train for one and write it again")
    chosen = max(epochs) if epoch is None else epoch
    if chosen not in epochs:
        raise WidthError(
            f"'{path}' has no epoch {epoch}: it has {min(epochs)} to {max(epochs)}, choose one"
        )
    return epochs[chosen]


def target_steps(
    network: Network, targets: tuple[Target, ...], factor: float = 1.0
) -> dict[str, float]:
    """Δ_l of each layer by its name, such that ESNa_l(Δ_l) is next to `factor` times its target.

    ESNa falls in jumps as Δ grows; the nearer side of the jump is taken, but never a step that
    prunes a whole layer. Raises WidthError for layers without a target, targets without a layer,
    and targets that more than 16 bits would take.
    """
    wanted = _matched(network, targets)
    return _solved(network, wanted, factor, _sorter())


def within_budget(
    network: Network, targets: tuple[Target, ...], budget: float, metric: str = "esn_d_tilde"
) -> Scheme:
    """The steps for all targets times one factor, as large as a budget of the metric allows.

    Raises WidthError where the budget is below the least possible, and as `target_steps` does.
    """
    metric = check_metric(metric)
    wanted, sort = _matched(network, targets), _sorter()

    def scheme(factor: float) -> Scheme:
        return Scheme(given_steps=_solved(network, wanted, factor, sort))

    def price(factor: float) -> float:
        try:
            return metric_value(cost(quantize(network, scheme(factor))).total, metric)
        except WidthError:  # more than 16 bits
            return np.inf

    low, high = LEAST_SHARE, 1.0
    if (least := price(low)) > budget:
        raise WidthError(
            f"a budget of {budget:,.10g} is below the least that {metric} can be with one filter "
            f"of each layer left, {rounded_up(least)}: give that or more"
        )
    while price(high) <= budget and high < 1 / LEAST_SHARE:  # nothing may cost anything
        low, high = high, 2 * high
    while high > (1 + TOLERANCE) * low:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if price(middle) <= budget else (low, middle)
    return scheme(low)


def _solved(
    network: Network,
    wanted: Mapping[int, float],
    factor: float,
    sort: Callable[[Layer, Mask], SortedLayer],
) -> dict[str, float]:
    found, liveness = dict[str, float](), Liveness(network)
    for index, layer in enumerate(network.layers):
        live, alive = liveness.channels(layer), np.ones(layer.filters, np.bool_)
        if index in wanted:  # the others are quantised already
            ordered = sort(layer, live)
            step = found[layer.name] = _step(ordered, factor * wanted[index])
            alive &= not np.isnan(step) and rates(ordered, [step], WIDEST).widths[0] > 0
        liveness.decide(layer, alive)
    return found


def _step(layer: SortedLayer, target: float) -> float:
    """The Δ whose ESNa is next to the target; NaN for a layer of zeros."""
    top = float(layer.tops.max(initial=0))
    largest = float(rules.largest(layer.layer.weight).max(initial=0))  # dead ones have codes too
    if not top:
        return 4 * largest or float("nan")

    def excess(steps: Floats) -> Floats:
        return rates(layer, steps, WIDEST).esn_a_x4 / 4 - target

    low = np.nextafter(largest / (1 << WIDEST - 1), np.inf)
    if excess(np.array([low]))[0] < 0:
        raise WidthError(
            f"an ESNa of {target:.6g} would take layer '{layer.layer.name}' codes of more than "
            f"{WIDEST} bits: scale the targets down"
        )
    above = largest_step(excess, low, 4 * top)
    below = float(np.nextafter(above, np.inf))
    sides = excess(np.array([above, below]))
    alive = top >= 0.5 * below
    return below if alive and -sides[1] < sides[0] else above


def _matched(network: Network, targets: tuple[Target, ...]) -> dict[int, float]:
    """The target of each float layer, by its index; weights' names decide, then layers'."""
    by_name = {target.name: target for target in targets}
    by_name |= {target.weight: target for target in targets}
    found: dict[int, Target] = {}
    for index, layer in enumerate(network.layers):
        if layer.weight.codes is None:
            names = layer.weight.name, layer.weight.origin, layer.name
            target = next((by_name[name] for name in names if name in by_name), None)
            if target is None:
                raise WidthError(
                    f"the targets have none for layer '{layer.name}', whose weight is "
                    f"'{layer.weight.name}': {_mend(layer.weight.name)}"
                )
            found[index] = target
    used = {id(target) for target in found.values()}
    for target in targets:
        if id(target) not in used:
            raise WidthError(
                f"there is a target for '{target.name}', but no layer reads '{target.weight}': "
                "give the targets of this network's training"
            )
        if target.esn_a is None:
            raise WidthError(
                f"layer '{target.name}' did not move in that epoch, so it has no ESNa: choose "
                "another epoch"
            )
    return {index: float(target.esn_a or 0) for index, target in found.items()}


def _mend(weight: str) -> str:
    """What to do about a weight that has no target."""
    if not weight.startswith("onnx::"):
        return "give those of this network's training"
    return (
        "torch folded a BatchNormalization into it, or transposed it, and dropped its name; export "
        "with esnsim.training.export.export_onnx, or with do_constant_folding=False and "
        "training=torch.onnx.TrainingMode.PRESERVE"
    )


def _sorter() -> Callable[[Layer, Mask], SortedLayer]:
    """`sort_layer` that keeps what it sorted last of each layer."""
    kept: dict[str, tuple[Mask, SortedLayer]] = {}

    def sort(layer: Layer, live: Mask) -> SortedLayer:
        known = kept.get(layer.name)
        if known is None or known[1].layer is not layer or (known[0] != live).any():
            known = kept[layer.name] = live, sort_layer(layer, live)
        return known[1]

    return sort


def _from_json(text: str) -> dict[int, tuple[Target, ...]]:
    content = json.loads(text)
    if content["schema"] != SCHEMA:
        raise ValueError(f"its schema is {content['schema']!r:.40}, not '{SCHEMA}'")
    return {int(e["epoch"]): tuple(map(_target, e["layers"])) for e in content["epochs"]}


def _from_csv(text: str) -> dict[int, tuple[Target, ...]]:
    epochs: dict[int, list[Target]] = {}
    for row in csv.DictReader(text.splitlines()):
        epochs.setdefault(int(row["epoch"]), []).append(_target(row))
    return {epoch: tuple(rows) for epoch, rows in epochs.items()}


def _target(row: Mapping[str, Any]) -> Target:
    value = row["esn_a"]
    esn_a = None if value in (None, "") else float(value)
    if esn_a is not None and not (isfinite(esn_a) and esn_a > 0):
        raise ValueError(f"an ESNa of {esn_a:g}")
    return Target(str(row["name"]), str(row["weight"]), esn_a)
