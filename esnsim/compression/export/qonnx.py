"""Midrise codes in the operators of QONNX: Quant with zero point −½, BipolarQuant for one bit.

QONNX clips before it rounds, and rounds halves to even: the weights that stand before a node are
Δ·W_int already, so that neither changes them. A Quant node has one width, so filters are sorted
by width, and a Concat and a Gather bring them back into order. A filter with kept zeros is
q = 2·W_int at Δ/2, one bit wider, which the metadata name; pruned filters are plain zeros.
"""

import numpy as np
from onnx import numpy_helper

from esnsim.compression.export.stored import Parts, Stored
from esnsim.errors import WidthError
from esnsim.model.network import Array

DOMAIN = "qonnx.custom_op.general"
WIDEST = 16


def add_qonnx(weight: Stored, target: str, parts: Parts) -> None:
    """Add the nodes and tensors that give the weights as `target`. Raises WidthError."""
    rows = weight.by_filter()
    widths = np.frexp(np.abs(rows).max(axis=1).astype(np.float64))[1]
    mixed = (rows & 1 == 0).any(axis=1) & (widths > 0)
    kinds = widths * 2 + mixed
    found = np.unique(kinds).tolist()
    names: list[str] = []
    for kind in found:
        output = target if len(found) == 1 else parts.fresh(f"{weight.name}_{_title(kind)}")
        _add_kind(weight, np.flatnonzero(kinds == kind), kind, output, parts)
        names.append(output)
    if len(found) == 1:
        return
    parts.in_order(names, np.argsort(kinds, kind="stable"), weight, target)


def _add_kind(weight: Stored, filters: Array, kind: int, output: str, parts: Parts) -> None:
    """The filters of one width, with kept zeros or without."""
    bits, mixed = divmod(kind, 2)
    q = weight.q.take(filters, axis=weight.axis)
    steps = weight.each(weight.steps[filters])
    values = (q * (steps.astype(np.float64) / 2)).astype(np.float32)
    if not bits:
        parts.tensors.append(numpy_helper.from_array(values, output))
        return
    x = parts.constant(f"{output}_float", values)
    scale = parts.constant(f"{output}_scale", steps if bits > 1 and not mixed else steps / 2)
    if bits == 1 and not mixed:
        parts.node("BipolarQuant", [x, scale], output, DOMAIN)
        return
    if bits + mixed > WIDEST:
        raise WidthError(
            f"layer '{weight.site.layer.name}' has codes of {bits} bits in filters with zeros: "
            "give 15 bits, or leave no zeros (--no-keep-zeros)"
        )
    if mixed:
        parts.half_steps[output] = filters.tolist()
    zero = parts.constant(f"{output}_zero", np.float32(0 if mixed else -0.5))
    width = parts.constant(f"{output}_bits", np.float32(bits + mixed))
    parts.node(
        "Quant", [x, scale, zero, width], output, DOMAIN,
        signed=1, narrow=int(mixed), rounding_mode="ROUND",
    )  # fmt: skip


def _title(kind: int) -> str:
    bits, mixed = divmod(kind, 2)
    return f"{bits}bit{'_zeros' if mixed else ''}"
