"""Activations as integers: scales, quantisation, and calibration over a stream of batches."""

from dataclasses import dataclass
from math import frexp, ldexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError

WIDEST = 16  # bits
LEAST_SCALE = float(np.finfo(np.float32).tiny)  # scales above can divide in float32
BINS = 1 << 16  # of the histogram, on both sides of 0 together


@dataclass(frozen=True, slots=True)
class ActivationScale:
    """Integers of `bits` that stand for (integer − zero_point)·scale."""

    scale: float
    zero_point: int = 0
    bits: int = 8
    signed: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.scale < np.inf:
            raise UsageError(f"an activation scale of {self.scale}: give a positive number")
        if not 1 <= self.bits <= WIDEST:
            raise UsageError(f"activations of {self.bits} bits: give 1 to {WIDEST}")
        if not self.low <= self.zero_point <= self.high:
            raise UsageError(
                f"a zero point of {self.zero_point}: {self.bits} bits hold {self.low} to "
                f"{self.high}"
            )

    @property
    def low(self) -> int:
        """The smallest integer."""
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest integer."""
        return (1 << self.bits - int(self.signed)) - 1


def quantize(x: NDArray[Any], scale: ActivationScale) -> NDArray[Any]:
    """saturate(round half even(x / scale) + zero point), as QuantizeLinear; float32 or float64.

    Raises UsageError for NaN.
    """
    if np.isnan(x.min(initial=0)):
        raise UsageError("an activation is NaN: mend the model or its input")
    rounded: NDArray[Any] = x.astype(np.float64 if x.dtype == np.float64 else np.float32)
    with np.errstate(over="ignore"):
        rounded /= rounded.dtype.type(scale.scale)
    np.rint(rounded, out=rounded)
    rounded += scale.zero_point
    np.clip(rounded, scale.low, scale.high, out=rounded)
    return rounded.astype(f"{'' if scale.signed else 'u'}int{8 if scale.bits <= 8 else 16}")


class Calibration:
    """The range of a tensor, gathered batch by batch in bounded memory.

    Besides the smallest and largest value, a histogram of BINS bins whose width is a power of
    two: it doubles, and bins are merged in pairs, when a value falls outside. So the result does
    not depend on how the values are split into batches, and a percentile is exact to the width
    of a bin, at most 1/16384 of the largest magnitude.
    """

    def __init__(self) -> None:
        self._low, self._high = 0.0, 0.0
        self._counts = np.zeros(BINS, np.int64)
        self._exponent: int | None = None  # a bin is 2**exponent wide

    def add(self, values: NDArray[Any]) -> None:
        """Take in a batch. Raises UsageError for values that are not finite."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise UsageError("an activation is NaN or infinite: mend the model or its input")
        self._low, self._high = min(low, self._low), max(high, self._high)
        top = max(-self._low, self._high)
        if top > 0:
            self._widen(frexp(top)[1] - (BINS // 2).bit_length() + 1)
        if self._exponent is None:
            self._counts[BINS // 2] += values.size
        else:
            scaled = np.ldexp(values.astype(np.float64), -self._exponent)
            bins = np.floor(scaled).astype(np.int64) + BINS // 2
            self._counts += np.bincount(bins.ravel(), minlength=BINS)

    def scale(
        self, bits: int = 8, percentile: float | None = None, signed: bool = False
    ) -> ActivationScale:
        """The scale that covers the range, or the share `percentile` of values at either end.

        Unsigned with a zero point, the range stretched to hold 0; signed is symmetric, with zero
        point 0. A tensor of zeros has the scale 1, and one of subnormal numbers too.
        """
        low, high = self.range(percentile)
        if signed:
            step = max(-low, high) / ((1 << bits - 1) - 1 or 1)
            return ActivationScale(step if step > LEAST_SCALE else 1.0, 0, bits, True)
        step = (high - low) / ((1 << bits) - 1)
        if step <= LEAST_SCALE:
            return ActivationScale(1.0, 0, bits)
        return ActivationScale(step, round(-low / step), bits)

    def _widen(self, exponent: int) -> None:
        """Make bins at least 2**exponent wide."""
        if self._exponent is None:
            self._exponent = exponent  # so far all were 0, which lie in the same bin at any width
        while self._exponent < exponent:
            middle = BINS // 4
            merged = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts[:] = 0
            self._counts[middle : middle + BINS // 2] = merged
            self._exponent += 1

    def range(self, percentile: float | None = None) -> tuple[float, float]:
        """The smallest and largest value, stretched to hold 0, or the edges of a percentile."""
        if percentile is not None and not 50 < percentile <= 100:
            raise UsageError(f"a percentile of {percentile}: give more than 50 and at most 100")
        if percentile is None or self._exponent is None:
            return self._low, self._high
        below = np.cumsum(self._counts)
        allowed = int(round(below[-1] * (100 - percentile) / 100, 6))  # values outside
        first = int(np.searchsorted(below, allowed, "right"))
        last = int(np.searchsorted(below, below[-1] - allowed, "left"))
        low, high = (ldexp(edge - BINS // 2, self._exponent) for edge in (first, last + 1))
        return max(self._low, min(0.0, low)), min(self._high, max(0.0, high))
