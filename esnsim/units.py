"""Quantities as people write and read them: SI prefixes, energies, clocks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan

from esnsim.errors import UsageError

PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
JOULES = {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3, "µJ": 1e6, "mJ": 1e9, "J": 1e12}  # in pJ
PICOJOULES = {"a": 1e-6, "f": 1e-3, "p": 1.0, "n": 1e3, "u": 1e6, "µ": 1e6, "m": 1e9, "": 1e12}
BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
HERTZ = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
NUMBER = r"(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)"


@dataclass(frozen=True, slots=True)
class Energy:
    """An energy in pJ, or in normalised units."""

    amount: float
    picojoules: bool


def read_energy(text: str) -> Energy:
    """An energy such as 50fJ in any case, or a plain number in normalised units.

    Raises UsageError.
    """
    found = re.fullmatch(NUMBER + r"\s*(?:([afpnuµm]?)j)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise UsageError(f"'{text}' is no energy: give 50fJ, 0.3pJ, or a plain number")
    if found[2] is None:
        return Energy(float(found[1]), False)
    return Energy(float(found[1]) * PICOJOULES[found[2].lower()], True)


def read_frequency(text: str) -> float:
    """A clock such as 500MHz, in any case, in Hz. Raises UsageError."""
    clock = _scaled(text, "hz", HERTZ)
    if not 0 < clock < inf:
        raise UsageError(f"'{text}' is no clock: give 500MHz or 1GHz")
    return clock


def read_bytes(text: str) -> int:
    """A size such as 64KB (1,024 bytes each), in any case. Raises UsageError."""
    size = _scaled(text, "i?b", BYTES)
    if not size < inf or size != int(size):
        raise UsageError(f"'{text}' is no size: give bytes as 64KB or 2MB")
    return int(size)


def read_rate(text: str) -> float:
    """Bytes a second as 12.8GB/s (10^9 each), in any case. Raises UsageError."""
    rate = _scaled(text, "b/s", HERTZ)
    if not 0 < rate < inf:
        raise UsageError(f"'{text}' is no rate: give 12.8GB/s")
    return rate


def _scaled(text: str, unit: str, scales: Mapping[str, float]) -> float:
    """A number with a prefix and a unit (a pattern) in any case, NaN where the text is none."""
    found = re.fullmatch(NUMBER + rf"\s*([kmg]?){unit}", text.strip(), re.IGNORECASE)
    return float(found[1]) * scales[found[2].lower()] if found else nan


def read_share(text: str) -> float:
    """A share such as 0.25 or 25%. Raises ValueError."""
    number = text.strip().removesuffix("%")
    return float(number) / (1 if number == text.strip() else 100)


@dataclass(frozen=True, slots=True)
class Digits:
    """How numbers are printed: three digits and a prefix, or all of them."""

    all_digits: bool = False

    def number(self, value: float) -> str:
        """41.1M, or 41,102,336."""
        return exact(value) if self.all_digits else human(value)

    def energy(self, amount: float, picojoules: bool) -> str:
        """Joules, or a number where energies are normalised."""
        if not picojoules:
            return self.number(amount)
        return f"{exact(amount)} pJ" if self.all_digits else joules(amount)


def human(value: float) -> str:
    """Three significant digits and an SI prefix, as options take them: 41.1M."""
    rounded = float(f"{value:.3g}")  # 999,999 is 1.00M and not 1000k
    prefix, scale = next(p for p in reversed(PREFIXES.items()) if rounded >= p[1] or p[1] == 1)
    if scale == 1 and rounded == int(rounded):
        return str(int(rounded))
    return f"{_three(rounded / scale)}{prefix}"


def joules(picojoules: float) -> str:
    """Three significant digits of an energy in pJ, in the SI unit that suits it: 12.1 µJ."""
    if not picojoules:
        return "0 J"
    rounded = float(f"{picojoules:.3g}")
    units = reversed(JOULES.items())
    unit, scale = next((u for u in units if rounded >= u[1]), ("fJ", JOULES["fJ"]))
    scaled = rounded / scale
    return f"{_three(scaled) if scaled >= 1 else f'{scaled:.3g}'} {unit}"


def _three(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def exact(value: float) -> str:
    """All digits, with thousands separators."""
    return f"{int(value):,}" if value == int(value) else f"{value:,.2f}"


def megabytes(count: int) -> str:
    """A size of a file: 1.2 MB."""
    return f"{count / 1e6:.1f} MB"


def percent(part: float, whole: float) -> str:
    """A share with one decimal: 12.3%."""
    return f"{100 * part / whole:.1f}%" if whole else "0.0%"


def rounded_up(value: float) -> str:
    """Ten digits, rounded up: the least budget that a message names is one that can be given."""
    from decimal import ROUND_CEILING, Context

    return f"{Context(prec=10, rounding=ROUND_CEILING).create_decimal(float(value)):,f}"
