"""ONNX -> Network."""

from esnsim.importer.read import explore, read_onnx
from esnsim.onnxfile.load import Loaded, find, load
from esnsim.onnxfile.path import BUILTIN, EMBEDDED

__all__ = ["BUILTIN", "EMBEDDED", "Loaded", "explore", "find", "load", "read_onnx"]
