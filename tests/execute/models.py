"""Small models that run, and what ONNX Runtime makes of them as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, SparseTensorProto, TensorProto, ValueInfoProto, helper, numpy_helper

from esnsim.graph.model import open_model
from esnsim.importer import find
from esnsim.run import CutGraph, cut, float_compute
from esnsim.run.session import session_options
from tests.importer import models as importer_models

Array = NDArray[Any]
Feeds = dict[str, Array]


def model(
    nodes: str,
    inputs: str = "float[N,3,6,5] x",
    outputs: str = "y",
    functions: str = "",
    opset: int = 21,
    **initializers: Array | TensorProto,
) -> ModelProto:
    """A model whose outputs, separated by spaces, have whatever type they come out with."""
    proto = importer_models.model(nodes, inputs, functions, opset, **initializers)
    del proto.graph.output[:]
    proto.graph.output.extend(ValueInfoProto(name=name) for name in outputs.split())
    return proto


def with_large_constants(proto: ModelProto) -> ModelProto:
    """The model, tensors in place of the scalars of its function's and branch's first node."""
    branch = proto.graph.node[-1].attribute[0].g
    for node, shape in ((proto.functions[0].node[0], (20, 20)), (branch.node[0], (20, 13))):
        node.attribute[0].t.CopyFrom(numpy_helper.from_array(normal(*shape)))
    return proto


def sparse(proto: ModelProto) -> ModelProto:
    """The model with a sparse initialiser `s` of 4×4."""
    values = numpy_helper.from_array(normal(3), "s")
    indices = numpy_helper.from_array(np.array([[0, 1], [2, 0], [3, 1]]), "")
    tensor = SparseTensorProto(values=values, indices=indices, dims=[4, 4])
    proto.graph.sparse_initializer.append(tensor)
    return proto


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Array:
    """Weights or activations that are different everywhere."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(dtype)


def integers(*shape: int, dtype: Any = np.int8, bits: int = 7, seed: int = 0) -> Array:
    """Integers of 7 bits, whose sums no kernel of ONNX Runtime saturates."""
    low = 0 if np.dtype(dtype).kind == "u" else -(1 << bits - 1)
    rng = np.random.default_rng((seed, *shape))
    return rng.integers(low, low + (1 << bits), shape).astype(dtype)


def feeds_of(proto: ModelProto | str, batch: int = 2) -> Feeds:
    """Random inputs, of the given batch where it is free."""
    loaded = proto if isinstance(proto, ModelProto) else None
    graph = (loaded or onnx_model(str(proto))).graph
    stored = {tensor.name for tensor in graph.initializer}
    feeds = {}
    for seed, info in enumerate(i for i in graph.input if i.name not in stored):
        shape = tuple(d.dim_value or batch for d in info.type.tensor_type.shape.dim)
        feeds[info.name] = _random(info.type.tensor_type.elem_type, shape, seed)
    return feeds


def onnx_model(path: str) -> ModelProto:
    return onnx.load(find(path))


def _random(elem_type: int, shape: tuple[int, ...], seed: int) -> Array:
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(elem_type))
    if dtype.kind == "f":
        return normal(*shape, seed=seed, dtype=dtype)
    if dtype.kind == "b":
        return np.ones(shape, bool)
    return integers(*shape, dtype=dtype, seed=seed)


def whole(proto: ModelProto | str | Path, feeds: Feeds, optimised: bool = False) -> Feeds:
    """The outputs that ONNX Runtime gives for the whole model."""
    loaded = proto.SerializeToString() if isinstance(proto, ModelProto) else str(find(proto))
    options = ort.SessionOptions() if optimised else session_options()
    session = ort.InferenceSession(loaded, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def cut_model(proto: ModelProto | str, **shapes: tuple[int, ...]) -> CutGraph:
    return cut(open_model(proto, shapes))


def assert_bit_identical(proto: ModelProto | str, feeds: Feeds | None = None) -> CutGraph:
    """The cut graph with MAC operators in float gives ONNX Runtime's result, bit for bit."""
    feeds = feeds_of(proto) if feeds is None else feeds
    graph = cut_model(proto)
    got, wanted = graph.run(feeds, float_compute(graph)), whole(proto, feeds)
    assert list(got) == list(wanted)
    for name, array in wanted.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array, strict=True)
    return graph
