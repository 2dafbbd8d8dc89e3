"""The node cases of the ONNX specification, which the onnx wheel makes."""

import warnings
from functools import cache
from typing import Any

import onnx
from onnx import ModelProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase

from tests.importer.models import Array


@cache
def all_cases() -> list[TestCase]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(action="ignore"):  # onnx computes infinities on purpose
        return collect_testcases(None)  # type: ignore[no-untyped-call,no-any-return]


def cases(op_type: str) -> list[tuple[ModelProto, dict[str, Array], Array]]:
    """(model, inputs by name, first output) of each case of one operator."""
    chosen = [c for c in all_cases() if [n.op_type for n in c.model.graph.node] == [op_type]]
    assert chosen
    return [(c.model, *_data(c)) for c in chosen]


def _data(case: TestCase) -> tuple[dict[str, Array], Array]:
    ((inputs, outputs),) = case.data_sets
    names = [i.name for i in case.model.graph.input]
    return dict(zip(names, map(_array, inputs), strict=True)), _array(outputs[0])


def _array(value: Any) -> Array:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
