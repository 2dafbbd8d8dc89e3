"""What a machine reads off the integers that have to finish together: how long they take.

An integer becomes a pattern of bits first, by the encoding of the machine; every statistic then
sees an OR over the lanes of a group, or the ones of each pattern.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Patterns = NDArray[np.uint32]

#: Encodings of weights: the integer k = floor(W/Δ), or |q| = 2|W_int|, as bits.
TWOS, MAGNITUDE, SIGN_BIT, BOOTH, MIDRISE = ENCODINGS = (
    "two's complement", "sign-magnitude", "sign bit", "booth", "midrise",
)  # fmt: skip


def patterns(values: NDArray[Any], encoding: str, bits: Any = 0, widths: bool = False) -> Patterns:
    """Integers (…) as unsigned bit patterns; `bits`, broadcast to them, is where signs are cut.

    Two's complement is cut to `bits`, or with `widths` as long as its least width: 2 for 1 and −2.
    A sign-magnitude word has its sign beside, or as one more bit. Booth digits are the non-adjacent
    form, a one where a digit is not 0.
    """
    wide = values.astype(np.int32)
    if encoding == TWOS:
        if widths:
            return _unsigned((wide ^ (wide >> 31)) << 1 | 1)
        return _unsigned(wide & ((np.int64(1) << bits) - 1))
    size = np.abs(wide)
    if encoding == SIGN_BIT:
        return _unsigned(size | (wide < 0).astype(np.int64) << bits)
    return _unsigned((size ^ 3 * size) >> 1 if encoding == BOOTH else size)


def _unsigned(values: NDArray[Any]) -> Patterns:
    return values.astype(np.uint32)


def bit_length(pattern: NDArray[Any]) -> Ints:
    """Bits up to the highest one; 0 has none."""
    exponents: Ints = np.frexp(pattern.astype(np.float64))[1].astype(np.int64)
    return exponents


def ones(pattern: NDArray[Any]) -> Ints:
    """Bits that are 1."""
    counts: Ints = np.bitwise_count(pattern).astype(np.int64)
    return counts


def _any_lane(pattern: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.bitwise_or.reduce(pattern, axis=-1))


def _significances(pattern: NDArray[Any]) -> NDArray[Any]:
    """Ones of each significance among the lanes (significances, …), up to the highest there is."""
    top = max(1, int(pattern.max(initial=0)).bit_length())
    return np.stack([(pattern >> bit & 1).sum(axis=-1, dtype=np.int64) for bit in range(top)])


def _eight_at_once(pattern: NDArray[Any]) -> Ints:
    """Cycles of one adder a significance, 8 significances at once."""
    counts = _significances(pattern)
    return np.asarray(sum(counts[i : i + 8].max(axis=0) for i in range(0, len(counts), 8)))


def _half_lanes(pattern: NDArray[Any]) -> Ints:
    half = max(1, pattern.shape[-1] // 2)
    return np.asarray((-(-_significances(pattern) // half)).sum(axis=0))


class Statistic(NamedTuple):
    """Of groups of patterns (…, lanes), what the group takes (…), and what each lane asks for."""

    group: Callable[[NDArray[Any]], Ints]
    own: Callable[[NDArray[Any]], Ints]


HALF_LANES = "half lanes"
#: Statistics that see the integers.
READ = {
    "width": Statistic(lambda p: bit_length(_any_lane(p)), bit_length),
    "columns": Statistic(lambda p: ones(_any_lane(p)), ones),
    "ones": Statistic(lambda p: ones(p).max(axis=-1, initial=0), ones),
    "significances": Statistic(_eight_at_once, ones),
    HALF_LANES: Statistic(_half_lanes, ones),
}

#: Statistics that follow from the stored width alone: whole, serial, a row a bit plane.
ONE, STORED, PLANES = FIXED = ("one", "stored", "planes")
LINES = "lines"  # of weights that a front end moves forward in time: `lookahead`
ACTIVATIONS = (ONE, STORED, "width", "columns", "ones")
WEIGHTS = (*FIXED, *READ, LINES)
