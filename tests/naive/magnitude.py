"""Magnitudes of a filter, exactly."""

from collections.abc import Sequence
from fractions import Fraction


def largest(weights: Sequence[float]) -> float:
    """max |w|."""
    return max(abs(w) for w in weights)


def moments(weights: Sequence[float]) -> tuple[Fraction, Fraction]:
    """Σ |w|, Σ w²."""
    return (
        sum((abs(Fraction(w)) for w in weights), Fraction()),
        sum((Fraction(w) ** 2 for w in weights), Fraction()),
    )
