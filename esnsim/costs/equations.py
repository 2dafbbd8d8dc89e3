"""The closed-form metrics: one function an equation, exact integers (docs/equations.md)."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from esnsim.costs.fig1 import Machines, cpu_cost, gpu_cost, int8_array_cost
from esnsim.errors import WidthError
from esnsim.model.network import Layer, Network
from esnsim.quantization.filter_sums import FilterSums, Ints
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork, Scheme

WIDTH_RULES = ("code", "paper")
ROUNDING = 2.0**-53  # relative error of a float64
#: Fields of Metrics that are plain counts; the rest are Weightings.
PARAMETERS = {"weights", "live_weights", "nonzero_weights"}
COUNTS = {"filters", "pruned_filters", "macs", "live_macs", "mac_bits_layerwise"}


@dataclass(frozen=True, slots=True)
class Weightings:
    """A metric weighted by parameters (c = 1) and by computations (c = MACs per weight)."""

    weights: int
    macs: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of a layer or of a network. `*_x4` are four times the metric, to be integers.

    `esn_d*` and `mac_bits_layerwise` are in bits, MACs and weights are counts; `class_a_*` is the
    class-A energy with the largest amplitude of a filter, a layer, the network. `other_*` are the
    digital metrics under the width rule that was not chosen.
    """

    filters: int
    pruned_filters: int
    weights: int
    live_weights: int
    nonzero_weights: int
    macs: int
    live_macs: int
    esn_a_x4: Weightings
    class_a_filter_x4: Weightings
    class_a_layer_x4: Weightings
    class_a_network_x4: Weightings
    esn_d: Weightings
    esn_d_tilde: Weightings
    mac_bits_layerwise: int
    other_esn_d: Weightings
    other_esn_d_tilde: Weightings


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The cost of one layer; `bits` (M,) are the widths of its filters.

    `sn` and `esn_a_from_sn` (Eq. 4) are None where codes are exact.
    """

    quantized: QuantizedLayer
    metrics: Metrics
    bits: Ints
    sn: float | None
    esn_a_from_sn: float | None

    @property
    def layer(self) -> Layer:
        """The layer that this is the cost of."""
        return self.quantized.layer


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a network: rows in graph order, totals, and the machines of Fig. 1."""

    network: Network
    scheme: Scheme
    width: str
    layers: tuple[LayerCost, ...]
    total: Metrics
    machines: Machines
    notes: tuple[str, ...]

    @property
    def histogram(self) -> dict[int, int]:
        """How many filters have each width (Fig. 6), 0 for pruned ones."""
        counts: Counter[int] = Counter()
        for row in self.layers:
            counts.update(row.bits.tolist())
        return dict(sorted(counts.items()))

    def to_dict(self) -> dict[str, object]:
        """The report that `esnsim cost --json` prints (docs/json.md)."""
        from esnsim.report.cost.document import document

        return document(self)

    def to_csv(self) -> str:
        """The rows that `esnsim cost --csv` prints."""
        from esnsim.report.cost.document import as_csv

        return as_csv(self.layers, self.width)

    @property
    def product_macs(self) -> int:
        """Multiply-accumulates of products of two activations, in no other number."""
        return sum(product.macs for product in self.network.products)


def cost(
    quantized: QuantizedNetwork,
    width: str = "code",
    include: Callable[[Layer], bool] = lambda layer: True,
) -> Cost:
    """The closed-form cost of a quantised network, of the layers that `include` accepts."""
    if width not in WIDTH_RULES:
        raise WidthError(f"no width rule '{width}': use one of {', '.join(WIDTH_RULES)}")
    chosen = [layer for layer in quantized.layers if include(layer.layer)]
    top = max((int(layer.sums.largest_x2.max(initial=0)) for layer in chosen), default=0)
    rows = tuple(_layer_cost(layer, width, top) for layer in chosen)
    return Cost(
        quantized.network,
        quantized.scheme,
        width,
        rows,
        total(rows),
        machines(rows),
        quantized.network.notes + quantized.notes,
    )


def esn_a_x4(sums: FilterSums) -> int:
    """Eq. 2, four times: Σ (2·W_int)²."""
    return int(sums.squares_x4.sum())


def esn_d(sums: FilterSums, width: str) -> int:
    """Eq. 3: Σ bits(W_int), each weight by its own width."""
    return int((sums.bits_code if width == "code" else sums.bits_paper).sum())


def esn_d_tilde(sums: FilterSums, width: str) -> int:
    """Eq. 7 for c = 1: Σ_m weights_m · b_m, each filter by its widest weight."""
    return int((sums.weights * widths(sums, width)).sum())


def mac_bits_layerwise(sums: FilterSums, width: str) -> int:
    """For c = 1: every unpruned filter charged the widest of its layer."""
    alive = sums.weights[sums.width_code > 0]
    return int(alive.sum()) * int(widths(sums, width).max(initial=0))


def class_a_x4(sums: FilterSums, top_x2: int | Ints) -> int:
    """Section 2.1, four times: the squared largest amplitude for each code that is not zero."""
    return int((sums.coded * np.asarray(top_x2, np.int64) ** 2).sum())


def signal_to_noise(sums: FilterSums) -> float | None:
    """s/n of a layer: ‖W‖² / ‖W − Δ·W_int‖²; None where the codes are exact in float64."""
    signal, noise = float(sums.signal.sum()), float(sums.noise.sum())
    return signal / noise if noise > ROUNDING**2 * signal else None


def esn_a_from_sn(sn: float, nonzero: int) -> float:
    """Eq. 4: ESNa ≈ s/n · ‖W‖₀ / 12, where quantisation noise is uniform."""
    return sn * nonzero / 12


def step_from_noise(noise: float, nonzero: int) -> float:
    """Eq. 10: the step whose uniform noise has the mean square N = noise/‖W‖₀, Δ² = 12·N."""
    return float(np.sqrt(12 * noise / nonzero)) if nonzero else 0.0


def widths(sums: FilterSums, width: str) -> Ints:
    """b_m of each filter (M,) under a width rule."""
    return sums.width_code if width == "code" else sums.width_paper


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
    return Machines(cpu, gpu, array, digital, analog_x4 / 4)


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


def _once(rows: Sequence[LayerCost], column: Sequence[int]) -> int:
    tensors: dict[str, int] = {}
    for row, value in zip(rows, column, strict=True):
        origin = row.layer.weight.origin
        tensors[origin] = max(value, tensors.get(origin, 0))
    return sum(tensors.values())


def _layer_cost(quantized: QuantizedLayer, width: str, network_top: int) -> LayerCost:
    layer, sums = quantized.layer, quantized.sums
    c = layer.macs_per_weight

    def both(value: int) -> Weightings:
        return Weightings(value, value * c)

    other = "paper" if width == "code" else "code"
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
    )
    sn = signal_to_noise(sums) if layer.weight.codes is None else None
    estimate = None if sn is None else esn_a_from_sn(sn, int(sums.nonzero.sum()))
    return LayerCost(quantized, metrics, widths(sums, width), sn, estimate)
