"""The cost of a network: metrics of its layers and their totals, exact integers."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from esnsim.costs.bops import ALWAYS, find_definition, total_bops
from esnsim.costs.equations import (
    WIDTH_RULES,
    WidthRule,
    class_a_x4,
    esn_a_from_sn,
    esn_a_x4,
    esn_d,
    esn_d_tilde,
    mac_bits_layerwise,
    signal_to_noise,
    stored_bits,
    widths,
)
from esnsim.costs.fig1 import Machines, cpu_cost, gpu_cost, int8_array_cost
from esnsim.costs.figures import (
    Metrics,
    OtherWidth,
    Quotients,
    Weightings,
    ratio,
)
from esnsim.errors import WidthError, check_known
from esnsim.model.network import Layer, Network
from esnsim.quantization.filter_sums import Ints
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork
from esnsim.quantization.scheme import WIDEST, Scheme
from esnsim.results import Outcome

#: Fields of Metrics that are plain counts; the rest are Weightings.
PARAMETERS = {"weights", "live_weights", "nonzero_weights", "stored_bits"}
COUNTS = {"filters", "pruned_filters", "macs", "live_macs", "mac_bits_layerwise"}

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """The cost of one layer; `bits` (M,) are the widths of its filters.

    `sn` and `esn_a_from_sn` (Eq. 4) are None where codes are exact. `activation_bits` is the width
    of the layer's activations, None where it is not known.
    """

    quantized: QuantizedLayer
    metrics: Metrics
    bits: Ints
    sn: float | None
    esn_a_from_sn: float | None
    activation_bits: int | None = None

    @property
    def layer(self) -> Layer:
        """The layer that this is the cost of."""
        return self.quantized.layer

    @property
    def esn_a_expected(self) -> Quotients:
        """Eq. 4 in both weightings."""
        return estimate([self])

    @property
    def esn_a_over_sn(self) -> Quotients:
        """ESNa over its estimate from signal-to-noise."""
        return ratio(self.metrics.esn_a, self.esn_a_expected)

    @property
    def macs_of_filters(self) -> Ints:
        """Dense multiply-accumulates of each filter (M,)."""
        return np.full(self.layer.filters, self.layer.macs // self.layer.filters)

    @property
    def live_macs_of_filters(self) -> Ints:
        """Multiply-accumulates of each filter (M,) on live channels, 0 of pruned ones."""
        sums = self.quantized.sums
        return np.where(sums.width_code > 0, sums.weights, 0) * self.layer.macs_per_weight


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Cost(Outcome):
    """The cost of a network: rows in graph order, totals, and the machines of Fig. 1.

    `definitions` of BOPs are told besides ours (`esnsim.costs.bops`).
    """

    network: Network
    scheme: Scheme
    width: WidthRule
    layers: tuple[LayerCost, ...]
    total: Metrics
    machines: Machines
    notes: tuple[str, ...]
    definitions: tuple[str, ...] = ()

    @property
    def bops(self) -> dict[str, float | None]:
        """BOPs as `live`, `effectual` and the asked definitions count them, None where b_a is not
        known.
        """
        return {name: total_bops(self.layers, name) for name in (*ALWAYS, *self.definitions)}

    @property
    def esn_a_from_sn(self) -> Quotients:
        """Eq. 4 for the whole network; None unless all layers have a signal-to-noise."""
        return estimate(self.layers)

    @property
    def esn_a_over_sn(self) -> Quotients:
        """ESNa over its estimate from signal-to-noise."""
        return ratio(self.total.esn_a, self.esn_a_from_sn)

    @property
    def other_width(self) -> OtherWidth:
        """The digital metrics under the width rule that was not chosen."""
        return other_width_of(self.total, self.width)

    @property
    def folded(self) -> int:
        """Layers with a BatchNormalization in their weights."""
        return sum(row.layer.weight.gain is not None for row in self.layers)

    @property
    def stored(self) -> int:
        """Layers that were quantised already."""
        return sum(row.layer.weight.codes is not None for row in self.layers)

    @property
    def product_macs(self) -> int:
        """Multiply-accumulates of products of two activations, in no other number."""
        return sum(product.macs for product in self.network.products)

    @property
    def bits_histogram(self) -> dict[int, int]:
        """How many filters have each width (Fig. 6), 0 for pruned ones."""
        counts: Counter[int] = Counter()
        for row in self.layers:
            counts.update(row.bits.tolist())
        return dict(sorted(counts.items()))

    histogram = bits_histogram


def cost(
    quantized: QuantizedNetwork,
    width: WidthRule = "code",
    include: Callable[[Layer], bool] = lambda layer: True,
    *,
    activation_bits: int | None = None,
    bops: Sequence[str] = (),
) -> Cost:
    """The closed-form cost of a quantised network, of the layers that `include` accepts.

    `activation_bits` is the width of activations where the model does not quantise them itself,
    `bops` are further definitions to tell. Raises WidthError, UsageError for what there is not.
    """
    check_known("width rule", width, WIDTH_RULES, WidthError)
    if activation_bits is not None and not 1 <= activation_bits <= WIDEST:
        raise WidthError(f"activations of {activation_bits} bits: give 1 to {WIDEST}")
    definitions = tuple(name for name in bops if find_definition(name))
    chosen = [layer for layer in quantized.layers if include(layer.layer)]
    top = max((int(layer.sums.largest_x2.max(initial=0)) for layer in chosen), default=0)
    rows = tuple(_layer_cost(layer, width, top, activation_bits) for layer in chosen)
    return Cost(
        network=quantized.network,
        scheme=quantized.scheme,
        width=width,
        layers=rows,
        total=total(rows),
        machines=machines(rows),
        notes=quantized.network.notes + quantized.notes,
        definitions=definitions,
    )


def estimate(rows: Sequence[LayerCost]) -> Quotients:
    """Eq. 4 summed over rows; where parameters are counted, shared weights as in `total`."""
    values = [row.esn_a_from_sn for row in rows if row.esn_a_from_sn is not None]
    if len(values) < len(rows):
        return Quotients(None, None)
    macs = sum(value * row.layer.macs_per_weight for row, value in zip(rows, values, strict=True))
    return Quotients(_once(rows, values), macs)


def other_width_of(metrics: Metrics, width: WidthRule) -> OtherWidth:
    """What `metrics` would be under the rule that is not `width`."""
    return OtherWidth(WIDTH_RULES[width].other, metrics.other_esn_d, metrics.other_esn_d_tilde)


def machines(rows: Iterable[LayerCost]) -> Machines:
    """The same rows priced by the machines of Fig. 1."""
    cpu = gpu = array = digital = analog_x4 = 0
    for row in rows:
        metrics, widest = row.metrics, int(row.bits.max(initial=0))
        cpu += cpu_cost(metrics.nonzero_weights * row.layer.macs_per_weight, widest)
        gpu += gpu_cost(metrics.macs, widest)
        array += int8_array_cost(metrics.macs, widest)
        digital += metrics.esn_d_tilde.macs
        analog_x4 += metrics.esn_a_x4.macs
    return Machines(
        cpu=cpu, gpu=gpu, int8_array=array, ideal_digital=digital, ideal_analog=analog_x4 / 4
    )


def total(rows: Sequence[LayerCost]) -> Metrics:
    """Sums over the rows; where parameters are counted, a weight tensor that rows share counts
    once, by the row that needs most of it.
    """
    values: dict[str, Any] = {}
    for name in (field.name for field in fields(Metrics)):
        column = [getattr(row.metrics, name) for row in rows]
        if name in COUNTS:
            values[name] = sum(column)
        elif name in PARAMETERS:
            values[name] = _once(rows, column)
        else:
            weights = _once(rows, [value.weights for value in column])
            values[name] = Weightings(weights, sum(value.macs for value in column))
    return Metrics(**values)


def _once(rows: Sequence[LayerCost], column: Sequence[Number]) -> Number:
    tensors: dict[str, Number] = {}
    for row, value in zip(rows, column, strict=True):
        origin = row.layer.weight.origin
        tensors[origin] = max(value, tensors.get(origin, value))
    return sum(tensors.values())


def _layer_cost(
    quantized: QuantizedLayer, width: WidthRule, network_top: int, activation_bits: int | None
) -> LayerCost:
    layer, sums = quantized.layer, quantized.sums
    c = layer.macs_per_weight

    def both(value: int) -> Weightings:
        return Weightings(value, value * c)

    other = WIDTH_RULES[width].other
    tops = sums.largest_x2
    live = int(sums.weights[sums.width_code > 0].sum())
    metrics = Metrics(
        filters=layer.filters,
        pruned_filters=int((sums.width_code == 0).sum()),
        weights=layer.weight.size,
        live_weights=live,
        nonzero_weights=int(sums.coded.sum()),
        macs=layer.macs,
        live_macs=live * c,
        esn_a_x4=both(esn_a_x4(sums)),
        class_a_filter_x4=both(class_a_x4(sums, tops)),
        class_a_layer_x4=both(class_a_x4(sums, int(tops.max(initial=0)))),
        class_a_network_x4=both(class_a_x4(sums, network_top)),
        esn_d=both(esn_d(sums, width)),
        esn_d_tilde=both(esn_d_tilde(sums, width)),
        mac_bits_layerwise=mac_bits_layerwise(sums, width) * c,
        other_esn_d=both(esn_d(sums, other)),
        other_esn_d_tilde=both(esn_d_tilde(sums, other)),
        stored_bits=stored_bits(sums, layer.weight.codes.bits if layer.weight.codes else None),
    )
    sn = signal_to_noise(sums) if layer.weight.codes is None else None
    from_sn = None if sn is None else esn_a_from_sn(sn, int(sums.nonzero.sum()))
    return LayerCost(
        quantized=quantized, metrics=metrics, bits=widths(sums, width), sn=sn,
        esn_a_from_sn=from_sn, activation_bits=layer.activation_bits or activation_bits,
    )  # fmt: skip
