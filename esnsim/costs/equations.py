"""The closed-form metrics: one function an equation, exact integers (docs/equations.md)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from esnsim.quantization.filter_sums import FilterSums, Ints

Energy = Callable[[int, int], float]
WidthRule = Literal["code", "paper"]
WIDTHS = range(1, 17)
TYPES = (4, 8, 16)  # bits of the integers that DequantizeLinear takes
ROUNDING = 2.0**-53  # relative error of a float64


@dataclass(frozen=True, slots=True)
class Width:
    """What a reading of the width of a code gives: Σ bits of weights, and b_m of filters, (M,).

    `other` is the one that reports compare it with.
    """

    bits: Callable[[FilterSums], Ints]
    widths: Callable[[FilterSums], Ints]
    other: WidthRule


#: The width of ±½ is 1 bit, as of any code, or 0, as Eq. 3 has it (docs/equations.md).
WIDTH_RULES: dict[WidthRule, Width] = {
    "code": Width(lambda sums: sums.bits_code, lambda sums: sums.width_code, "paper"),
    "paper": Width(lambda sums: sums.bits_paper, lambda sums: sums.width_paper, "code"),
}


def esn_a_x4(sums: FilterSums) -> int:
    """Eq. 2, four times: Σ (2·W_int)²."""
    return int(sums.squares_x4.sum())


def esn_d(sums: FilterSums, width: WidthRule) -> int:
    """Eq. 3: Σ bits(W_int), each weight by its own width."""
    return int(WIDTH_RULES[width].bits(sums).sum())


def esn_d_tilde(sums: FilterSums, width: WidthRule) -> int:
    """Eq. 7 for c = 1: Σ_m weights_m · b_m, each filter by its widest weight."""
    return int((sums.weights * widths(sums, width)).sum())


def mac_bits_layerwise(sums: FilterSums, width: WidthRule) -> int:
    """For c = 1: every unpruned filter charged the widest of its layer."""
    alive = sums.weights[sums.width_code > 0]
    return int(alive.sum()) * int(widths(sums, width).max(initial=0))


def stored_bits(sums: FilterSums, stored: int | None) -> int:
    """Bits of the live weights of unpruned filters, in a stored type or the narrowest of ONNX."""
    types = np.select([sums.width_code <= most for most in TYPES], TYPES, TYPES[-1])
    bits = types if stored is None else stored
    return int((sums.weights * (sums.width_code > 0) * bits).sum())


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


def uniform_x4(bits: int) -> tuple[int, int]:
    """Eq. 6: 4·ESNa = (2·v)² and ESNd = b of a weight of b bits and the largest amplitude
    v = (2^b − 1)/2; both are linear in the number of weights.
    """
    return (2**bits - 1) ** 2, bits


def uniform_crossing(one: Energy, other: Energy) -> int | None:
    """Eq. 6: the least width of which `other` takes more energy than `one`, None where none does.

    All weights have the largest amplitude; energies are of 4·ESNa and ESNd.
    """
    pairs = ((bits, uniform_x4(bits)) for bits in WIDTHS)
    return next((bits for bits, amount in pairs if other(*amount) > one(*amount)), None)


def step_from_noise(noise: float, nonzero: int) -> float:
    """Eq. 10: the step whose uniform noise has the mean square N = noise/‖W‖₀, Δ² = 12·N."""
    return float(np.sqrt(12 * noise / nonzero)) if nonzero else 0.0


def widths(sums: FilterSums, width: WidthRule) -> Ints:
    """b_m of each filter (M,) under a width rule."""
    return WIDTH_RULES[width].widths(sums)
