"""The node cases of the ONNX specification, which the onnx wheel makes."""

import warnings
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import onnx
from onnx import ModelProto, numpy_helper
from onnx.backend.test.case import node
from onnx.backend.test.case.test_case import TestCase

from tests.importer.models import Array

FILES = {file.name.replace("_", ""): file.name for file in iter_modules(node.__path__)}


@cache
def cases(op_type: str) -> list[tuple[ModelProto, dict[str, Array], Array]]:
    """(model, inputs by name, first output) of each case of one operator, in a file of its name."""
    with warnings.catch_warnings(action="ignore"):  # onnx computes infinities on purpose
        import_module(f"{node.__name__}.{FILES[op_type.lower()]}")
    every = node._NodeTestCases
    chosen = [c for c in every if [n.op_type for n in c.model.graph.node] == [op_type]]
    assert chosen
    return [(c.model, *_data(c)) for c in chosen]


def _data(case: TestCase) -> tuple[dict[str, Array], Array]:
    ((inputs, outputs),) = case.data_sets
    names = [i.name for i in case.model.graph.input]
    return dict(zip(names, map(_array, inputs), strict=True)), _array(outputs[0])


def _array(value: Any) -> Array:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
