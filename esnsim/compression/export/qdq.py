"""Midrise codes in standard operators: DequantizeLinear of k = floor(W/Δ), and an Add of Δ/2.

k keeps the b bits of a code, where the odd q = 2·W_int would take one more. A filter with kept
zeros holds q itself at Δ/2, and 0 is added; so does a pruned one, whose q are 0. Those that would
need a wider type than the others stand in a tensor of their own. The importer
reads them back (esnsim/importer/midrise.py).
"""

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from esnsim.compression.export.stored import Parts, Stored
from esnsim.errors import WidthError
from esnsim.model.network import Array

NARROW = 21  # opset from which it takes int4 and int16
INT4 = np.dtype(helper.tensor_dtype_to_np_dtype(TensorProto.INT4))


def add_qdq(weight: Stored, target: str, parts: Parts, opset: int) -> None:
    """Add the nodes and tensors that give the weights as `target`.

    Filters whose kept zeros would make the whole layer's integers wider stand apart, and a Concat
    and a Gather bring them back into order. Below opset 21 int16 goes through ONNX Runtime's own
    DequantizeLinear. Raises WidthError for kept zeros beside codes that leave no bit for them.
    """
    rows = weight.by_filter()
    midrise = np.asarray((rows & 1).all(axis=1))
    mixed = ~midrise & rows.any(axis=1)
    if mixed.any():
        parts.half_steps[weight.name] = np.flatnonzero(mixed).tolist()
    k = np.where(midrise[:, None], (rows - 1) >> 1, rows)
    types = [_type(row, opset, weight.site.layer.name) for row in k]
    most = max((types[m] for m in np.flatnonzero(~mixed)), key=_bits, default=np.dtype(np.int16))
    apart = np.array([_bits(each) > _bits(most) for each in types])
    if not apart.any():
        _add_part(weight, slice(None), midrise, target, parts, opset)
        return
    names = []
    for name, part in (("narrow", ~apart), ("wide", apart)):
        names.append(parts.fresh(f"{weight.name}_{name}"))
        _add_part(weight, np.flatnonzero(part), midrise, names[-1], parts, opset)
    parts.in_order(names, np.argsort(apart, kind="stable"), weight, target)


def _add_part(
    weight: Stored, filters: Array | slice, midrise: Array, target: str, parts: Parts, opset: int
) -> None:
    """DequantizeLinear and Add of some filters."""
    places = tuple([slice(None)] * weight.axis + [filters])
    q, steps, midrise = weight.q[places], weight.steps[filters], midrise[filters]
    k = np.where(weight.each(midrise), (q - 1) >> 1, q)
    dtype = _type(k, opset, weight.site.layer.name)
    name = weight.name if isinstance(filters, slice) else target
    inputs = [
        parts.constant(f"{name}_quantized", k.astype(dtype)),
        parts.constant(f"{name}_scale", np.where(midrise, steps, steps / 2)),
    ]
    domain = "com.microsoft" if dtype == np.int16 and opset < NARROW else ""
    value = parts.fresh(f"{name}_DequantizeLinear")
    parts.node("DequantizeLinear", inputs, value, domain, axis=weight.axis)
    offset = weight.each(np.where(midrise, steps / 2, np.float32(0)))
    parts.node("Add", [value, parts.constant(f"{name}_offset", offset)], target)


def _type(k: Array, opset: int, name: str) -> np.dtype[Any]:
    """The narrowest type that holds the integers and that DequantizeLinear takes."""
    low, high = int(k.min()), int(k.max())
    bits = 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length())
    if bits <= 4 and opset >= NARROW:
        return INT4
    if bits > 16:
        raise WidthError(
            f"layer '{name}' has codes of 16 bits in filters with zeros: give 15 bits, or leave no "
            "zeros (--no-keep-zeros)"
        )
    return np.dtype(np.int8 if bits <= 8 else np.int16)


def _bits(dtype: np.dtype[Any]) -> int:
    return 4 if dtype == INT4 else 8 * dtype.itemsize
