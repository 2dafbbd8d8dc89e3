"""Graphs that ONNX forbids: what ONNX Runtime refuses to load is refused, in one line."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, NodeProto, helper

from esnsim import read_onnx
from tests.commandline import esnsim, refused
from tests.importer.models import model
from tests.samples import saved, weights

W, V = weights(4, 3, 3, 3), weights(3, 4, 1, 1)
X = "float[1,3,6,5] x"
BRANCHES = """y = If(c) <then_branch = t () => (float[] p) {{ {} }},
  else_branch = e () => (float[] q) {{ q = Identity(a) }}>"""


def branch(nodes: str) -> ModelProto:
    return model(f"a = Conv(x, w) {BRANCHES.format(nodes)}", X, w=W, v=V, c=np.array(True))


def without_inputs() -> ModelProto:
    proto = model("a = Conv(x, w) y = Relu(a)", X, w=W)
    proto.graph.node.append(NodeProto(op_type="Relu", output=["r"]))
    return proto


def without_outputs() -> ModelProto:
    proto = model("y = Conv(x, w)", X, w=W)
    proto.graph.node.append(helper.make_node("Relu", ["x"], [""]))
    return proto


REFUSED: dict[str, tuple[ModelProto, str]] = {
    "an initialiser and a node": (
        model("a = Conv(x, w) w = Conv(a, v) y = Relu(w)", X, w=W, v=V), "'w' is defined twice",
    ),
    "two nodes": (
        model("a = Conv(x, w) a = Neg(x) y = Relu(a)", X, w=W), "'a' is defined twice",
    ),
    "an input and a node": (model("x = Conv(x, w) y = Relu(x)", X, w=W), "'x' is defined twice"),
    "two inputs": (model("y = Conv(x, w)", f"{X}, {X}", w=W), "'x' is defined twice"),
    "two nodes of a branch": (
        branch("p = Neg(a) p = Abs(a)"), "'p' is defined twice",
    ),
    "a branch's node and one around it": (branch("a = Neg(x) p = Abs(a)"), "'a' is defined twice"),
    "a cycle": (
        model("a = Add(x, b) b = Relu(a) y = Conv(b, w)", X, w=W),
        "the graph has a cycle",
    ),
    "an undefined activation": (
        model("y = Conv(q, w)", X, w=W), "Conv 'y' reads 'q', which nothing before it defines",
    ),
    "an undefined weight": (model("y = Conv(x, w)", X), "Conv 'y' reads 'w', which nothing"),
    "an undefined bias": (model("y = Conv(x, w, q)", X, w=W), "Conv 'y' reads 'q', which nothing"),
    "an undefined value in a branch": (branch("p = Neg(q)"), "Neg 'p' reads 'q', which nothing"),
    "a branch out of order": (branch("p = Neg(r) r = Abs(a)"), "Neg 'p' reads 'r', which nothing"),
    "an undefined output": (
        model("z = Conv(x, w)", X, w=W), "output 'y' is given by no operator",
    ),
    "a Relu without inputs": (without_inputs(), "Relu 'r' has 0 inputs, and needs 1"),
    "a Relu without outputs": (without_outputs(), "Relu '' has 0 outputs, and needs 1"),
    "a Conv of four inputs": (
        model("y = Conv(x, w, b, b)", X, w=W, b=weights(4)),
        "Conv 'y' has 4 inputs, and needs 2 to 3",
    ),
}  # fmt: skip


def load(proto: ModelProto) -> None:
    copy = ModelProto()
    copy.CopyFrom(proto)
    del copy.opset_import[1:]
    options = ort.SessionOptions()
    options.log_severity_level = 4
    ort.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_onnx_runtime_refuses_is_refused_by_every_command(tmp_path: Path, name: str) -> None:
    proto, said = REFUSED[name]
    with pytest.raises(Exception, match=r"INVALID|FAIL|invalid|Error"):
        load(proto)
    path = saved(proto, tmp_path)
    refused(esnsim("cost", path), said, "export")
    refused(esnsim("simulate", path), said, "export")
    refused(esnsim("compress", path, "-o", tmp_path / "small.onnx"), said, "export")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_what_is_listed_twice_and_loads_is_named() -> None:
    proto = model("y = Conv(x, w)", X, w=W)
    proto.graph.initializer.append(proto.graph.initializer[0])
    proto.graph.output.append(proto.graph.output[0])
    load(proto)
    network = read_onnx(proto)
    assert len(network.layers) == 1
    assert network.notes == tuple(
        f"the {what} is listed 2 times: the last one counts"
        for what in ("initialiser 'w'", "output 'y'")
    )


def test_names_that_an_inner_graph_may_have_too_are_read() -> None:
    """Branches may have the names of each other, and of values that are made later."""
    proto = branch("y = Neg(a) p = Abs(y)")
    load(proto)
    assert len(read_onnx(proto).layers) == 1


@pytest.mark.parametrize("command", ["cost", "simulate", "compress"])
def test_a_graph_without_outputs_ends_in_one_line(tmp_path: Path, command: str) -> None:
    proto = model("y = Conv(x, w)", X, w=W)
    del proto.graph.output[:]
    path, small = saved(proto, tmp_path), tmp_path / "small.onnx"
    more = ("-o", small) if command == "compress" else ()
    refused(esnsim(command, path, *more), "has no outputs: export it with those that are wanted")
    assert not small.exists()


@pytest.mark.parametrize("place", ["node", "tensor"])
def test_very_long_names_leave_a_message_short(tmp_path: Path, place: str) -> None:
    name = "w" * 100_000
    proto = model(f"[layer] y = Conv(x, {name if place == 'tensor' else 'w'})", X)
    proto.graph.node[0].name = "layer" if place == "tensor" else name
    ended = esnsim("cost", saved(proto, tmp_path))
    refused(ended, "Conv '", "' reads '", "', which nothing before it defines")
    assert len(ended.err) < 1000
    with pytest.raises(Exception, match="reads") as error:
        read_onnx(proto)
    assert len(str(error.value)) < 1000
