"""Step rules: the quantisation step Δ of each filter, from its weights and its width.

A new one is a function and its entry in RULES: commands, their help and Scheme take it from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, exp, pi, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from esnsim.model.network import Weight
from esnsim.quantization import weight_kernels as passes
from esnsim.quantization.blocks import Matrix, each_filters

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TINIEST = np.nextafter(0, 1)
GRID = 1 << 16  # steps of all filters of a block that are tried at once
SEARCHED = 1 << 13  # weights times steps an octave, that a search of a step of least error tries


def layer_max(weight: Weight, bits: Ints) -> Floats:
    """Δ_l = 2·max|W_l| / 2^b for all filters, b the widest width in the layer."""
    top = largest(weight).max(initial=0)
    return np.full(len(bits), _step(top, bits.max(initial=0)))


def filter_max(weight: Weight, bits: Ints) -> Floats:
    """Δ_m = 2·max|W_m| / 2^b_m."""
    return _step(largest(weight), bits)


def filter_sigma(weight: Weight, alpha: float) -> Floats:
    """Δ_m = α·σ_m, σ_m the root mean square of the filter.

    A reconstruction of the "distribution-based filter-wise quantization step" of Sasaki et al.
    2019 (doi:10.1109/CoolChips.2019.8721356), whose text we do not have.
    """
    per_filter = weight.size // weight.shape[0]
    return alpha * np.sqrt(moments(weight)[:, 1] / per_filter)


def aciq(weight: Weight, bits: Ints) -> Floats:
    """Analytical clipping of Banner et al. 2018 (arXiv:1810.05723), Laplace or Gauss by likelihood.

    The clipping value is the optimum for the distribution of mean 0 (the codes have no offset)
    that fits, at most the filter's largest weight; the 2^b levels divide the clipped range.
    """
    sums = moments(weight) / (weight.size // weight.shape[0])
    scale, sigma = sums[:, 0], np.sqrt(sums[:, 1])
    with np.errstate(divide="ignore"):
        laplace = -np.log(2 * scale) - 1
        gauss = -np.log(sqrt(2 * pi) * sigma) - 0.5
    clip = np.where(
        laplace > gauss,
        scale * _per_width(bits, laplace_clip),
        sigma * _per_width(bits, gauss_clip),
    )
    top = largest(weight)
    return _step(np.where(clip > 0, np.minimum(clip, top), top), bits)


def filter_mse(weight: Weight, bits: Ints, keep_zeros: bool) -> Floats:
    """The Δ_m that minimises ‖W_m − Δ_m·W_int‖²."""
    steps = np.ones(len(bits))
    tops = largest(weight)

    def search(rows: slice, block: Matrix) -> None:
        def sums(step: Floats, factors: Floats) -> Floats:
            return _correlate(block, step, factors, _limit(bits[rows]), keep_zeros)

        steps[rows] = _least(sums, _step(tops[rows], bits[rows]), block.shape[1])

    each_filters(weight, search)
    return steps


def layer_mse(weight: Weight, bits: Ints, keep_zeros: bool) -> Floats:
    """The Δ_l that minimises ‖W_l − Δ_l·W_int‖², one for all filters."""

    def sums(step: Floats, factors: Floats) -> Floats:
        out = np.zeros((len(bits), len(factors), 2))

        def add(rows: slice, block: Matrix) -> None:
            same = np.repeat(step, len(block))
            out[rows] = _correlate(block, same, factors, _limit(bits[rows]), keep_zeros)

        each_filters(weight, add)
        return np.asarray(out.sum(axis=0, keepdims=True))

    return np.full(len(bits), _least(sums, layer_max(weight, bits)[:1], weight.size)[0])


def largest(weight: Weight) -> Floats:
    """max|W_m| of each filter."""
    out = np.empty(weight.shape[0])
    each_filters(weight, lambda rows, block: passes.largest(block, out[rows]))
    return out


def moments(weight: Weight) -> Floats:
    """(M, 2): Σ |w|, Σ w² of each filter."""
    out = np.empty((weight.shape[0], 2))
    each_filters(weight, lambda rows, block: passes.moments(block, out[rows]))
    return out


def laplace_clip(bits: int) -> float:
    """Optimal clipping value in units of E|w|: the root of x·e^x = 3·4^b (Lambert W)."""
    return _root(lambda x: x * exp(x) - 3 * 4.0**bits, 0, 40)


def gauss_clip(bits: int) -> float:
    """Optimal clipping value in units of σ: where the derivative of the error vanishes."""

    def slope(x: float) -> float:
        tail = x * (1 - erf(x / sqrt(2))) - sqrt(2 / pi) * exp(-x * x / 2)
        return tail + x / (3 * 4.0**bits)

    return _root(slope, 0, 40)


def _per_width(bits: Ints, clip: Callable[[int], float]) -> Floats:
    table = {b: clip(b) for b in set(bits.tolist())}
    return np.array([table[b] for b in bits.tolist()])


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return (low + high) / 2


def _step(top: Floats | float, bits: Ints | int) -> Floats:
    step = 2 * np.asarray(top, np.float64) / 2.0 ** np.asarray(bits)
    return np.where(np.asarray(top) > 0, np.maximum(step, TINIEST), 0.0)


def _limit(bits: Ints) -> Ints:
    return (np.int64(1) << bits) - 1


def _correlate(
    block: Matrix, step: Floats, factors: Floats, limit: Ints, keep_zeros: bool
) -> Floats:
    """(M, F, 2): Σ w·q, Σ q² at each multiple of a filter's step; a step of 0 stands for none."""
    out = np.empty((len(block), len(factors), 2))
    passes.midrise().correlation(
        block, np.where(step > 0, step, 1.0), factors, limit, keep_zeros, out
    )
    return out


def _least(sums: Callable[[Floats, Floats], Floats], start: Floats, size: int) -> Floats:
    """The steps of least error: a grid around `start`, a finer one, then rounds of coding.

    `sums` gives Σ w·q, Σ q² of the codes at multiples of each step. `size` weights share a step:
    the fewer they are, the more the error jumps about.
    """
    fine = min(max(8, SEARCHED // size), 256)
    octaves = np.arange(fine, -7 * fine - 1, -1) / fine
    near = np.arange(-15, 16) / (16 * fine)
    step, best = start, np.zeros(len(start))
    at_once = max(1, GRID // len(start))
    for exponents in (octaves, near):
        centre, factors = step, 2.0**exponents
        for first in range(0, len(factors), at_once):
            step, best = _better(sums(centre, factors[first : first + at_once]), step, best)
    for _ in range(8):
        before = best
        step, best = _better(sums(step, np.ones(1)), step, best)
        if (best == before).all():  # the codes are those of the step, and so will they be
            break
    return step


def _better(sums: Floats, step: Floats, best: Floats) -> tuple[Floats, Floats]:
    """The best step for the codes of `sums`, and (Σ w·q)²/Σ q², where that is above `best`.

    For fixed codes the error is least at Δ = 2·Σ w·q/Σ q², and is Σ w² − (Σ w·q)²/Σ q² there.
    """
    with np.errstate(all="ignore"):  # 0/0 where nothing is coded, and then nothing is better
        scale = sums[..., 0] / sums[..., 1]
        explained = sums[..., 0] * scale
    explained[np.isnan(explained)] = 0.0
    top = explained.argmax(axis=1)[:, None]
    found, scale = (np.take_along_axis(a, top, axis=1)[:, 0] for a in (explained, scale))
    return np.where(found > best, 2 * scale, step), np.maximum(found, best)


class Options(Protocol):
    """What a rule may look at besides weights and widths; a Scheme has it."""

    @property
    def alpha(self) -> float:
        """The step in σ."""

    @property
    def keep_zeros(self) -> bool:
        """Whether weights of exactly 0 stay 0."""


@dataclass(frozen=True, slots=True)
class StepRule:
    """`steps` gives Δ (M,), 0 where there is none, of a weight at widths (M,).

    `by_filter`: a filter's step depends on its own weights and width alone, so widths can be
    allocated under it. `gives_widths`: the rule looks at no width; codes are as wide as its steps
    make them, and saturate where a width is given too.
    """

    steps: Callable[[Weight, Ints, Options], Floats]
    by_filter: bool = False
    gives_widths: bool = False


RULES: dict[str, StepRule] = {
    "layer-max": StepRule(lambda weight, bits, _: layer_max(weight, bits)),
    "filter-max": StepRule(lambda weight, bits, _: filter_max(weight, bits), by_filter=True),
    "filter-sigma": StepRule(
        lambda weight, _, options: filter_sigma(weight, options.alpha), gives_widths=True
    ),
    "mse": StepRule(
        lambda weight, bits, options: filter_mse(weight, bits, options.keep_zeros), by_filter=True
    ),
    "layer-mse": StepRule(
        lambda weight, bits, options: layer_mse(weight, bits, options.keep_zeros)
    ),
    "aciq": StepRule(lambda weight, bits, _: aciq(weight, bits), by_filter=True),
}
