"""A whole ONNX graph, with a function in place of every weighted MAC operator."""

from esnsim.run.compute import activation_scales, float_compute, trace, watched
from esnsim.run.cut import Compute, CutGraph, cut
from esnsim.run.macs import MacNode
from esnsim.run.quantized import quantized_compute

__all__ = [
    "Compute", "CutGraph", "MacNode", "activation_scales", "cut", "float_compute",
    "quantized_compute", "trace", "watched",
]  # fmt: skip
