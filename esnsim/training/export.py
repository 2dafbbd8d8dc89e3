"""PyTorch module -> ONNX -> Network, in memory. Importing this needs no torch; calling it does."""

import io
import warnings
from os import PathLike
from types import ModuleType
from typing import TYPE_CHECKING

import onnx
import onnx.numpy_helper

from esnsim.errors import EsnsimError, ModelError
from esnsim.importer import find, read_onnx
from esnsim.model.network import Network
from esnsim.onnxfile.damage import reading

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 18


def from_torch(module: "nn.Module", example: "Tensor", dynamo: bool = False) -> Network:
    """The network of a PyTorch module, as `read_onnx` reads its ONNX export.

    `example` is an input (N, C, …); the network is that of its batch. Raises ModelError for a
    module without weighted layers, or one that torch cannot export.
    """
    return read_onnx(export_proto(module, example, dynamo))


def export_proto(
    module: "nn.Module", example: "Tensor", dynamo: bool = False, free_batch: bool = False
) -> onnx.ModelProto:
    """What `export_onnx` exports, as a ModelProto."""
    return onnx.load_from_string(export_onnx(module, example, dynamo, free_batch))


def export_onnx(
    module: "nn.Module", example: "Tensor", dynamo: bool = False, free_batch: bool = False
) -> bytes:
    """The module in evaluation mode as the bytes of an ONNX file; the module is left as it was.

    torch's TorchScript exporter keeps BatchNormalization as nodes and the names of parameters;
    `dynamo` is its newer one, which folds BatchNormalization into the weights. `free_batch`
    leaves the batch open. Errors as `from_torch`.
    """
    torch = import_torch()
    from esnsim.training.layers import unwrap, weighted_layers

    weighted_layers(module)
    model, training = unwrap(module), module.training
    exporter = _dynamo if dynamo else _script
    model.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return exporter(model, example, free_batch)
    except (RuntimeError, TypeError, ImportError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"torch cannot export {type(model).__name__} to ONNX ({reason}): check that the "
            "example input fits, or export it with torch.onnx and use read_onnx"
        ) from error
    finally:
        model.train(training)


def import_torch() -> ModuleType:
    """torch; raises EsnsimError where it is not installed."""
    try:
        import torch
    except ImportError:
        raise EsnsimError(
            "this needs PyTorch, which is not installed: pip install 'esnsim[train]'"
        ) from None
    module: ModuleType = torch
    return module


def _script(model: "nn.Module", example: "Tensor", free_batch: bool) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.onnx.export(
        model,
        (example,),
        buffer,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}} if free_batch else None,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        opset_version=OPSET,
        dynamo=False,
    )
    return buffer.getvalue()


def _dynamo(model: "nn.Module", example: "Tensor", free_batch: bool) -> bytes:
    import torch

    program = torch.onnx.export(
        model,
        (example,),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},) if free_batch else None,
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    return bytes(program.model_proto.SerializeToString())


def load_onnx(model: "nn.Module", path: str | PathLike[str]) -> None:
    """Load into `model` what `export_onnx` wrote of one like it: a file, or `builtin:NAME`.

    Parameters go by their names, which the TorchScript exporter keeps. Raises ModelError for a
    damaged file or that of another model.
    """
    torch = import_torch()
    with reading(f"'{path}'"):
        graph = onnx.load(find(path), load_external_data=False).graph
        tensors = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in tensors:  # torch writes equal ones once
            tensors[node.output[0]] = tensors[node.input[0]]
    mine = {n: t for n, t in model.state_dict().items() if not n.endswith("num_batches_tracked")}
    fitting = sum(n in tensors and tensors[n].shape == t.shape for n, t in mine.items())
    if fitting < max(len(mine), len(tensors)):
        raise ModelError(
            f"'{path}' is of another model: {fitting} of its {len(tensors)} tensors fit the "
            f"{len(mine)} of this {type(model).__name__}; build the model that was exported"
        )
    model.load_state_dict({n: torch.tensor(v) for n, v in tensors.items()}, strict=False)
