"""Codes through the arithmetic that dequantises them where no DequantizeLinear does.

Exporters write (Cast(q) − z)·s, q·s/g and the like as Cast, Sub, Mul and Div. By constants these
keep the integers, or move them; all else loses them.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from esnsim.importer.midrise import half_shifted
from esnsim.importer.shapes import STANDARD
from esnsim.importer.values import WIDEST, Coded, Constant, thin
from esnsim.model.network import Array


def fold_affine(node: NodeProto, inputs: Sequence[Constant | None]) -> Constant | None:
    """A coded constant scaled or shifted by another that broadcasts to it, with its codes.

    None for all other nodes, and where what is added is no multiple of half a step.
    """
    op = node.op_type
    if op not in ("Add", "Sub", "Mul", "Div") or node.domain not in STANDARD or len(inputs) != 2:
        return None
    for x, other in [inputs] if op in ("Sub", "Div") else [inputs, inputs[::-1]]:
        if x is None or x.coded is None or other is None or not _covers(x, other):
            continue
        if op in ("Mul", "Div"):
            return _scaled(x, x.coded, other, op == "Div")
        return _shifted(x, x.coded, other, op == "Sub")
    return None


def _covers(x: Constant, other: Constant) -> bool:
    """Whether x is the one that holds codes, and keeps its shape."""
    if other.coded is not None and other.size >= x.size:
        return False
    try:
        return np.broadcast_shapes(x.shape, other.shape) == x.shape
    except ValueError:
        return False


def _scaled(x: Constant, coded: Coded, factor: Constant, divide: bool) -> Constant:
    apply = np.divide if divide else np.multiply

    def scale() -> Array:
        steps = apply(thin(coded.scale()).astype(np.float64), factor.read())
        return np.broadcast_to(steps, x.shape)

    def read() -> Array:
        return np.asarray(apply(x.read(), factor.read()))

    return replace(x, read=read, coded=replace(coded, scale=scale))


def _shifted(x: Constant, coded: Coded, offset: Constant, subtract: bool) -> Constant | None:
    if coded.midrise:
        return None
    if not subtract and not coded.asymmetric:
        found = half_shifted(x, coded, offset)
        if found is not None:
            return found
    added = -offset.read() if subtract else offset.read()
    steps = thin(coded.scale())
    with np.errstate(all="ignore"):
        halves = np.rint(2 * added / steps)
        exact = (halves * steps / 2).astype(added.dtype) == added
    midrise = bool((halves % 2 == 1).all())
    small = np.abs(halves).max(initial=0) < 2 << WIDEST
    if not (small and exact.all() and (midrise or (halves % 2 == 0).all())):
        return None
    unit, moved = (2, halves) if midrise else (1, halves / 2)
    centre = (1, 1 - (1 << coded.bits)) if midrise else (0, -(1 << coded.bits - 1))
    off = coded.asymmetric or not np.isin(moved, centre).all()

    def integers() -> Array:
        return unit * coded.integers() + moved.astype(np.int32)

    def read() -> Array:
        return np.asarray(x.read() + added)

    return replace(
        x,
        read=read,
        coded=Coded(
            integers=integers, scale=coded.scale, bits=coded.bits, midrise=midrise, asymmetric=off
        ),
    )
