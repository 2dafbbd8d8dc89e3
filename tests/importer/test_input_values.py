"""The value of an input chooses the branch of an If, in counting and in running alike."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper, parser

from esnsim import ModelError, read_onnx
from tests.commandline import esnsim, refused


def switching() -> ModelProto:
    """One of two products by weights of other sizes, as the input `rate` says."""
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18]> g (float[N,6] x, int64 rate) => (float[N,5] y) {'
        " high = Constant<value_int=16000>() is = Equal(rate, high)"
        " y = If(is) < then_branch = t () => (float[] p) { p = MatMul(x, w) },"
        " else_branch = e () => (float[] q) { h = MatMul(x, v) q = MatMul(h, u) }> }"
    )
    rng = np.random.default_rng(0)
    for name, shape in (("w", (6, 5)), ("v", (6, 7)), ("u", (7, 5))):
        values = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    return model


@pytest.mark.parametrize(("rate", "macs"), [(16000, [30]), (8000, [42, 35])])
def test_a_value_chooses_the_branch(rate: int, macs: list[int]) -> None:
    network = read_onnx(switching(), None, {"rate": rate})
    assert [layer.macs for layer in network.layers] == macs
    assert not network.notes[1:]


def test_commands_take_it(tmp_path: Path) -> None:
    onnx.save(switching(), tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(8, 6)).astype(np.float32))
    found = esnsim("cost", tmp_path / "m.onnx", "--input-value", "rate=8000", "--json", "-q")
    assert json.loads(found.out)["totals"]["macs"] == 77


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"other": 1.0}, "names 'other', but the inputs are 'x', 'rate'"),
        ({"x": 1.0}, "which is 1×6: give values of inputs of one number"),
        ({"rate": 0.5}, "the input is of type int64"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        read_onnx(switching(), None, values)


def test_an_option_that_is_no_value_is_wrong_usage() -> None:
    refused(esnsim("cost", "builtin:resnet8", "--input-value", "sr"), "give NAME=16000", code=2)
