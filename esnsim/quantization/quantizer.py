"""Codes: Network -> QuantizedNetwork (Appendix A of the paper, docs/equations.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import ModelError, WidthError
from esnsim.model.liveness import Liveness
from esnsim.model.network import Codes, Layer, Mask, Network, Weight
from esnsim.quantization.blocks import Matrix, each_filters
from esnsim.quantization.filter_sums import (
    FilterSums,
    Floats,
    Ints,
    midrise_sums,
    not_finite,
    stored_sums,
)
from esnsim.quantization.rules import RULES, largest
from esnsim.quantization.scheme import DEFAULT_BITS, GIVEN, LEAST_STEP, WIDEST, Scheme, assign
from esnsim.quantization.weight_kernels import load_fused, midrise

TWIN_WEIGHTS = 1 << 24  # weights that are compared with others, in memory
HELD_WEIGHTS = 1 << 22  # weights of a layer that are read once for all passes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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


@dataclass(frozen=True, slots=True, eq=False)
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
    scheme = Scheme() if scheme is None else scheme
    if not isinstance(scheme, Scheme):
        raise WidthError(f"a {type(scheme).__name__} is no scheme: give Scheme(bits=4) or the like")
    load_fused(sum(layer.weight.size for layer in network.layers))
    widths = assign(network, scheme.widths, "width")
    given = assign(network, scheme.given_steps, "step")
    liveness, done, twins = Liveness(network), list[QuantizedLayer](), _twins(network)

    def alike(index: int, twin: int, live: Mask) -> bool:
        """Whether a layer's codes are those of one before, whose weights are the same."""
        asked = ((values[index], values[twin]) for values in (widths, given))
        return (
            twin < index
            and np.array_equal(done[twin].live, live)
            and all(np.array_equal(np.asarray(one), np.asarray(two)) for one, two in asked)
        )

    for index, (layer, twin) in enumerate(zip(network.layers, twins, strict=True)):
        watch(layer)
        live = liveness.channels(layer)
        if layer.weight.codes is not None:
            found = _stored(layer, live, layer.weight.codes)
        elif alike(index, twin, live):
            found = replace(done[twin], layer=layer)
        else:
            found = _coded(layer, live, scheme, widths[index], given[index])
        liveness.decide(layer, found.sums.width_code > 0)
        done.append(found)
    return QuantizedNetwork(network, scheme, tuple(done), _notes(network, scheme, widths))


def _twins(network: Network) -> list[int]:
    """The first layer that has the same weights as each: shared ones are quantised once."""
    found: list[int] = []
    first: dict[tuple[object, ...], list[int]] = {}
    for index, layer in enumerate(network.layers):
        weight = layer.weight
        own = weight.codes is not None or weight.gain is not None or weight.size > TWIN_WEIGHTS
        key = index if own else weight.origin, weight.shape, layer.geometry.groups
        others = first.setdefault(key, [])  # the same tensor may be transposed in one of them
        same = (i for i in others if np.array_equal(network.layers[i].weight.load(), weight.load()))
        found.append(next(same, index))
        if found[-1] == index:
            others.append(index)
    return found


def _stored(layer: Layer, live: Mask, stored: Codes) -> QuantizedLayer:
    """A layer with the codes that its file has."""
    sums = stored_sums(layer, live, stored)
    limit = np.zeros(layer.filters, np.int64)
    return QuantizedLayer(
        layer=layer,
        steps=_stored_steps(layer, stored),
        limit=limit,
        keep_zeros=True,
        live=live,
        sums=sums,
    )


def _coded(
    layer: Layer, live: Mask, scheme: Scheme, widths: Floats | None, given: Floats | None
) -> QuantizedLayer:
    """A layer with the codes of its floats."""
    held = replace(layer, weight=_held(layer.weight))
    steps, limit = _steps(held, scheme, widths, given)
    sums = midrise_sums(held, live, np.where(steps > 0, steps, 1.0), limit, scheme.keep_zeros)
    steps = np.where(steps > 0, steps, np.nan)
    return QuantizedLayer(
        layer=layer, steps=steps, limit=limit, keep_zeros=scheme.keep_zeros, live=live, sums=sums
    )


def _held(weight: Weight) -> Weight:
    """The weight in memory, where it is small enough: step and codes are two passes over it."""
    if weight.size > HELD_WEIGHTS:
        return weight
    values = weight.load()
    return replace(weight, load=lambda: values)


def codes(quantized: QuantizedLayer) -> NDArray[np.int32]:
    """The integers of a layer (M, C/g, *kernel): odd q = 2·W_int, or W_int where not midrise.

    Weights that read dead channels are coded as if they were live, but keep no filter alive.
    """
    layer, weight = quantized.layer, quantized.layer.weight
    out = np.empty((layer.filters, weight.size // layer.filters), np.int32)
    steps, limit = np.where(quantized.steps > 0, quantized.steps, 1.0), quantized.limit

    def fill(rows: slice, block: Matrix) -> None:
        if weight.codes is not None:
            out[rows] = block
        else:
            midrise().codes(block, steps[rows], limit[rows], quantized.keep_zeros, out[rows])

    each_filters(weight, fill)
    out = out.reshape(weight.shape)
    live = quantized.live.reshape(layer.geometry.groups, -1)
    live = np.repeat(live, layer.filters // len(live), axis=0)
    out[(quantized.sums.width_code == 0)[:, None] & live] = 0
    return out


def _steps(
    layer: Layer, scheme: Scheme, widths: Floats | None, given: Floats | None
) -> tuple[Floats, Ints]:
    """Δ (M,), 0 where there is none, and the largest |q| (M,)."""
    weight, rule = layer.weight, scheme.resolved_rule
    bits = np.full(layer.filters, scheme.bits or DEFAULT_BITS, np.int64)
    if widths is not None:
        bits = widths.astype(np.int64)
    steps = _given_steps(layer, given) if rule == GIVEN else RULES[rule].steps(weight, bits, scheme)
    if not np.isfinite(steps).all():
        raise not_finite(layer)
    if widths is None and scheme.nominal_bits is None:
        _check_unsaturated(layer, steps)
        bits = np.full(layer.filters, WIDEST, np.int64)
    steps = np.where((bits > 0) & (steps >= LEAST_STEP), steps, 0.0)
    return steps, np.where(steps > 0, (np.int64(1) << bits) - 1, 0)


def _given_steps(layer: Layer, given: Floats | None) -> Floats:
    """The steps handed in, 0 for filters without weights."""
    if given is None:
        raise WidthError(f"no step is given for layer '{layer.name}': add it, or name a rule")
    alive = largest(layer.weight) > 0
    if np.isnan(given[alive]).any():
        raise WidthError(f"layer '{layer.name}' is given no step for a filter with weights")
    return np.where(alive, given, 0.0)


def _check_unsaturated(layer: Layer, steps: Floats) -> None:
    """Refuse steps so small that codes would be wider than esnsim makes."""
    top = largest(layer.weight)
    if not np.isfinite(top).all():
        raise not_finite(layer)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = np.where(steps > 0, top / steps, 0)
    if ratio.max(initial=0) >= 1 << WIDEST - 1:
        raise WidthError(
            f"layer '{layer.name}' needs codes of more than {WIDEST} bits at its step: "
            "give a larger step or alpha, or a width to saturate at"
        )


def _stored_steps(layer: Layer, stored: Codes) -> Floats:
    """The scale of each filter, NaN where it changes within the filter (blocks)."""
    scale = np.asarray(stored.scale()).reshape(layer.filters, -1)
    low, high = scale.min(axis=1).astype(np.float64), scale.max(axis=1).astype(np.float64)
    if not np.isfinite(low + high).all():
        raise ModelError(
            f"layer '{layer.name}' has a scale that is NaN or infinite: mend the model"
        )
    return np.where((low == high) & (low > 0), low, np.nan)


def _notes(network: Network, scheme: Scheme, widths: Sequence[Floats | None]) -> tuple[str, ...]:
    stored = sum(layer.weight.codes is not None for layer in network.layers)
    floats = [w for w, x in zip(widths, network.layers, strict=True) if x.weight.codes is None]
    left = sum(each is None for each in floats)
    partial = (
        f"{left} of {len(floats)} layers are given no width: they have "
        f"{scheme.bits or DEFAULT_BITS} bits",
    )
    return (partial if 0 < left < len(floats) else ()) + _kept(network, scheme, stored)


def _kept(network: Network, scheme: Scheme, stored: int) -> tuple[str, ...]:
    if not stored:
        return ()
    text = f"{stored} of {len(network.layers)} layers are quantised already: they keep their codes"
    if scheme.widths is not None or scheme.given_steps is not None or scheme.bits is not None:
        text += ", and the widths and steps given do not apply to them"
    return (text,)
