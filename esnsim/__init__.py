"""esnsim: what a convolutional network costs on ideal hardware, and on an array you describe."""

from importlib import import_module

from esnsim.moved import redirect_old_names

TYPE_CHECKING = False  # typing's own would load it before the command can answer an interrupt
if TYPE_CHECKING:
    from esnsim import machines as machines
    from esnsim.api import compare, compress, cost, simulate, sweep
    from esnsim.costs.cost import Cost
    from esnsim.errors import EsnsimError, ModelError, UsageError, WidthError
    from esnsim.importer import read_onnx
    from esnsim.machines.array.engine import DigitalEngine
    from esnsim.machines.array.spec import ArraySpec
    from esnsim.machines.crossbar.engine import AnalogEngine
    from esnsim.machines.crossbar.spec import CrossbarSpec
    from esnsim.model.fold import fold_batchnorm
    from esnsim.model.network import Geometry, Layer, Network
    from esnsim.quantization.quantizer import QuantizedNetwork, codes, quantize
    from esnsim.quantization.scheme import Scheme
    from esnsim.training.export import from_torch
    from esnsim.training.tracker import ESNTracker as ESNTracker

__version__ = "0.2.0"

_HOMES = {
    "AnalogEngine": "machines.crossbar.engine", "CrossbarSpec": "machines.crossbar.spec",
    "ArraySpec": "machines.array.spec", "DigitalEngine": "machines.array.engine",
    "compare": "api", "compress": "api", "cost": "api", "simulate": "api", "sweep": "api",
    "Cost": "costs.cost",
    "EsnsimError": "errors", "ModelError": "errors", "UsageError": "errors", "WidthError": "errors",
    "fold_batchnorm": "model.fold",
    "read_onnx": "importer",
    "Geometry": "model.network", "Layer": "model.network", "Network": "model.network",
    "QuantizedNetwork": "quantization.quantizer", "Scheme": "quantization.scheme",
    "codes": "quantization.quantizer", "quantize": "quantization.quantizer",
    "from_torch": "training.export", "ESNTracker": "training.tracker",
}  # fmt: skip
#: Names that `from esnsim import *` leaves out: a package, and what needs PyTorch.
_FURTHER = ["ESNTracker", "machines"]
__all__ = [
    "AnalogEngine", "ArraySpec", "Cost", "CrossbarSpec", "DigitalEngine", "EsnsimError", "Geometry",
    "Layer", "ModelError", "Network", "QuantizedNetwork", "Scheme", "UsageError", "WidthError",
    "codes", "compare", "compress", "cost", "fold_batchnorm", "from_torch", "quantize", "read_onnx",
    "simulate", "sweep",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "machines":
        return import_module("esnsim.machines")
    if name not in _HOMES:
        raise AttributeError(f"module 'esnsim' has no attribute '{name}'")
    try:
        return getattr(import_module(f"esnsim.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from esnsim.errors import EsnsimError

        raise EsnsimError(f"{name} needs PyTorch: pip install 'esnsim[train]'") from None


def __dir__() -> list[str]:
    return sorted([*__all__, *_FURTHER, "__version__"])


redirect_old_names()
