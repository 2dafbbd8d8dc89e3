"""The ONNX graph of a model: its nodes, its weights' places, changed constants."""
