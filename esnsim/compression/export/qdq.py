"""Midrise codes in standard operators: DequantizeLinear of k = floor(W/Δ), and an Add of Δ/2.

k keeps the b bits of a code, where the odd q = 2·W_int would take one more. A filter with kept
zeros holds q itself at Δ/2, and 0 is added; so does a pruned one, whose q are 0. The importer
reads them back (esnsim/importer/midrise.py).
"""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from esnsim.compression.export.stored import Parts, Stored
from esnsim.errors import WidthError
from esnsim.model.network import Array

NARROW = 21  # opset from which it takes int4 and int16


def add_qdq(weight: Stored, target: str, parts: Parts, opset: int) -> None:
    """Add the nodes and tensors that give the weights as `target`.

    Below opset 21 int16 goes through ONNX Runtime's own DequantizeLinear. Raises WidthError for
    kept zeros beside codes that leave no bit for them.
    """
    rows = weight.by_filter()
    midrise = np.asarray((rows & 1).all(axis=1))
    mixed = np.flatnonzero(~midrise & rows.any(axis=1))
    if len(mixed):
        parts.half_steps[weight.name] = mixed.tolist()
    halves = weight.each(midrise)
    k = np.where(halves, (weight.q - 1) >> 1, weight.q)
    dtype = _dtype(k, opset, weight.site.layer.name)
    scale = np.where(midrise, weight.steps, weight.steps / 2)
    offset = np.where(midrise, weight.steps / 2, np.float32(0))
    name = weight.name
    inputs = [
        parts.constant(f"{name}_quantized", k.astype(dtype)),
        parts.constant(f"{name}_scale", scale),
    ]
    domain = "com.microsoft" if dtype == np.int16 and opset < NARROW else ""
    value = parts.fresh(f"{name}_DequantizeLinear")
    parts.node("DequantizeLinear", inputs, value, domain, axis=weight.axis)
    half = parts.constant(f"{name}_offset", weight.each(offset))
    parts.node("Add", [value, half], target)


def _dtype(k: Array, opset: int, name: str) -> np.dtype[Any]:
    """The narrowest type that holds the integers and that DequantizeLinear takes."""
    low, high = int(k.min()), int(k.max())
    bits = 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length())
    if bits <= 4 and opset >= NARROW:
        return np.dtype(helper.tensor_dtype_to_np_dtype(TensorProto.INT4))
    if bits > 16:
        raise WidthError(
            f"layer '{name}' has codes of 16 bits in filters with zeros: give 15 bits, or leave no "
            "zeros (--no-keep-zeros)"
        )
    return np.dtype(np.int8 if bits <= 8 else np.int16)
