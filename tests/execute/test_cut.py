"""A cut graph with its MAC operators in float is ONNX Runtime with optimisation off.

- bit for bit, for every operator that is cut out, whatever lies between and around
- no segment holds a weighted MAC operator; what stays is listed with its reason
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from esnsim import read_onnx
from esnsim.errors import ModelError, UsageError
from esnsim.graph.graph import graph_of
from esnsim.importer import load
from esnsim.model.network import Geometry
from esnsim.run import float_compute, trace
from esnsim.run.macs import PLACES
from tests.execute.cases import AROUND, INTEGER, LINEAR, STAYING
from tests.execute.models import (
    Feeds,
    assert_bit_identical,
    cut_model,
    feeds_of,
    model,
    normal,
    whole,
)
from tests.strategies import geometries


@pytest.mark.parametrize("name", LINEAR | INTEGER | AROUND)
def test_cut_graph_is_onnx_runtime_bit_for_bit(name: str) -> None:
    graph = assert_bit_identical((LINEAR | INTEGER | AROUND)[name]())
    assert not graph.not_simulated
    assert graph.macs


@pytest.mark.parametrize("name", STAYING)
def test_what_cannot_be_cut_out_stays_and_says_why(name: str) -> None:
    make, reasons = STAYING[name]
    graph = assert_bit_identical(make(), feeds_of(make(), batch=1))
    assert [stays.reason for stays in graph.not_simulated] == reasons


@pytest.mark.parametrize("network", ["builtin:resnet8", "builtin:resnet20"])
def test_embedded_network_is_onnx_runtime_bit_for_bit(network: str) -> None:
    graph = assert_bit_identical(network)
    assert len(graph.macs) == len(read_onnx(network).layers)


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "densenet121"])
def test_network_of_the_onnx_wheel_is_onnx_runtime_bit_for_bit(name: str) -> None:
    path = Path(onnx.__file__).parent / f"backend/test/data/light/light_{name}.onnx"
    assert_bit_identical(str(path))


@settings(max_examples=30)
@given(geometries(min_rank=1), st.sampled_from([1, 2, 3]), st.booleans())
def test_every_convolution_is_onnx_runtime_bit_for_bit(
    geometry: Geometry, groups: int, depthwise: bool
) -> None:
    more = zip(geometry.output_padding, geometry.strides, strict=False)
    assume(all(padding < stride for padding, stride in more))  # ONNX Runtime refuses the rest
    assert_bit_identical(convolution(geometry, groups, 1 if depthwise else 2))


def convolution(geometry: Geometry, groups: int, fan_in: int) -> ModelProto:
    """A model of one convolution with `fan_in` channels a group and bias, between two Negs."""
    g, rank = geometry, len(geometry.kernel)
    before, after = zip(*g.pads, strict=True)
    attributes = {
        "strides": g.strides, "dilations": g.dilations, "pads": (*before, *after), "group": groups,
    } | ({"output_padding": g.output_padding} if g.transposed else {})  # fmt: skip
    shape = (groups * fan_in, 2) if g.transposed else (groups * 2, fan_in)
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node(f"Conv{'Transpose' * g.transposed}", ["a", "w", "b"], ["h"], **attributes),
        helper.make_node("Neg", ["h"], ["y"]),
    ]
    size = [g.batch, groups * fan_in, *g.input_size]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * (rank + 2))],
        [numpy_helper.from_array(normal(*shape, *g.kernel), "w"),
         numpy_helper.from_array(normal(groups * 2), "b")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def test_float16_is_rounded_at_each_border() -> None:
    """ONNX Runtime keeps float32 between operators without a kernel for float16; we cannot."""
    one = model(
        "a = Neg(x) h = Conv(a, w) y = Neg(h)", "float16[N,3,6,5] x",
        w=normal(3, 3, 1, 1, dtype=np.float16),
    )  # fmt: skip
    assert_bit_identical(one)
    two = model("h = MatMul(x, w) y = MatMul(h, w)", "float16[N,3] x", w=np.eye(3, dtype="f2") / 3)
    graph, feeds = cut_model(two), feeds_of(two)
    got, wanted = graph.run(feeds, float_compute(graph))["y"], whole(two, feeds)["y"]
    np.testing.assert_allclose(
        got, wanted, rtol=2**-10
    )  # half a unit in the last of 11 bits, twice


def test_no_segment_holds_a_weighted_operator_nor_its_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[ModelProto] = []
    real = ort.InferenceSession

    def watch(data: bytes, *rest: object, **named: object) -> ort.InferenceSession:
        opened.append(ModelProto.FromString(data))
        return real(data, *rest, **named)

    monkeypatch.setattr(ort, "InferenceSession", watch)
    for make in (LINEAR | INTEGER | AROUND).values():
        cut_model(make())
    graph = cut_model("builtin:resnet20")
    assert len(opened) > len(graph.levels)
    names = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", *PLACES}
    assert not names & {node.op_type for part in opened for node in part.graph.node}
    weights = {mac.node.input[1] for mac in graph.macs}
    kept = {t.name for part in opened[-len(graph.levels) :] for t in part.graph.initializer}
    assert weights
    assert not weights & kept


def test_products_of_activations_stay_in_their_segment() -> None:
    proto = model(
        """h = MatMul(x, w) t = Transpose<perm=[0,2,1]>(h) s = MatMul(h, t) p = Softmax(s)
           y = MatMul(p, h)""",
        "float[N,3,7] x", w=normal(7, 5),
    )  # fmt: skip
    graph = assert_bit_identical(proto)
    assert [mac.node.op_type for mac in graph.macs] == ["MatMul"]


def test_a_batch_of_another_size_than_the_imported_runs() -> None:
    proto = LINEAR["matmul"]()
    for batch in (1, 3):
        assert_bit_identical(proto, feeds_of(proto, batch))


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize(
    "name", ["large constants", "large constants inside functions and branches"]
)
def test_what_lies_in_files_is_read_and_nothing_is_written(
    tmp_path: Path, name: str, external: bool
) -> None:
    proto, path = AROUND[name](), tmp_path / "m.onnx"
    feeds = feeds_of(proto)
    wanted = whole(proto, feeds)["y"]
    more = {"save_as_external_data": True, "size_threshold": 0, "convert_attribute": True}
    onnx.save(proto, path, **(more if external else {}))
    before = sorted(tmp_path.iterdir())
    assert len(before) == (2 if external else 1)
    graph = cut_model(str(path))
    np.testing.assert_array_equal(graph.run(feeds, float_compute(graph))["y"], wanted)
    assert sorted(tmp_path.iterdir()) == before


def test_values_are_dropped_after_their_last_use() -> None:
    graph = cut_model(AROUND["a value read levels later"]())
    assert [sorted(level.last) for level in graph.levels] == [[], [], [], ["a", "h", "i", "j", "x"]]


def test_two_operators_of_one_name_are_told_apart() -> None:
    proto = model(
        "h = Conv(x, w) r = Relu(h) y = Conv(r, v)",
        w=normal(3, 3, 1, 1), v=normal(3, 3, 1, 1, seed=1),
    )  # fmt: skip
    feeds = feeds_of(proto)
    wanted = whole(proto, feeds)["y"]
    for node in proto.graph.node:
        node.name = "one"
    graph = cut_model(proto)
    np.testing.assert_array_equal(graph.run(feeds, float_compute(graph))["y"], wanted)


def test_trace_gives_the_activations_of_the_float_model() -> None:
    proto = AROUND["an activation that two operators read"]()
    graph, feeds = cut_model(proto), feeds_of(proto)
    (first, a), (second, b) = trace(graph, feeds)
    assert (first.result, second.result) == ("h", "i")
    np.testing.assert_array_equal(a, np.maximum(feeds["x"], 0))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "the model's inputs are 'x', but got none"),
        ({"z": normal(1, 3, 6, 5)}, "the model's inputs are 'x', but got 'z'"),
        (
            {"x": normal(1, 3, 6, 5, dtype=float)},
            "input 'x' needs float32 of shape (N, 3, 6, 5), but got float64 of shape (1, 3, 6, 5)",
        ),
        (
            {"x": normal(1, 3, 5, 6)},
            "input 'x' needs float32 of shape (N, 3, 6, 5), but got float32 of shape (1, 3, 5, 6)",
        ),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(feeds: Feeds, message: str) -> None:
    graph = cut_model(LINEAR["conv"]())
    with pytest.raises(UsageError) as error:
        graph.run(feeds, float_compute(graph))
    assert str(error.value) == message


def test_a_network_of_another_model_is_refused() -> None:
    network = read_onnx(LINEAR["conv"]())
    with pytest.raises(UsageError) as error:
        graph_of(load(LINEAR["grouped conv"]()), network)
    assert str(error.value) == (
        "the network was not read from the model, whose layers differ: give the model that "
        "read_onnx was given"
    )


def test_what_onnx_runtime_does_not_know_is_one_line() -> None:
    proto = model("h = Conv(x, w) y = unheard.of.Stir(h)", w=normal(3, 3, 1, 1))
    with pytest.raises(
        ModelError, match=r"cannot run the part of the model that gives 'y': .*Stir"
    ) as error:
        cut_model(proto)
    assert "\n" not in str(error.value)


def test_what_stops_onnx_runtime_is_one_line() -> None:
    proto = model(
        "h = Conv(x, w) y = Gather(h, i)", "float[1,3,2,2] x, int64[2] i", w=normal(3, 3, 1, 1)
    )
    graph = cut_model(proto)
    with pytest.raises(ModelError, match=r"ONNX Runtime stopped: .*Gather") as error:
        graph.run({"x": normal(1, 3, 2, 2), "i": np.array([0, 9])}, float_compute(graph))
    assert "\n" not in str(error.value)


def test_nodes_out_of_order_are_sorted() -> None:
    proto = model("h = Conv(x, w) r = Relu(h) y = Neg(r)", "float[1,3,2,2] x", w=normal(3, 3, 1, 1))
    graph, feeds = cut_model(proto), {"x": normal(1, 3, 2, 2)}
    wanted = graph.run(feeds, float_compute(graph))["y"]
    relu = onnx.NodeProto()
    relu.CopyFrom(proto.graph.node[1])
    del proto.graph.node[1]
    proto.graph.node.append(relu)
    graph = cut_model(proto)
    np.testing.assert_array_equal(graph.run(feeds, float_compute(graph))["y"], wanted)


def test_inputs_are_tensors() -> None:
    proto = model("h = Conv(x, w) y = ConcatFromSequence<axis=0>(s)", w=normal(3, 3, 1, 1))
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    proto.graph.input.append(sequence)
    with pytest.raises(ModelError) as error:
        cut_model(proto)
    assert str(error.value) == ("input 's' is no tensor: esnsim runs models whose inputs are")


def test_sequences_are_no_outputs() -> None:
    graph = cut_model(model("h = Conv(x, w) y = SequenceConstruct(h, x)", w=normal(3, 3, 1, 1)))
    with pytest.raises(ModelError, match=r"gives tensors, not a seq\(tensor\(float\)\)"):
        graph.run({"x": normal(1, 3, 6, 5)}, float_compute(graph))
