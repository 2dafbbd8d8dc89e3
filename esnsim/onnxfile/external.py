"""The files beside a model that its tensors lie in."""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import Message
from onnx import ModelProto, TensorProto

from esnsim.errors import ModelError
from esnsim.onnxfile.tensors import external_path


def external_files(model: ModelProto, folder: Path, origin: Path | None = None) -> tuple[Path, ...]:
    """The external files of a model in `folder`, each once; those that are refused left out.

    `origin` is where the link of the model leads.
    """
    found = dict[Path, None]()
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            location = next((e.value for e in tensor.external_data if e.key == "location"), "")
            try:
                found[external_path(folder, location, tensor.name, origin)] = None
            except ModelError:  # said where the tensor is read
                continue
    return tuple(found)


def _tensors(message: Message) -> Iterator[TensorProto]:
    """Every tensor of a message, wherever it lies."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                yield from _tensors(each)
