"""Values of options: text in, value out. Each raises ArgumentTypeError that says what to give."""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar

from esnsim.costs.metric import METRICS
from esnsim.errors import UsageError
from esnsim.units import PICOJOULES, PREFIXES, Energy, read_energy, read_frequency, read_share

T = TypeVar("T")

FILES = (".json", ".csv", ".npz")
ALONE = "filter-wise"  # --bits-per-filter without a value


def offered(table: Mapping[str, Any]) -> str:
    """The entries of a table in a help text, each with its own."""
    return "; ".join(f"{name}: {entry.help}" for name, entry in table.items()).replace("%", "%%")


def add_choice(
    group: Any, option: str, table: Mapping[str, Any], default: str | None, what: str
) -> None:
    """Add an option whose value is an entry of a table, which the help explains."""
    group.add_argument(
        option, choices=list(table), default=default, help=f"{what}: {offered(table)}"
    )


def widths(text: str) -> int | Path | str:
    """A width, a file of widths, or ALONE."""
    if text == ALONE:
        return text
    if text.lower().endswith(FILES):
        return Path(text)
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(
            f"'{text}' is neither a whole number nor a {', '.join(FILES)} file"
        ) from None


def is_widths(text: str) -> bool:
    """Whether a word after --bits-per-filter is its value and not the model."""
    return bool(re.fullmatch(r"[+-]?[\d.]+", text)) or text.lower().endswith(FILES)


def step(text: str) -> str | float | Path:
    """A step rule, a step for all layers, or a file of steps."""
    from esnsim.quantization.rules import RULES

    if text in RULES:
        return text
    if text.lower().endswith(FILES):
        return Path(text)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(
            f"'{text}' is neither a rule ({', '.join(RULES)}), a positive number, nor a "
            f"{', '.join(FILES)} file"
        )
    return value


def input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """The name of an input, empty where none is given, and its shape."""
    found = re.fullmatch(r"(?:(.*)[=:])?(\d{1,18}(?:[,x]\d{1,18})*)", text, re.ASCII)
    if found is None:
        raise ArgumentTypeError(f"'{text}': give NAME=1,3,224,224 or NAME:1x3x224x224")
    return found[1] or "", tuple(map(int, re.split("[,x]", found[2])))


def input_value(text: str) -> tuple[str, float]:
    """The name of an input and its value."""
    name, equals, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = inf
    if not (name and equals and -inf < value < inf):
        raise ArgumentTypeError(f"'{text}': give NAME=16000")
    return name, value


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression."""
    try:
        return re.compile(text)
    except re.error as error:
        raise ArgumentTypeError(f"'{text}' is no regular expression: {error}") from None


def at_least_one(text: str) -> int:
    """A whole number from 1 on."""
    if not re.fullmatch(r"0*[1-9]\d{0,17}", text, re.ASCII):
        raise ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return int(text)


def count(text: str) -> int:
    """A whole number of 0 or more."""
    if not re.fullmatch(r"\d+", text):
        raise ArgumentTypeError(f"'{text}' is no whole number of 0 or more")
    return int(text)


def span(text: str) -> list[int]:
    """Widths such as 1-8 or 2,4,8."""
    found: list[int] = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if ends is None or not 1 <= int(ends[1]) <= int(ends[2] or ends[1]) <= 16:
            raise ArgumentTypeError(f"'{text}' is no range of widths from 1 to 16: give 1-8 or 2,4")
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return found


def mean_widths(text: str) -> tuple[float, ...]:
    """Widths such as 1-8, 2,2.5,3 or 1-4:0.5, in steps of a half."""
    found: list[float] = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?)(?::(\d*\.?\d+))?)?", part)
        first, last = (float(ends[1]), float(ends[2] or ends[1])) if ends else (0.0, 0.0)
        step = float(ends[3] or 1) if ends else 0.0
        if not 1 <= first <= last <= 16 or not step >= 0.01:
            raise ArgumentTypeError(
                f"'{text}' is no range of widths from 1 to 16: give 1-8, 2,2.5,3 or 1-4:0.5"
            )
        found += [round(first + i * step, 6) for i in range(int((last - first) / step + 1e-9) + 1)]
    return tuple(dict.fromkeys(found))


def energy(text: str) -> Energy:
    """An energy such as 50fJ, or a plain number in normalised units."""
    return _parsed(read_energy, text)


def frequency(text: str) -> float:
    """A clock such as 500MHz, in Hz."""
    return _parsed(read_frequency, text)


def _parsed(read: Callable[[str], T], text: str) -> T:
    """What is read of a text, its error as argparse's own."""
    try:
        return read(text)
    except UsageError as error:
        raise ArgumentTypeError(str(error)) from None


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"'{text}': give numbers like 0.485,0.456,0.406") from None


def percentile(text: str) -> float:
    """A percentile above 50, up to 100, with its sign or without."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = 0.0
    if not 50 < value <= 100:
        raise ArgumentTypeError(f"'{text}' is no percentile above 50, up to 100: give 99.9")
    return value


def shares(text: str) -> tuple[float, ...]:
    """Shares of filters such as 0,0.25,50%."""
    return tuple(map(share, text.split(",")))


def share(text: str) -> float:
    """A share, 0 to below 1: 0.25 or 25%."""
    try:
        value = read_share(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        hint = f", or {text.strip()}%" if "%" not in text and 1 <= value < 100 else ""
        raise ArgumentTypeError(f"'{text}' is no share: give one like 0.25 or 25%{hint}")
    return value


def axis(text: str) -> "int | Literal['none']":
    """An axis by its number, or none."""
    if text == "none":
        return "none"
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"'{text}' is no axis: give its number, or none") from None


def decibels(text: str) -> float:
    """A ratio such as 25dB."""
    try:
        value = float(re.sub(r"(?i)\s*db$", "", text.strip()))
    except ValueError:
        value = inf
    if not -inf < value < inf:
        raise ArgumentTypeError(f"'{text}' is no ratio in dB: give one like 25dB")
    return value


def whole_or(words: Collection[str]) -> Callable[[str], int | str]:
    """A parser of a whole number from 1 on, or of one of these words."""
    return lambda text: text if text in words else at_least_one(text)


def names(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """A parser of names separated by commas, each one of those known."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(text.split(",")))
        for name in found:
            if name not in known:
                raise ArgumentTypeError(f"'{name}' is none of {', '.join(known)}")
        return found

    return parse


def budget(text: str) -> tuple[float, str | None]:
    """A number, of the metric, or of a machine's, such as 2ms@maki, 5uJ@isaac or 90k@bismo."""
    amount, at, machine = text.partition("@")
    if not at:
        return number(text), None
    duration = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([munµ]?)s", amount.strip().lower())
    if duration:
        micro = PICOJOULES["u"]
        return float(duration[1]) * PICOJOULES[duration[2]] / micro, f"time@{machine}"
    if amount.strip().lower().endswith("j"):
        return _parsed(read_energy, amount).amount, f"energy@{machine}"
    return number(amount.removesuffix("cycles").strip()), f"cycles@{machine}"


def metric(text: str) -> str:
    """A metric, with .weights for the weighting by parameters."""
    from esnsim.machines.named.aim import known_metric  # loads NumPy, which --help does without

    return _parsed(known_metric, text)


def limit(text: str) -> tuple[str, float]:
    """METRIC=N: the metric, with .weights for the weighting by parameters, and the number."""
    name, _, amount = text.partition("=")
    metric = name.removesuffix(".weights")
    if metric not in METRICS or not amount:
        raise ArgumentTypeError(
            f"'{text}': give METRIC=N such as esn_d_tilde=200M, with one of {', '.join(METRICS)}"
        )
    if metric != name and not METRICS[metric].weighted:
        raise ArgumentTypeError(f"'{text}': {metric} has one weighting only; leave .weights out")
    return name, number(amount)


def growth(text: str) -> tuple[str, float]:
    """A share from 0 on that a metric may grow by: 1%, of MAC×bit, or METRIC=1%."""
    name, _, share = text.rpartition("=")
    try:
        allowed = read_share(share)
    except ValueError:
        allowed = -1.0
    if not 0 <= allowed < inf:
        raise ArgumentTypeError(f"'{text}' is no share from 0 on: give 1% or macs=1%")
    return metric(name or "esn_d_tilde"), allowed


def number(text: str) -> float:
    """A number from 0 on with an optional SI prefix in any case: 200M. An e is an exponent's."""
    last = text[-1:] if text[-1:] == "E" else text[-1:].lower()
    scales = {name if name == "E" else name.lower(): scale for name, scale in PREFIXES.items()}
    try:
        value = float(text[:-1] if last in scales else text) * scales.get(last, 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"'{text}' is no number from 0 on: give one like 200M or 1.5e9")
    return value
