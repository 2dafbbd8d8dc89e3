"""Analog-to-digital converters: what range they cover, and what a conversion takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError

ADC_RANGES = ("max", "granular", "calibrated")
ADC_LAWS = ("fixed", "scaled", "capacitive", "survey")
WIDEST_ADC = 24  # bits
HISTOGRAM_BITS = 16  # of the converter whose readings a range is calibrated from

#: pJ by bits at 32 nm and 100 MS/s: the fit to Murmann's survey of converters by Andrulis et al.
#: 2024 (arXiv:2404.06553). Widths between are interpolated geometrically.
SURVEY = {4: 0.92, 6: 1.07, 8: 1.71, 9: 2.34, 10: 3.31, 12: 29.1}


@dataclass(frozen=True, slots=True)
class Converter:
    """Levels low, low + step, … low + levels·step, in units of one cell at one input.

    With 0 levels it is ideal: what comes in goes out.
    """

    low: float
    step: float
    levels: int


IDEAL = Converter(0.0, 1.0, 0)


def spanning(low: float, high: float, bits: int) -> Converter:
    """A converter of 2^bits levels from low to high."""
    levels = (1 << bits) - 1
    return Converter(low, (high - low) / levels, levels)


def granular(bits: int, signed: bool) -> Converter:
    """A converter that tells single cells apart, and saturates."""
    return Converter(-(1 << bits - 1) if signed else 0.0, 1.0, (1 << bits) - 1)


def observed(
    histogram: NDArray[np.int64], levels: Converter, percentile: float, bits: int
) -> Converter:
    """A converter from percentile 100 − p to p of sums, counted by the levels they were next to."""
    rank = np.cumsum(histogram)
    first = int(np.searchsorted(rank, (1 - percentile / 100) * rank[-1], "right"))
    last = int(np.searchsorted(rank, percentile / 100 * rank[-1], "left"))
    low = levels.low + levels.step * first
    return spanning(low, levels.low + levels.step * max(last, first + 1), bits)


def conversion_energy(law: str, bits: int | None, e_adc: float, vdd: float) -> float:
    """Energy of a conversion in pJ.

    `fixed` is e_adc; `scaled` doubles with each bit from e_adc at 8; `capacitive` is
    (100 fF·b + 1 aF·4^b)·VDD² (capacitor arrays and their logic; ZigZag's); `survey` see SURVEY.
    Raises UsageError for an ideal converter, and bits that the survey does not cover.
    """
    if bits is None:
        raise UsageError(
            "an ideal converter has no energy: give adc_bits, or leave converters out of the energy"
        )
    if law == "fixed":
        return e_adc
    if law == "scaled":
        return e_adc * 2.0 ** (bits - 8)
    if law == "capacitive":
        return (0.1 * bits + 1e-6 * 4.0**bits) * vdd**2
    if not min(SURVEY) <= bits <= max(SURVEY):
        raise UsageError(f"the survey of converters covers 4 to 12 bits, not {bits}")
    return float(np.exp(np.interp(bits, list(SURVEY), np.log(list(SURVEY.values())))))
