"""An ONNX file found and parsed, its large tensors left where they are."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import cast

from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

from esnsim.errors import EsnsimError, ModelError
from esnsim.files.opened import File, open_file
from esnsim.onnxfile.damage import reading
from esnsim.onnxfile.external import external_files
from esnsim.onnxfile.nodes import check_names, order_of, stored_names
from esnsim.onnxfile.path import BUILTIN, EMBEDDED, ModelPath, builtins
from esnsim.onnxfile.tensors import Store
from esnsim.onnxfile.wire import skeleton

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model as it was parsed, its large tensors left where `store` finds them."""

    proto: ModelProto
    store: Store
    path: str | None
    size_bytes: int  # with external data

    @property
    def title(self) -> str:
        """How messages name the model."""
        return f"'{self.path}'" if self.path else "the model"


def load(model: str | PathLike[str] | ModelProto) -> Loaded:
    """Parse an ONNX file, or `builtin:NAME`; a ModelProto is taken as it is.

    Raises ModelError for what is no model.
    """
    if isinstance(model, ModelPath):
        model.loaded = model.loaded or load(str(model))
        return cast(Loaded, model.loaded)
    if isinstance(model, ModelProto):
        loaded = Loaded(model, Store(), None, model.ByteSize())
    else:
        path = find(model)
        with reading(f"'{path}'"):
            data = open_file(path)
            if not len(data):
                raise ModelError(f"'{path}' is empty: give a model saved by onnx")
            store = Store(data, path.parent, Path(os.path.realpath(path)).parent)
            proto = _parse(data, path)
            loaded = Loaded(proto, store, str(model), len(data) + _size_beside(proto, path))
    _check(loaded)
    LOG.info(
        "read %s: %d bytes, %d nodes", loaded.title, loaded.size_bytes, len(loaded.proto.graph.node)
    )
    return _in_order(loaded)


def model_files(model: str) -> Iterator[Path]:
    """The file of a model, and those that its tensors lie in; none of what cannot be read."""
    with suppress(EsnsimError):
        yield (found := find(model))
        yield from external_files(load(model).proto, found.parent, found.resolve().parent)


def _size_beside(proto: ModelProto, path: Path) -> int:
    """Bytes of the files that initialisers lie in."""
    if all(tensor.data_location != TensorProto.EXTERNAL for tensor in proto.graph.initializer):
        return 0
    files = external_files(proto, path.parent, Path(os.path.realpath(path)).parent)
    return sum(file.stat().st_size for file in files)


def find(model: str | PathLike[str]) -> Path:
    """The file of a model's path or of `builtin:NAME`."""
    name = str(model)
    if name.startswith(BUILTIN):
        if name not in builtins():
            raise ModelError(f"there is no model '{name}': embedded are {', '.join(builtins())}")
        return EMBEDDED / f"{name.removeprefix(BUILTIN)}.onnx"
    if os.path.isdir(name):
        raise ModelError(f"'{name}' is a directory: give the .onnx file inside it")
    if not os.path.exists(name):
        embedded = f"{BUILTIN}{name}" in builtins()
        hint = f"the embedded model is {BUILTIN}{name}" if embedded else "check the path"
        raise ModelError(f"there is no file '{name}': {hint}")
    if not os.path.isfile(name):
        raise ModelError(f"'{name}' is not a regular file: give an .onnx file")
    return Path(model)


def _parse(data: File, path: Path) -> ModelProto:
    try:
        proto = ModelProto.FromString(skeleton(data))
    except (DecodeError, RecursionError) as error:
        raise ModelError(
            f"'{path}' is not an ONNX file, or a damaged one ({error}): give a model saved by onnx"
        ) from None
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from None
    return proto


def _check(loaded: Loaded) -> None:
    proto, name = loaded.proto, loaded.title
    if not proto.HasField("graph"):
        raise ModelError(f"{name} holds no graph: it is not an ONNX model; export it again")
    if not proto.graph.node:
        raise ModelError(f"{name} has an empty graph: export a network with operators")
    if not proto.graph.output:
        raise ModelError(f"{name} has no outputs: export it with those that are wanted")
    domains, inputs = proto.opset_import, proto.graph.input
    names = (proto.producer_name, *(o.domain for o in domains), *(i.name for i in inputs))
    if any(isinstance(n, bytes) for n in names):  # protobuf's answer to text that is not UTF-8
        raise ModelError(f"{name} holds names that are not text: the file is damaged")


def _in_order(loaded: Loaded) -> Loaded:
    """The model with its nodes in the order of their values, as ONNX Runtime sorts them."""
    graph = loaded.proto.graph
    with reading(loaded.title):
        check_names((i.name for i in graph.input), stored_names(graph), graph.node)
        order = order_of(graph)
    if order is None:
        return loaded
    proto = ModelProto()
    proto.CopyFrom(loaded.proto)
    del proto.graph.node[:]
    proto.graph.node.extend(graph.node[place] for place in order)
    return replace(loaded, proto=proto)
