"""ONNX -> Network."""

from esnsim.importer.read import explore, read_onnx
from esnsim.onnxfile.load import BUILTIN, EMBEDDED, Loaded, find, load

__all__ = ["BUILTIN", "EMBEDDED", "Loaded", "explore", "find", "load", "read_onnx"]
