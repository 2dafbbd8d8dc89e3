"""Midrise codes from Appendix A of the paper, a weight at a time."""

from collections.abc import Sequence
from fractions import Fraction
from math import floor


def code(weight: float, step: float, limit: int, keep_zeros: bool) -> int:
    """q = 2·W_int, W_int = floor(w/Δ) + ½ with w/Δ in float64, saturated at ±limit."""
    if limit == 0 or (keep_zeros and weight == 0):
        return 0
    ratio = weight / step
    if abs(ratio) > limit:  # also where it is infinite
        return limit if ratio > 0 else -limit
    return max(-limit, min(2 * floor(ratio) + 1, limit))


def pruned(weights: Sequence[float], step: float) -> bool:
    """Whether all |w| < Δ/2."""
    return all(abs(Fraction(w)) < Fraction(step) / 2 for w in weights)


def codes(weights: Sequence[float], step: float, limit: int, keep_zeros: bool) -> list[int]:
    """The codes of a filter, all 0 if it is pruned."""
    if pruned(weights, step):
        return [0] * len(weights)
    return [code(w, step, limit, keep_zeros) for w in weights]


def counts(weights: Sequence[float], step: float, limit: int, keep_zeros: bool) -> list[int]:
    """max |q|, Σ q², Σ bits(q), number of |q| = 1, of q ≠ 0, of w ≠ 0."""
    q = codes(weights, step, limit, keep_zeros)
    return [
        max((abs(v) for v in q), default=0),
        sum(v * v for v in q),
        sum(bits(v) for v in q),
        sum(abs(v) == 1 for v in q),
        sum(v != 0 for v in q),
        sum(w != 0 for w in weights),
    ]


def energies(weights: Sequence[float], step: float, q: Sequence[int]) -> tuple[Fraction, Fraction]:
    """Σ w² and Σ (w − Δ·q/2)², exactly."""
    errors = [Fraction(w) - Fraction(step) * v / 2 for w, v in zip(weights, q, strict=True)]
    return sum((Fraction(w) ** 2 for w in weights), Fraction()), sum(
        (e * e for e in errors), Fraction()
    )


def bits(q: int) -> int:
    """Width of a midrise code: the b whose levels are ±½ … ±(2^b − 1)/2; 0 for no code."""
    b = 0
    while q and abs(q) > 2**b - 1:
        b += 1
    return b


def paper_bits(q: int) -> int:
    """⌈log2|W_int| + 1⌉ = ⌈log2|q|⌉ of Eq. 3: the least n with |q| ≤ 2^n; 0 for no code."""
    n = 0
    while abs(q) > 2**n:
        n += 1
    return n
