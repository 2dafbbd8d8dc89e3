"""Analog-to-digital converters: ranges and energy; `esnsim_kernels.crossbar.convert` rounds."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError

ADC_RANGES = ("max", "granular", "calibrated")
WIDEST_ADC = 24  # bits
HISTOGRAM_BITS = 16  # of the sums that a range is calibrated from
EXACT = 1 << 51  # quotients of integers below are rounded right in float64

#: pJ by bits at 32 nm and 100 MS/s: the fit to Murmann's survey of converters by Andrulis et al.
#: 2024 (arXiv:2404.06553). Widths between are interpolated geometrically.
SURVEY = {4: 0.92, 6: 1.07, 8: 1.71, 9: 2.34, 10: 3.31, 12: 29.1}


#: Step·unit, unit, shift·unit, first and last code, whether steps are for each row in use.
Grid = tuple[float, float, float, int, int, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """Codes first … last, of which c stands for shift + c·step: 0 is one if there is no shift.

    In units of one cell at an input of 1; where `per_row`, for each row that is in use. Without
    codes it is ideal: what comes in goes out.
    """

    step: Fraction
    first: int
    last: int
    shift: Fraction = Fraction(0)
    per_row: bool = False

    def grid(self, rows: int, limit: float) -> Grid:
        """The codes as the kernel takes them, for sums up to `limit` of `rows` rows.

        Step, unit and shift are whole where float64 holds all integers that come up: of whole sums
        each then goes to the nearest code, those between two to the even one.
        """
        unit = lcm(self.step.denominator, self.shift.denominator)
        scale = rows if self.per_row else 1
        if unit * (limit + scale * (abs(self.shift) + self.step)) >= EXACT:
            unit = 1
        step, shift = float(self.step * unit), float(self.shift * unit)
        return step, float(unit), shift, self.first, self.last, self.per_row


IDEAL = Converter(step=Fraction(1), first=0, last=-1)


def spanning(
    low: Fraction, high: Fraction, bits: int, zero_level: bool, per_row: bool = False
) -> Converter:
    """2^bits codes from low to high, moved by half a step at most if one is to be 0.

    A range with such a code is stretched to hold 0, and an empty one to one cell. Of −x to x the
    codes are those of two's complement.
    """
    if zero_level:
        low, high = min(low, Fraction(0)), max(high, Fraction(0))
    levels = (1 << bits) - 1
    step = ((high - low) or Fraction(1)) / levels
    if not zero_level:
        return Converter(step=step, first=0, last=levels, shift=low, per_row=per_row)
    first = round(low / step)
    return Converter(step=step, first=first, last=first + levels, per_row=per_row)


def granular(bits: int, signed: bool) -> Converter:
    """A converter whose step is that of a single cell, and which saturates."""
    first = -(1 << bits - 1) if signed else 0
    return Converter(step=Fraction(1), first=first, last=first + (1 << bits) - 1)


def bins(limit: float) -> Converter:
    """What sums of −limit to limit are counted by: at most 2^HISTOGRAM_BITS whole numbers."""
    width = max(1, ceil(limit / (1 << HISTOGRAM_BITS - 1)))
    most = ceil(limit / width)
    return Converter(step=Fraction(width), first=-most, last=most)


def observed(histogram: NDArray[np.int64], counted: Converter, percentile: float) -> list[Fraction]:
    """The sums at percentiles 100 − p and p of those that a histogram has `counted`."""
    rank = np.cumsum(histogram)
    outside = int(rank[-1] * (100 - Fraction(str(percentile))) // 100)
    low = int(np.searchsorted(rank, outside, "right"))
    high = int(np.searchsorted(rank, rank[-1] - outside, "left"))
    return [counted.step * (counted.first + place) for place in (low, high)]


def conversion_energy(law: str, bits: int | str | None, e_adc: float, vdd: float) -> float:
    """Energy of a conversion in pJ.

    `fixed` is e_adc; `scaled` doubles with each bit from e_adc at 8; `capacitive` is
    (100 fF·b + 1 aF·4^b)·VDD² (capacitor arrays and their logic; ZigZag's); `survey` see SURVEY.
    Raises UsageError for an ideal converter, and bits that the survey does not cover.
    """
    if bits is None or isinstance(bits, str):
        raise UsageError(
            "an ideal converter has no energy: give adc_bits, or leave converters out of the energy"
        )
    return ADC_LAWS[law](bits, e_adc, vdd)


def _surveyed(bits: int) -> float:
    if not min(SURVEY) <= bits <= max(SURVEY):
        raise UsageError(f"the survey of converters covers 4 to 12 bits, not {bits}")
    return float(np.exp(np.interp(bits, list(SURVEY), np.log(list(SURVEY.values())))))


#: Law -> pJ of a conversion, from its bits, e_adc and VDD.
ADC_LAWS: dict[str, Callable[[int, float, float], float]] = {
    "fixed": lambda bits, e_adc, vdd: e_adc,
    "scaled": lambda bits, e_adc, vdd: e_adc * 2.0 ** (bits - 8),
    "capacitive": lambda bits, e_adc, vdd: (0.1 * bits + 1e-6 * 4.0**bits) * vdd**2,
    "survey": lambda bits, e_adc, vdd: _surveyed(bits),
}
