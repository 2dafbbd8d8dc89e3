"""Widths of activations: what quantises a value, followed through what keeps its elements."""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto

from esnsim.importer.constants import attribute
from esnsim.importer.quantized import clipped_bits
from esnsim.importer.values import WIDEST, Value, width_of

#: Operators whose every output element is one of their input or 0: a quantised tensor stays one.
KEEP = {
    "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Relu", "Reshape",
    "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
DYNAMIC = {"DynamicQuantizeMatMul": 8, "DynamicQuantizeLSTM": 8}  # quantise their input themselves
RECURRENT = {"LSTM", "GRU", "RNN"}  # half of what their weights read is their own state


def output_bits(node: NodeProto, inputs: Sequence[Value | None]) -> int | None:
    """The width of the integers that a node's first output holds or stands for, None for others."""
    first = inputs[0] if inputs else None
    if first is None:
        return None
    if node.op_type in KEEP or node.op_type == "DequantizeLinear":
        return value_bits(first)
    if node.op_type == "Concat":
        widths = [value_bits(value) if value else None for value in inputs]
        return None if None in widths else max(width for width in widths if width)
    if node.op_type == "Clip" and (stored := value_bits(first)) is not None:
        low, high = (v.constant if v else None for v in (*inputs[1:], None, None)[:2])
        return clipped_bits(node, stored, low, high)
    return _quantiser_bits(node, inputs)


def value_bits(value: Value) -> int | None:
    """The width of the integers that a value holds or stands for, None for others."""
    if value.bits is not None:
        return value.bits
    bits = width_of(value.dtype) if value.dtype is not None else None
    return bits if bits is not None and bits <= WIDEST else None


def read_bits(node: NodeProto, inputs: Sequence[Value | None]) -> int | None:
    """The width of the activation that an operator's weights multiply."""
    if node.op_type in DYNAMIC:
        return DYNAMIC[node.op_type]
    activation = next((v for v in inputs if v is not None and v.constant is None), None)
    return None if activation is None or node.op_type in RECURRENT else value_bits(activation)


def _quantiser_bits(node: NodeProto, inputs: Sequence[Value | None]) -> int | None:
    """The width of what a node of QONNX, or a FakeQuantize, rounds to."""
    if node.op_type == "BipolarQuant":
        return 1
    if node.op_type == "FakeQuantize":
        levels = attribute(node, "levels", 0)
        return (levels - 1).bit_length() if isinstance(levels, int) and levels > 1 else None
    width = inputs[3].constant if len(inputs) > 3 and inputs[3] is not None else None
    if node.op_type not in ("Quant", "IntQuant") or width is None or not width.size:
        return None
    widest = float(np.ceil(width.read().astype(np.float64)).max())
    return int(widest) if 1 <= widest <= WIDEST else None
