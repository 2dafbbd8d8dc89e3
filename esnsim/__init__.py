"""esnsim: what a convolutional network costs on ideal hardware, and on an array you describe."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esnsim.engines.analog import AnalogEngine
    from esnsim.engines.arrays import ArraySpec
    from esnsim.engines.crossbar import CrossbarSpec
    from esnsim.engines.digital import DigitalEngine
    from esnsim.errors import EsnsimError, ModelError, UsageError, WidthError
    from esnsim.fold import fold_batchnorm
    from esnsim.importer import read_onnx
    from esnsim.metrics import Cost, cost
    from esnsim.network import Geometry, Layer, Network
    from esnsim.quantizer import QuantizedNetwork, Scheme, codes, quantize
    from esnsim.training.export import from_torch

__version__ = "0.1.0"

_HOMES = {
    "AnalogEngine": "engines.analog", "CrossbarSpec": "engines.crossbar",
    "ArraySpec": "engines.arrays", "DigitalEngine": "engines.digital",
    "Cost": "metrics", "cost": "metrics",
    "EsnsimError": "errors", "ModelError": "errors", "UsageError": "errors", "WidthError": "errors",
    "fold_batchnorm": "fold",
    "read_onnx": "importer",
    "Geometry": "network", "Layer": "network", "Network": "network",
    "QuantizedNetwork": "quantizer", "Scheme": "quantizer", "codes": "quantizer",
    "quantize": "quantizer",
    "from_torch": "training.export",
}  # fmt: skip
__all__ = [
    "AnalogEngine", "ArraySpec", "Cost", "CrossbarSpec", "DigitalEngine", "EsnsimError", "Geometry",
    "Layer", "ModelError", "Network", "QuantizedNetwork", "Scheme", "UsageError", "WidthError",
    "codes", "cost", "fold_batchnorm", "from_torch", "quantize", "read_onnx",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'esnsim' has no attribute '{name}'")
    return getattr(import_module(f"esnsim.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
