"""Models as Python has them, paths, protos or torch modules, as what reads them takes them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from esnsim.costs.cost import Cost
from esnsim.errors import UsageError

Given = TypeVar("Given")

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from esnsim.graph.model import Model

    Source: TypeAlias = str | PathLike[str] | ModelProto | nn.Module
    Shapes: TypeAlias = Mapping[str, tuple[int, ...]]


def path_of(source: Any) -> str | None:
    """The path of a model, None of one in memory."""
    return str(source) if isinstance(source, str | PathLike) else None


def name_of(source: Any) -> str:
    """How reports call a model."""
    from onnx import ModelProto

    if isinstance(source, Cost):
        return source.network.source.path or "model"
    if isinstance(source, ModelProto):
        return source.graph.name or "model"
    return str(source) if isinstance(source, str | PathLike) else type(source).__name__


@contextmanager
def files_of(sources: Sequence[Any], example: Any) -> Iterator[tuple[tuple[str, str], ...]]:
    """Models by name, and the files that processes read them from; those in memory are written."""
    from onnx import ModelProto

    found: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        for place, source in enumerate(sources):
            model = to_onnx(source, example)
            if isinstance(model, ModelProto):
                name, file = model.graph.name or "model", f"{folder}/{place}.onnx"
                Path(file).write_bytes(model.SerializeToString())
            else:  # a ModelPath stays one, and is parsed once
                name, file = str(model), model if isinstance(model, str) else str(model)
            if name in found:
                raise UsageError(f"a model is given twice, '{name}': leave one out, or rename it")
            found[name] = file
        yield tuple(found.items())


def opened_from(
    source: "Source", example: Any, shapes: "Shapes | None", values: Mapping[str, float] | None
) -> "Model":
    """The opened model, for the shapes and values of its inputs."""
    from esnsim.graph.model import open_model

    return open_model(to_onnx(source, example), shapes, values)


def apart(sources: Sequence[Any], given: Mapping[str, Given]) -> list[Mapping[str, Given]]:
    """What is given for inputs by name, for each model that of its own inputs, and what no model
    has, which is then refused.
    """
    from onnx import ModelProto

    from esnsim.onnxfile.load import load

    def inputs(source: Any) -> set[str]:
        told = isinstance(source, str | PathLike) and not str(source).lower().endswith(".json")
        graph = load(source).proto.graph if told or isinstance(source, ModelProto) else None
        return {item.name for item in graph.input} if graph else set()

    if not given:
        return [given] * len(sources)
    every = [inputs(source) for source in sources]
    known = set[str]().union(*every)
    return [{n: v for n, v in given.items() if n in names or n not in known} for names in every]


def to_onnx(source: Any, example: Any) -> "str | PathLike[str] | ModelProto":
    """What the importer reads; a torch module is exported with its example."""
    from onnx import ModelProto

    if isinstance(source, str | PathLike | ModelProto):
        return source
    if not hasattr(source, "named_modules"):
        raise UsageError(
            f"a {type(source).__name__} is no model: give a path, builtin:NAME, a ModelProto, or a "
            "torch module with example="
        )
    if example is None:
        raise UsageError("a torch module needs an input: give example=")
    from esnsim.training.export import export_proto

    return export_proto(source, example)
