"""A whole ONNX graph, with a function in place of every weighted MAC operator."""

from esnsim.execute.compute import activation_scales, float_compute, trace, watched
from esnsim.execute.cut import Compute, CutGraph, NotSimulated, cut
from esnsim.execute.macs import MacNode
from esnsim.execute.quantized import quantized_compute

__all__ = [
    "Compute", "CutGraph", "MacNode", "NotSimulated", "activation_scales", "cut", "float_compute",
    "quantized_compute", "trace", "watched",
]  # fmt: skip
