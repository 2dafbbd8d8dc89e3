"""Parts of a graph as ONNX Runtime sessions, with optimisation off."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, SparseTensorProto, TensorProto, TypeProto, ValueInfoProto

from esnsim.errors import ModelError
from esnsim.graph.model import Model
from esnsim.graph.nodes import reads, tensors
from esnsim.importer.control import MOST_TRIPS
from esnsim.model.network import Array
from esnsim.onnxfile.tensors import element_dtype
from esnsim.run.foreign import standardised
from esnsim.threads import workers

LARGE = 1 << 16  # bytes of a tensor that a session reads where it lies
SHARED = {
    TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT8,
    TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64,
}  # fmt: skip

#: A value between sessions: an array, or what ONNX Runtime made, of any of its types.
Value: TypeAlias = Array | ort.OrtValue


@dataclass(frozen=True, slots=True)
class Session:
    """A part of a graph, from the values that it reads to those that it gives."""

    runtime: ort.InferenceSession
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    held: tuple[Array, ...]  # weights that the runtime may read in place

    @property
    def types(self) -> dict[str, str]:
        """ONNX Runtime's names of the types of the outputs."""
        return {output.name: output.type for output in self.runtime.get_outputs()}

    def run(self, values: Mapping[str, Value]) -> dict[str, ort.OrtValue]:
        """The outputs for these values of the inputs. Raises ModelError where it can't run."""
        feeds = {name: to_runtime(values[name]) for name in self.inputs}
        try:
            results = self.runtime.run_with_ort_values(self.outputs, feeds)
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise ModelError(f"ONNX Runtime stopped: {first_line(error)}") from None
        return dict(zip(self.outputs, results, strict=True))


def to_runtime(value: Value) -> ort.OrtValue:
    """A value as ONNX Runtime takes it: the array's own memory, which the caller keeps alive."""
    if isinstance(value, ort.OrtValue):
        return value
    return ort.OrtValue.ortvalue_from_numpy(np.require(value, requirements=["C"]))


def to_array(value: Value) -> Array:
    """A value as NumPy takes it. Raises ModelError for a sequence."""
    if not isinstance(value, ort.OrtValue):
        return value
    if not value.is_tensor():
        raise ModelError(f"esnsim gives tensors, not a {value.data_type()}")
    return np.asarray(value.numpy())


def open_session(
    graph: Model,
    nodes: Iterable[int],
    inputs: Mapping[str, str],
    outputs: Sequence[str],
    threads: int = 0,
    optimised: bool = False,
    arena: bool = True,
) -> Session:
    """A session of nodes (by place), with copies of the constant nodes that they need.

    Unless `optimised` each node gives the very numbers that it gives alone. Without an `arena` its
    memory goes with each value, and not with the last of them.
    `inputs` maps names to ONNX Runtime's types. Raises ModelError where it can't be loaded.
    """
    check_ends(graph)
    part, held = _part(graph, nodes, inputs, outputs)
    options = session_options(threads)
    options.enable_cpu_mem_arena = arena
    if optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in held.values()]
    options.add_external_initializers([*held], values)
    try:
        runtime = ort.InferenceSession(
            part.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(
            f"ONNX Runtime cannot run the part of the model that gives '{outputs[0]}': "
            f"{first_line(error)}"
        ) from None
    return Session(runtime, tuple(inputs), tuple(outputs), tuple(held.values()))


def check_ends(graph: Model) -> None:
    """Raise ModelError for a model with a Loop that would run forever."""
    name = graph.network.endless
    if name:
        raise ModelError(
            f"Loop '{name}' would run more than {MOST_TRIPS:,} times, and nothing in it ends it: "
            "it is counted and not run; export the model with the trips that it takes"
        )


def session_options(threads: int = 0) -> ort.SessionOptions:
    """Optimisation off, and threads that do not spin: idle sessions would slow the others."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads and workers(threads)
    options.log_severity_level = 4
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    return options


def _part(
    graph: Model, nodes: Iterable[int], inputs: Mapping[str, str], outputs: Sequence[str]
) -> tuple[ModelProto, dict[str, Array]]:
    """The nodes as a model of their own, and its large initialisers, which it only names."""
    part = ModelProto(ir_version=max(4, graph.proto.ir_version))
    part.opset_import.extend(graph.proto.opset_import)
    part.functions.extend(graph.proto.functions)
    part.graph.name = outputs[0]
    part.graph.input.extend(_value(name, type_name) for name, type_name in inputs.items())
    part.graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    chosen, names = _with_constants(graph, nodes, outputs)
    part.graph.node.extend(standardised(graph.nodes[place] for place in sorted(chosen)))
    for node in (*part.graph.node, *(n for f in part.functions for n in f.node)):
        for tensor in tensors(node):
            graph.store.fill(tensor)
    for sparse in graph.proto.graph.sparse_initializer:
        if sparse.values.name in names:
            part.graph.sparse_initializer.append(_filled_sparse(graph, sparse))
    held: dict[str, Array] = {}
    for tensor in graph.proto.graph.initializer:
        if tensor.name in names:
            array = _add(graph, part.graph.initializer.add(), tensor)
            held |= {} if array is None else {tensor.name: array}
    return part, held


def _with_constants(
    graph: Model, nodes: Iterable[int], outputs: Iterable[str]
) -> tuple[set[int], set[str]]:
    """The nodes with all constant ones that they need, and the constants' names."""
    chosen, names = set(nodes), set[str]()
    wanted = [name for place in chosen for name in reads(graph.nodes[place])]
    wanted += outputs
    while wanted:
        name = wanted.pop()
        if name in names or name not in graph.constants:
            continue
        names.add(name)
        place = graph.producers.get(name)
        if place is not None:
            chosen.add(place)
            wanted += reads(graph.nodes[place])
    return chosen, names


def _add(graph: Model, target: TensorProto, tensor: TensorProto) -> Array | None:
    """Write an initialiser into a model: its values, or where they are large, their array."""
    raw = graph.store.raw(tensor, tensor.name)
    if raw is None or len(raw) < LARGE or tensor.data_type not in SHARED:
        target.CopyFrom(tensor)
        graph.store.fill(target)
        return None
    target.name, target.data_type = tensor.name, tensor.data_type
    target.dims.extend(tensor.dims)
    target.data_location = TensorProto.EXTERNAL
    target.external_data.add(key="location", value=tensor.name)
    dtype = element_dtype(tensor.data_type, tensor.name)
    array = np.frombuffer(raw, dtype).reshape(tuple(tensor.dims))
    return np.require(array, requirements=["A"])


def _filled_sparse(graph: Model, sparse: SparseTensorProto) -> SparseTensorProto:
    copy = SparseTensorProto()
    copy.CopyFrom(sparse)
    graph.store.fill(copy.values)
    graph.store.fill(copy.indices)
    return copy


def _value(name: str, type_name: str) -> ValueInfoProto:
    """An input of a type such as `tensor(float)` or `seq(tensor(int64))`, its shape left open."""
    info = ValueInfoProto(name=name)
    _set_type(info.type, type_name)
    return info


def _set_type(proto: TypeProto, type_name: str) -> None:
    kind, _, inner = type_name.removesuffix(")").partition("(")
    if kind == "seq":
        _set_type(proto.sequence_type.elem_type, inner)
    elif kind == "optional":
        _set_type(proto.optional_type.elem_type, inner)
    else:
        proto.tensor_type.elem_type = TensorProto.DataType.Value(inner.upper())


def first_line(error: Exception) -> str:
    """What an error of ONNX Runtime says first."""
    return str(error).strip().partition("\n")[0]
