"""Prune, quantise and allocate on the ONNX graph, without training; evaluate, export, compare."""
