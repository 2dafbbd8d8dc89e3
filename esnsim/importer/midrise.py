"""Midrise codes in operators that have none: as `esnsim.compression` writes them, read back.

DequantizeLinear gives k·Δ for k = floor(W/Δ), and an Add of Δ/2 makes (k + ½)·Δ of it. A filter to
which 0 is added holds q = 2·W_int at Δ/2 instead: zeros that are kept, and pruned filters.
"""

import json
from dataclasses import replace

import numpy as np
from onnx import ModelProto

from esnsim.errors import ModelError
from esnsim.importer.values import Coded, Constant, thin
from esnsim.model.network import Array

#: Key of the model's metadata: JSON of value -> filters whose integers are q at Δ/2.
HALF_STEPS = "esnsim.half_steps"


def half_steps(model: ModelProto) -> frozenset[str]:
    """The values that the metadata name as q at half a step.

    Raises ModelError where the metadata cannot be read.
    """
    text = next((p.value for p in model.metadata_props if p.key == HALF_STEPS), "{}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ModelError(
            f"the metadata '{HALF_STEPS}' are no JSON object: compress the model again"
        )
    return frozenset(found)


def halved(x: Constant, name: str) -> Constant:
    """A constant whose integers are q at half a step, as its midrise code.

    Raises ModelError, when it is read, for integers that are even and not 0.
    """
    coded = x.coded
    if coded is None or coded.midrise:
        return x

    def integers() -> Array:
        q = coded.integers()
        if _even(q).any():
            raise ModelError(
                f"'{name}' holds even integers at half steps, against the metadata "
                f"'{HALF_STEPS}': compress the model again"
            )
        return q

    def scale() -> Array:
        return np.broadcast_to(2 * thin(coded.scale()), x.shape)

    return replace(x, coded=Coded(integers=integers, scale=scale, bits=coded.bits, midrise=True))


def half_shifted(x: Constant, coded: Coded, offset: Constant) -> Constant | None:
    """The midrise code that half a step added to some filters makes; 0 goes to q at Δ/2.

    None where something else than Δ/2 or 0 is added, or where codes at Δ/2 are even.
    """
    steps, added = thin(coded.scale()), offset.read()
    half, none = (added == steps / 2) & (added != 0), added == 0
    if not (half | none).all():
        return None
    halves = np.broadcast_to(half, x.shape)
    if none.any() and _even(coded.integers()[~halves]).any():
        return None

    def integers() -> Array:
        k = coded.integers()
        return np.where(halves, 2 * k + 1, k)

    def scale() -> Array:
        return np.broadcast_to(np.where(half, steps, 2 * steps), x.shape)

    return replace(
        x, read=lambda: x.read() + added,
        coded=Coded(integers=integers, scale=scale, bits=coded.bits, midrise=True),
    )  # fmt: skip


def _even(q: Array) -> Array:
    """Where an integer is no code q = 2·W_int, nor 0."""
    return np.asarray((q & 1 == 0) & (q != 0))
