"""Pruning, rounding, correction and export on the ONNX graph, without training."""
