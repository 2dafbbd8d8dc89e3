"""The filters of one layer: refitted to the inputs that they get, and rounded for them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf, log10
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.round.codes import Problem
from esnsim.compression.round.moments import Moments
from esnsim.compression.round.refit import Factor, factor, ridge, target
from esnsim.compression.round.steps import BY_LAYER, Coded, coded, polished, tries
from esnsim.model.network import Array, Codes, Layer
from esnsim.quantization.filter_sums import Floats
from esnsim.quantization.quantizer import QuantizedLayer, codes

Group = tuple[slice, Moments]


def refitted(layer: Layer, moments: Sequence[Moments]) -> Array:
    """A pruned layer's weights (M, C/g, *kernel) refitted, on inputs of these `moments` a group."""
    own = flat(layer.weight.load())
    found = own.copy()
    for rows, each in _groups(layer, moments):
        by = factor(each.gram, ridge(each, pruned=True))
        if by is not None:
            found[rows] = target(own[rows], each, by)
    return found.reshape(layer.weight.shape)


class Compensated(NamedTuple):
    """A layer in codes, and the SQNR in dB at its output with nearest codes and with these."""

    layer: QuantizedLayer
    before: float
    after: float


def compensated(
    layer: QuantizedLayer, moments: Sequence[Moments], rule: str, pruned: bool
) -> Compensated:
    """A layer with codes that compensate, no filter wider than it was, none noisier at the output.

    Its inputs are of these `moments`, one for each group.
    """
    q = flat(codes(layer)).astype(np.int32)
    steps = np.where(layer.steps > 0, layer.steps, 1.0)
    limit = (np.int64(1) << layer.sums.width_code) - 1
    parts = [*problems(layer, moments, pruned)]
    found = [tries(problem, steps[rows], limit[rows], rule) for rows, _, problem in parts]
    signal = before = after = 0.0
    for chosen, (rows, lanes, problem) in zip(_best(found, rule), parts, strict=True):
        near = coded(problem, q[rows][:, lanes], steps[rows])
        better = polished(problem, chosen, limit[rows], rule)
        which = (better.noise < near.noise) & (limit[rows] > 0)
        if rule == BY_LAYER:
            which[:] = which.any() and better.noise.sum() < near.noise.sum()
        best = near.better(better, which)
        q[rows, lanes], steps[rows] = best.q, best.steps
        signal += problem.signal
        before += problem.signal + float(near.noise.sum())
        after += problem.signal + float(best.noise.sum())
    return Compensated(given(layer, q, steps), _decibels(signal, before), _decibels(signal, after))


def _decibels(signal: float, noise: float) -> float:
    return 10 * log10(signal / noise) if signal > 0 and noise > 0 else inf


def given(layer: QuantizedLayer, q: NDArray[np.int32], steps: Floats) -> QuantizedLayer:
    """The layer with codes q = 2·W_int (M, …) at steps (M,), which quantising again leaves."""
    weight = layer.layer.weight
    found, column = q.reshape(weight.shape), (-1, *[1] * (len(weight.shape) - 1))
    steps = np.where(steps > 0, steps, 1.0)
    scale = np.broadcast_to(steps.reshape(column), weight.shape)
    bits = int(layer.sums.width_code.max(initial=1))
    stored = Codes(bits, True, False, lambda: scale)
    with_codes = replace(weight, load=lambda: found, codes=stored)
    return replace(layer, layer=replace(layer.layer, weight=with_codes), steps=steps)


def problems(
    layer: QuantizedLayer, moments: Sequence[Moments], pruned: bool
) -> Iterator[tuple[slice, NDArray[np.bool_], Problem]]:
    """For each group its filters, the inputs that are alive, and what is to be solved."""
    own, channels = flat(layer.layer.weight.load()), layer.live.reshape(len(moments), -1)
    for (rows, every), alive in zip(_groups(layer.layer, moments), channels, strict=True):
        lanes = np.repeat(alive, own.shape[1] // len(alive))
        each = every.of(lanes)
        by = factor(each.gram, ridge(each, pruned))
        if by is not None:
            yield rows, lanes, _problem(own[rows][:, lanes], each, by, layer)


def _problem(own: Floats, moments: Moments, by: Factor, layer: QuantizedLayer) -> Problem:
    kept = (own == 0) & layer.keep_zeros
    aim = target(own, moments, by)
    return Problem(target=aim, pull=moments.pull, gram=moments.gram, kept=kept, factor=by)


def _best(found: Sequence[Coded], rule: str) -> list[Coded]:
    """Of each group's tries the best of each filter, or the one that is best for the layer."""
    places = [each.noise.argmin(axis=0) for each in found]
    if rule == BY_LAYER and found:
        total = sum(each.noise.sum(axis=1) for each in found)
        places = [np.full_like(place, np.argmin(total)) for place in places]
    return [each.best(place) for each, place in zip(found, places, strict=True)]


def _groups(layer: Layer, moments: Sequence[Moments]) -> list[Group]:
    """The filters of each group, and the moments of what they read."""
    size = layer.filters // len(moments)
    return [(slice(i * size, (i + 1) * size), each) for i, each in enumerate(moments)]


def flat(weights: Array) -> Floats:
    """Weights (M, …) as a matrix (M, K)."""
    return weights.reshape(len(weights), -1).astype(np.float64)
