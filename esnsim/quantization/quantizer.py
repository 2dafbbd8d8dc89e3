"""Codes: Network -> QuantizedNetwork (Appendix A of the paper, docs/equations.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import ModelError, WidthError
from esnsim.model.network import Layer, Mask, Network, propagate
from esnsim.quantization import rules
from esnsim.quantization.blocks import Matrix, each_filters
from esnsim.quantization.filter_sums import (
    FilterSums,
    Floats,
    Ints,
    midrise_sums,
    not_finite,
    stored_sums,
)
from esnsim.quantization.weight_kernels import load_fused

RULES = ("layer-max", "filter-max", "filter-sigma", "mse", "layer-mse", "aciq", "given")
UNSATURATED = ("filter-sigma", "given")  # they give widths; a width given too saturates them
DEFAULT_BITS = 8
WIDEST = 16  # bits of a code that esnsim makes
LEAST_STEP = 2 * float(np.finfo(np.float32).tiny)  # its half is exact in float32 too

#: One width or step for a layer, or one for each of its filters.
PerFilter = float | Sequence[float] | NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How weights become codes.

    `rule` None means layer-max, or filter-max where `widths` are handed in, or given where
    `given_steps` are. `bits` None means 8 where the rule needs a width. `widths` and
    `given_steps` map the name of a layer, or of its weight, to one value or to one a filter; a
    plain number is for every layer. A width of 0 prunes, and so does a step below LEAST_STEP.
    """

    rule: str | None = None
    bits: int | None = None
    alpha: float = 1.0
    keep_zeros: bool = True
    widths: int | Mapping[str, PerFilter] | None = None
    given_steps: float | Mapping[str, PerFilter] | None = None

    def __post_init__(self) -> None:
        if self.rule is not None and self.rule not in RULES:
            raise WidthError(f"no step rule '{self.rule}': use one of {', '.join(RULES)}")
        for width in (self.bits, self.widths if isinstance(self.widths, int) else None):
            if width is not None and not 0 < width <= WIDEST:
                raise WidthError(f"{width} bits: widths are 1 to {WIDEST}")
        if not 0 < self.alpha < np.inf:
            raise WidthError(f"alpha {self.alpha}: give a positive number")

    @property
    def resolved_rule(self) -> str:
        """The rule that applies where none is named."""
        if self.rule is not None:
            return self.rule
        if self.given_steps is not None:
            return "given"
        return "layer-max" if self.widths is None else "filter-max"

    @property
    def nominal_bits(self) -> int | None:
        """The width that rule and saturation go by where no widths are handed in, or None."""
        if self.bits is None and self.resolved_rule in UNSATURATED:
            return None
        return self.bits or DEFAULT_BITS


@dataclass(frozen=True, slots=True)
class QuantizedLayer:
    """A layer with the step of each filter (M,), NaN where there is none, and its sums.

    `limit` (M,) is the largest |q| that a code may have; `live` (C,) are the live channels.
    """

    layer: Layer
    steps: Floats
    limit: Ints
    keep_zeros: bool
    live: Mask
    sums: FilterSums


@dataclass(frozen=True, slots=True)
class QuantizedNetwork:
    """The codes of a network, as steps and sums; `codes` gives the integers of a layer."""

    network: Network
    scheme: Scheme
    layers: tuple[QuantizedLayer, ...]
    notes: tuple[str, ...]


def quantize(
    network: Network,
    scheme: Scheme | None = None,
    watch: Callable[[Layer], None] = lambda layer: None,
) -> QuantizedNetwork:
    """Quantise every layer; pruned filters make the weights that read them dead.

    Layers that are quantised already keep their integers. `watch` is called before each layer.
    Raises WidthError where widths or steps do not fit the network, ModelError for weights that
    are not finite.
    """
    scheme = scheme or Scheme()
    load_fused(sum(layer.weight.size for layer in network.layers))
    widths = assign(network, scheme.widths, "width")
    given = assign(network, scheme.given_steps, "step")
    done: list[QuantizedLayer] = []

    def decide(layer: Layer, live: Mask) -> Mask:
        watch(layer)
        index = len(done)
        if layer.weight.codes is not None:
            sums = stored_sums(layer, live, layer.weight.codes)
            limit = np.zeros(layer.filters, np.int64)
            done.append(QuantizedLayer(layer, _stored_steps(layer), limit, True, live, sums))
        else:
            steps, limit = _steps(layer, scheme, widths[index], given[index])
            safe = np.where(steps > 0, steps, 1.0)
            sums = midrise_sums(layer, live, safe, limit, scheme.keep_zeros)
            steps = np.where(steps > 0, steps, np.nan)
            done.append(QuantizedLayer(layer, steps, limit, scheme.keep_zeros, live, sums))
        return done[index].sums.width_code > 0

    propagate(network, decide)
    return QuantizedNetwork(network, scheme, tuple(done), _notes(network, scheme))


def codes(quantized: QuantizedLayer) -> NDArray[np.int32]:
    """The integers of a layer (M, C/g, *kernel): odd q = 2·W_int, or W_int where not midrise.

    Weights that read dead channels are coded as if they were live, but keep no filter alive.
    """
    from esnsim_kernels import midrise

    layer, weight = quantized.layer, quantized.layer.weight
    out = np.empty((layer.filters, weight.size // layer.filters), np.int32)
    steps, limit = np.where(quantized.steps > 0, quantized.steps, 1.0), quantized.limit

    def fill(rows: slice, block: Matrix) -> None:
        if weight.codes is not None:
            out[rows] = block
        else:
            midrise.codes(block, steps[rows], limit[rows], quantized.keep_zeros, out[rows])

    each_filters(weight, fill)
    out = out.reshape(weight.shape)
    live = quantized.live.reshape(layer.geometry.groups, -1)
    live = np.repeat(live, layer.filters // len(live), axis=0)
    out[(quantized.sums.width_code == 0)[:, None] & live] = 0
    return out


def assign(
    network: Network, given: float | Mapping[str, PerFilter] | None, what: str
) -> list[NDArray[np.float64] | None]:
    """The values (M,) handed in for each layer, None where there are none.

    Raises WidthError for names that no layer has, wrong lengths, and values out of range.
    """
    if not isinstance(given, Mapping):
        whole = {} if given is None else {layer.name: given for layer in network.layers}
        return [_values(layer, whole, what) for layer in network.layers]
    names = {layer.name for layer in network.layers}
    names |= {layer.weight.name for layer in network.layers}
    unknown = [name for name in given if name not in names]
    if unknown:
        known = ", ".join(layer.name for layer in network.layers[:4])
        raise WidthError(
            f"{what}s are given for {', '.join(map(repr, unknown[:3]))}, which no layer or weight "
            f"is called: the layers are {known}{', …' if len(network.layers) > 4 else ''}"
        )
    return [_values(layer, given, what) for layer in network.layers]


def _values(layer: Layer, given: Mapping[str, PerFilter], what: str) -> NDArray[np.float64] | None:
    value = given.get(layer.name, given.get(layer.weight.name))
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1:
        raise WidthError(f"the {what} of layer '{layer.name}' is no number or list: got {value!r}")
    if array.ndim == 1 and len(array) != layer.filters:
        raise WidthError(
            f"layer '{layer.name}' has {layer.filters} filters but {len(array)} {what}s are given"
        )
    values = np.broadcast_to(array.astype(np.float64), layer.filters)
    if what == "width":
        bad = values[(values < 0) | (values > WIDEST) | (values != np.rint(values))]
        needs = f"whole numbers from 0 (pruned) to {WIDEST}"
    else:
        bad = values[(values <= 0) | np.isinf(values)]  # NaN: a filter without weights
        needs = "positive numbers"
    if len(bad):
        raise WidthError(f"layer '{layer.name}' is given the {what} {bad[0]:g}: use {needs}")
    return values


def _steps(
    layer: Layer, scheme: Scheme, widths: Floats | None, given: Floats | None
) -> tuple[Floats, Ints]:
    """Δ (M,), 0 where there is none, and the largest |q| (M,)."""
    weight, rule = layer.weight, scheme.resolved_rule
    bits = np.full(layer.filters, scheme.bits or DEFAULT_BITS, np.int64)
    if widths is not None:
        bits = widths.astype(np.int64)
    if rule == "given":
        if given is None:
            raise WidthError(f"no step is given for layer '{layer.name}': add it, or name a rule")
        alive = rules.largest(weight) > 0
        if np.isnan(given[alive]).any():
            raise WidthError(f"layer '{layer.name}' is given no step for a filter with weights")
        steps = np.where(alive, given, 0.0)
    elif rule == "filter-sigma":
        steps = rules.filter_sigma(weight, scheme.alpha)
    elif rule in ("mse", "layer-mse"):
        search = rules.filter_mse if rule == "mse" else rules.layer_mse
        steps = search(weight, bits, scheme.keep_zeros)
    else:
        choose = {"layer-max": rules.layer_max, "filter-max": rules.filter_max, "aciq": rules.aciq}
        steps = choose[rule](weight, bits)
    if not np.isfinite(steps).all():
        raise not_finite(layer)
    if widths is None and scheme.nominal_bits is None:
        _check_unsaturated(layer, steps)
        bits = np.full(layer.filters, WIDEST, np.int64)
    steps = np.where((bits > 0) & (steps >= LEAST_STEP), steps, 0.0)
    return steps, np.where(steps > 0, (np.int64(1) << bits) - 1, 0)


def _check_unsaturated(layer: Layer, steps: Floats) -> None:
    """Refuse steps so small that codes would be wider than esnsim makes."""
    top = rules.largest(layer.weight)
    if not np.isfinite(top).all():
        raise not_finite(layer)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = np.where(steps > 0, top / steps, 0)
    if ratio.max(initial=0) >= 1 << WIDEST - 1:
        raise WidthError(
            f"layer '{layer.name}' needs codes of more than {WIDEST} bits at its step: "
            "give a larger step or alpha, or a width to saturate at"
        )


def _stored_steps(layer: Layer) -> Floats:
    """The scale of each filter, NaN where it changes within the filter (blocks)."""
    stored = layer.weight.codes
    assert stored is not None
    scale = np.asarray(stored.scale()).reshape(layer.filters, -1)
    low, high = scale.min(axis=1).astype(np.float64), scale.max(axis=1).astype(np.float64)
    if not np.isfinite(low + high).all():
        raise ModelError(
            f"layer '{layer.name}' has a scale that is NaN or infinite: mend the model"
        )
    return np.where((low == high) & (low > 0), low, np.nan)


def _notes(network: Network, scheme: Scheme) -> tuple[str, ...]:
    stored = sum(layer.weight.codes is not None for layer in network.layers)
    if not stored:
        return ()
    text = f"{stored} of {len(network.layers)} layers are quantised already: they keep their codes"
    if scheme.widths is not None or scheme.given_steps is not None or scheme.bits is not None:
        text += ", and the widths and steps given do not apply to them"
    return (text,)
