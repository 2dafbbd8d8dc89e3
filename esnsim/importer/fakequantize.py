"""FakeQuantize of OpenVINO, as NNCF writes it: weights rounded to levels between two ends.

ONNX has no such operator; its inputs are x, the ends of the range that is rounded, and the ends of
that which is given, each of one value or broadcast to x.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from esnsim.errors import ModelError
from esnsim.importer.constants import attribute
from esnsim.importer.values import WIDEST, Coded, Constant
from esnsim.model.network import Array

ROUNDED = 2.0**-20  # of a level: how far float32 ends may lie beside a whole number of steps


def fake_quantize(node: NodeProto, inputs: Sequence[Constant | None]) -> Constant | None:
    """The output for constant inputs; None for other nodes."""
    given = [each for each in inputs if each is not None]
    if node.op_type != "FakeQuantize" or len(given) != 5:
        return None
    levels, name = attribute(node, "levels", 0), node.output[0]
    if not isinstance(levels, int) or levels < 2:
        raise ModelError(f"'{name}' rounds to {levels} levels: it needs two at least")
    x = given[0]
    low, high, first, last = (end.read().astype(np.float64) for end in given[1:])
    steps, spread = (last - first) / (levels - 1), np.where(high == low, 1, high - low)

    def places() -> Array:
        """The level of each weight, from 0."""
        return np.asarray(np.rint(np.clip((x.read() - low) / spread, 0, 1) * (levels - 1)))

    def read() -> Array:
        return (places() * steps + first).astype(x.dtype)

    coded = _coded(places, np.broadcast_to(steps, x.shape), first, levels)
    uncoded = f"FakeQuantize of {levels} levels"
    return replace(x, read=read, bits=None, coded=coded, uncoded=uncoded)


def _coded(places: Callable[[], Array], steps: Array, first: Array, levels: int) -> Coded | None:
    """Integers where the first level is a multiple of half a step; None where it is not."""
    halves = 2 * first / np.where(steps == 0, 1, steps)
    whole, bits = np.rint(halves), (levels - 1).bit_length()
    exact = bool((np.abs(halves - whole) <= ROUNDED * levels).all())
    midrise, integer = bool((whole % 2 == 1).all()), bool((whole % 2 == 0).all())
    if not (exact and (midrise or integer)) or bits > WIDEST or np.abs(whole).max() > 2 << WIDEST:
        return None
    unit, offset = (2, whole) if midrise else (1, whole / 2)
    middle = (1 - levels,) if midrise else (0, -(levels // 2), -((levels - 1) // 2))

    def integers() -> Array:
        return np.asarray(unit * places() + offset, np.int32)

    return Coded(
        integers=integers,
        scale=lambda: steps,
        bits=bits,
        midrise=midrise,
        asymmetric=not np.isin(offset, middle).all(),
    )
