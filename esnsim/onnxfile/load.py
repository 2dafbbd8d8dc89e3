"""An ONNX file found and parsed, its large tensors left where they are."""

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import ModelProto

from esnsim.errors import ModelError
from esnsim.onnxfile.damage import reading
from esnsim.onnxfile.tensors import Store, map_file
from esnsim.onnxfile.wire import skeleton

BUILTIN = "builtin:"
EMBEDDED = Path(__file__).parents[1] / "embedded"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model as it was parsed, its large tensors left where `store` finds them."""

    proto: ModelProto
    store: Store
    path: str | None
    size_bytes: int

    @property
    def title(self) -> str:
        """How messages name the model."""
        return f"'{self.path}'" if self.path else "the model"


def load(model: str | PathLike[str] | ModelProto) -> Loaded:
    """Parse an ONNX file, or `builtin:NAME`; a ModelProto is taken as it is.

    Raises ModelError for what is no model.
    """
    if isinstance(model, ModelProto):
        loaded = Loaded(model, Store(), None, model.ByteSize())
    else:
        path = find(model)
        with reading(f"'{path}'"):
            data = map_file(path)
            if not len(data):
                raise ModelError(f"'{path}' is empty: give a model saved by onnx")
            store = Store(data, path.parent)
            loaded = Loaded(_parse(data, path), store, str(model), len(data))
    _check(loaded)
    return loaded


def find(model: str | PathLike[str]) -> Path:
    """The file of a model's path or of `builtin:NAME`."""
    name = str(model)
    if name.startswith(BUILTIN):
        path = EMBEDDED / f"{name.removeprefix(BUILTIN)}.onnx"
        names = sorted(p.stem for p in EMBEDDED.glob("*.onnx"))
        if path.stem not in names or path.parent != EMBEDDED:
            known = ", ".join(BUILTIN + n for n in names)
            raise ModelError(f"there is no model '{name}': embedded are {known}")
        return path
    if os.path.isdir(name):
        raise ModelError(f"'{name}' is a directory: give the .onnx file inside it")
    if not os.path.exists(name):
        raise ModelError(f"there is no file '{name}': check the path")
    if not os.path.isfile(name):
        raise ModelError(f"'{name}' is not a regular file: give an .onnx file")
    return Path(model)


def _parse(data: memoryview, path: Path) -> ModelProto:
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
    domains, inputs = proto.opset_import, proto.graph.input
    names = (proto.producer_name, *(o.domain for o in domains), *(i.name for i in inputs))
    if any(isinstance(n, bytes) for n in names):  # protobuf's answer to text that is not UTF-8
        raise ModelError(f"{name} holds names that are not text: the file is damaged")
