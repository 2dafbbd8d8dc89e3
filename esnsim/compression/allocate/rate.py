"""Cost and error of a layer at any step, from weights sorted once and prefix sums.

A pass over n weights becomes a bisection for each level in use: O(levels · log n + filters).
Counts are those of `esnsim.quantize`, to the unit, weights on decision boundaries included.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError, WidthError
from esnsim.model.network import Array, Layer, Mask
from esnsim.quantization.blocks import Matrix, each_live
from esnsim.quantization.filter_sums import Floats, Ints, not_finite
from esnsim.quantization.scheme import WIDEST


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedLayer:
    """The live weights of a layer, all filters together, in ascending order of magnitude.

    `positive` (P,) and `negative` (N,) are magnitudes, their tails Σ |w| from every BLOCK-th place
    on. For each filter (M,): `weights` that are live, those that are not 0, Σ |w|, Σ w², and
    `tops` (2, M), the largest weight above 0 and the largest |w| below 0, or 0.
    """

    layer: Layer
    positive: Array
    negative: Array
    positive_tails: Floats
    negative_tails: Floats
    weights: Ints
    nonzero: Ints
    magnitude: Floats
    signal: Floats
    tops: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A layer at each of the steps (S,), as `quantizer.quantize` would have it.

    `esn_a_x4` (four times the metric), `esn_d` and `esn_d_tilde` (S,) are by weights, exact
    integers of width rule `code`. `widths` (S, M) are bits, 0 for pruned filters;
    `noise` (S,) is Σ (W − Δ·W_int)².
    """

    layer: Layer
    steps: Floats
    esn_a_x4: Ints
    esn_d: Ints
    esn_d_tilde: Ints
    widths: NDArray[np.int8]
    noise: Floats

    @property
    def pruned_filters(self) -> Ints:
        """How many filters each step (S,) prunes."""
        return np.asarray(np.count_nonzero(self.widths == 0, axis=1))


def sort_layer(layer: Layer, live: Mask | None = None) -> SortedLayer:
    """Sort the weights that read live channels (`live` (C,), all by default).

    Raises UsageError for a layer that is quantised already, ModelError for weights that are not
    finite.
    """
    from esnsim_kernels import levels

    if layer.weight.codes is not None:
        raise UsageError(
            f"layer '{layer.name}' is quantised already and has its steps: give a float model"
        )
    if live is None:
        live = np.ones(len(layer.channels), np.bool_)
    weights, nonzero = np.zeros((2, layer.filters), np.int64)
    energies, tops = np.zeros((layer.filters, 2)), np.zeros((2, layer.filters))
    found: list[Array] = []

    def add(rows: slice, block: Matrix) -> None:
        weights[rows] = block.shape[1]
        levels.describe(block, nonzero[rows], energies[rows], tops[:, rows])
        found.append(block.ravel())

    each_live(layer, live, add)
    if not np.isfinite(energies).all():
        raise not_finite(layer)
    ordered = np.concatenate(found) if found else np.empty(0, np.float32)
    ordered.sort()
    below, above = np.searchsorted(ordered, 0.0, "left"), np.searchsorted(ordered, 0.0, "right")
    positive, negative = ordered[above:], -ordered[:below][::-1]
    return SortedLayer(
        layer=layer, positive=positive, negative=negative, positive_tails=_tails(positive),
        negative_tails=_tails(negative), weights=weights, nonzero=nonzero,
        magnitude=energies[:, 0], signal=energies[:, 1], tops=tops,
    )  # fmt: skip


def rates(
    layer: SortedLayer,
    steps: Sequence[float] | Floats,
    bits: int | None = None,
    keep_zeros: bool = True,
) -> Rates:
    """The cost and error of a layer at each of the steps (S,) for all its filters.

    Codes saturate at `bits`. Raises WidthError where a step is not positive, or so small that
    without `bits` codes would be wider than esnsim makes.
    """
    from esnsim_kernels import levels

    steps = np.asarray(steps, np.float64)
    _check(layer, steps, bits)
    limit = (1 << (bits or WIDEST)) - 1
    counts, match = np.empty((len(steps), 2), np.int64), np.empty(len(steps))
    widths = np.empty((len(steps), layer.layer.filters), np.int8)
    tails = layer.positive_tails, layer.negative_tails
    levels.sums(layer.positive, layer.negative, *tails, steps, limit, counts, match)
    coded = layer.nonzero if keep_zeros else layer.weights
    zeros = int(coded.sum() - layer.nonzero.sum())  # coded as +½
    each, lost = np.empty((len(steps), 2), np.int64), np.empty(len(steps))
    levels.filters(
        layer.tops, layer.weights, coded, layer.magnitude, steps, limit, widths, each, lost
    )
    # Pruned filters stand in the sums with |q| = 1, as all their weights are below Δ/2.
    tilde, gone = each.T
    squares, exponents = counts.T + zeros - gone
    match -= lost
    noise = layer.signal.sum() - steps * match + 0.25 * steps**2 * squares
    return Rates(
        layer=layer.layer, steps=steps, esn_a_x4=squares, esn_d=exponents, esn_d_tilde=tilde,
        widths=widths, noise=np.maximum(noise, 0.0),
    )  # fmt: skip


def largest_step(measure: Callable[[Floats], Floats], low: float, high: float) -> float:
    """The largest step at which `measure` of the steps (S,), which falls, is not below 0.

    `measure` must not be below 0 at `low`, and must be at `high`. Exact to a float64.
    """
    while high > np.nextafter(low, np.inf):
        inner = np.unique(low * (high / low) ** np.linspace(0, 1, 66))
        inner = inner[(inner > low) & (inner < high)]
        if not len(inner):
            inner = np.array([low + (high - low) / 2])
        kept = int((measure(inner) >= 0).sum())
        low, high = (inner[kept - 1] if kept else low), (inner[kept] if kept < len(inner) else high)
    return float(low)


def _tails(magnitudes: Array) -> Floats:
    """Σ of the magnitudes from every BLOCK-th place on."""
    from esnsim_kernels import levels

    tails = np.zeros(-(-len(magnitudes) // levels.BLOCK))
    levels.tails(magnitudes, tails)
    return tails


def _check(layer: SortedLayer, steps: Floats, bits: int | None) -> None:
    if steps.ndim != 1 or not (np.isfinite(steps) & (steps > 0)).all():
        raise WidthError(f"the steps of layer '{layer.layer.name}' must be a list of positive ones")
    if bits is not None and not 1 <= bits <= WIDEST:
        raise WidthError(f"{bits} bits: widths are 1 to {WIDEST}")
    top = layer.tops.max(initial=0)
    with np.errstate(over="ignore"):
        widest = top / steps.min(initial=np.inf) if top else 0
    if bits is None and widest >= 1 << WIDEST - 1:
        raise WidthError(
            f"layer '{layer.layer.name}' needs codes of more than {WIDEST} bits at its step: "
            "give a larger step, or a width to saturate at"
        )
