"""Scheme: how weights become codes, and the widths and steps handed in for each filter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import WidthError, check_known
from esnsim.model.network import Layer, Network
from esnsim.quantization.rules import RULES

GIVEN = "given"  # the rule where steps are handed in
DEFAULT_BITS = 8
WIDEST = 16  # bits of a code that esnsim makes
LEAST_STEP = 2 * float(np.finfo(np.float32).tiny)  # its half is exact in float32 too

#: One width or step for a layer, or one for each of its filters.
PerFilter = float | Sequence[float] | NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How weights become codes.

    `rule` is one of RULES; None means layer-max, or filter-max where `widths` are handed in, or
    given where `given_steps` are. `alpha` is filter-sigma's alone. `bits` None means 8 where the
    rule needs a width. `widths` and `given_steps` map the name of a layer, or of its weight, to one
    value or to one a filter; a plain number is for every layer. A width of 0 prunes, and so does a
    step below LEAST_STEP. Raises WidthError.
    """

    rule: str | None = None
    bits: int | None = None
    alpha: float = 1.0
    keep_zeros: bool = True
    widths: int | Mapping[str, PerFilter] | None = None
    given_steps: float | Mapping[str, PerFilter] | None = None

    def __post_init__(self) -> None:
        if self.rule is not None:
            check_known("step rule", self.rule, (*RULES, GIVEN), WidthError)
        for width in (self.bits, None if isinstance(self.widths, Mapping) else self.widths):
            if width is not None and not 0 < _whole(width) <= WIDEST:
                raise WidthError(f"{width} bits: widths are 1 to {WIDEST}")
        if not 0 < self.alpha < np.inf:
            raise WidthError(f"alpha {self.alpha}: give a positive number")
        if self.alpha != 1 and self.resolved_rule != "filter-sigma":
            raise WidthError(
                f"alpha {self.alpha} is the step of filter-sigma in σ: give --step filter-sigma "
                "too, from Python rule='filter-sigma'"
            )

    @property
    def resolved_rule(self) -> str:
        """The rule that applies where none is named."""
        if self.rule is not None:
            return self.rule
        if self.given_steps is not None:
            return GIVEN
        return "layer-max" if self.widths is None else "filter-max"

    @property
    def nominal_bits(self) -> int | None:
        """The width that rule and saturation go by where no widths are handed in, or None."""
        rule = self.resolved_rule
        if self.bits is None and (rule == GIVEN or RULES[rule].gives_widths):
            return None
        return self.bits or DEFAULT_BITS


def _whole(width: object) -> int:
    """The width as an int, of NumPy's too. Raises WidthError for what is none, such as 2.9."""
    try:
        if isinstance(width, bool | np.bool_):
            raise TypeError
        return index(width)  # type: ignore[arg-type]
    except TypeError:
        raise WidthError(f"{width!r:.40} bits: a width is a whole number of bits") from None


def assign(
    network: Network, given: float | Mapping[str, PerFilter] | None, what: str
) -> list[NDArray[np.float64] | None]:
    """The values (M,) handed in for each layer, None where there are none.

    Raises WidthError for names that no layer has, wrong lengths, and values out of range.
    """
    if not isinstance(given, Mapping):
        whole = {} if given is None else {layer.name: given for layer in network.layers}
        return [_values(layer, whole, what) for layer in network.layers]
    names = {layer.name for layer in network.layers}
    names |= {layer.weight.name for layer in network.layers}
    unknown = [name for name in given if name not in names]
    if unknown:
        known = ", ".join(layer.name for layer in network.layers[:4])
        raise WidthError(
            f"{what}s are given for {', '.join(map(repr, unknown[:3]))}, which no layer or weight "
            f"is called: the layers are {known}{', …' if len(network.layers) > 4 else ''}"
        )
    return [_values(layer, given, what) for layer in network.layers]


def _values(layer: Layer, given: Mapping[str, PerFilter], what: str) -> NDArray[np.float64] | None:
    value = given.get(layer.name, given.get(layer.weight.name))
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1:
        raise WidthError(f"the {what} of layer '{layer.name}' is no number or list: got {value!r}")
    if array.ndim == 1 and len(array) != layer.filters:
        raise WidthError(
            f"layer '{layer.name}' has {layer.filters} filters but {len(array)} {what}s are given"
        )
    values = np.broadcast_to(array.astype(np.float64), layer.filters)
    if what == "width":
        bad = values[(values < 0) | (values > WIDEST) | (values != np.rint(values))]
        needs = f"whole numbers from 0 (pruned) to {WIDEST}"
    else:
        bad = values[(values <= 0) | np.isinf(values)]  # NaN: a filter without weights
        needs = "positive numbers"
    if len(bad):
        raise WidthError(f"layer '{layer.name}' is given the {what} {bad[0]:g}: use {needs}")
    return values
