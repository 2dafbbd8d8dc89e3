"""Shapes: free dimensions, opsets, missing and computed shape information."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, shape_inference, version_converter

from esnsim import ModelError, Network
from tests.importer.models import model, ramp, read_whole

W = ramp(4, 3, 3, 3)
CONV = "y = Conv(x, w)"


def sizes(network: Network) -> list[tuple[int, tuple[int, ...]]]:
    """Batch and input size of every layer, all of which are counted."""
    assert not network.uncounted
    return [(layer.geometry.batch, layer.geometry.input_size) for layer in network.layers]


# Free dimensions --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["N", "batch_size", "?"])
def test_a_free_batch_is_1_and_the_report_says_so(batch: str) -> None:
    proto = model(CONV, "float[N,3,6,5] x", w=W)
    dim = proto.graph.input[0].type.tensor_type.shape.dim[0]
    dim.Clear()
    if batch != "?":
        dim.dim_param = batch
    network = read_whole(proto)
    assert sizes(network) == [(1, (6, 5))]
    assert network.notes == ("the batch of 'x' is free and counted as 1 (--input-shape)",)
    assert network.source.inputs == (("x", (1, 3, 6, 5)),)


@pytest.mark.parametrize("value", [0, -1])
def test_a_batch_of_0_or_minus_1_is_free(value: int) -> None:
    proto = model(CONV, "float[7,3,6,5] x", w=W)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = value
    assert sizes(read_whole(proto)) == [(1, (6, 5))]


def test_a_fixed_batch_is_read_as_it_is() -> None:
    network = read_whole(model(CONV, "float[7,3,6,5] x", w=W))
    assert sizes(network) == [(7, (6, 5))]
    assert not network.notes


def test_other_free_dimensions_are_asked_for() -> None:
    proto = model(CONV, "float[N,3,H,W] x", w=W)
    with pytest.raises(ModelError) as caught:
        read_whole(proto)
    assert str(caught.value) == (
        "input 'x' is N×3×H×W: give its free sizes with --input-shape x=1,3,224,224"
    )


@pytest.mark.parametrize("name", ["?", "None", "-1"])
def test_sizes_without_a_name_of_their_own_are_not_one_size(name: str) -> None:
    proto = model(CONV, "float[N,3,H,W] x", w=W)
    for axis in (0, 2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    with pytest.raises(ModelError, match="give its free sizes with --input-shape x=1,3,224,224"):
        read_whole(proto)
    assert sizes(read_whole(proto, {"x": (2, 3, 9, 8)})) == [(2, (9, 8))]


@pytest.mark.parametrize("name", ["x", ""])
def test_a_given_shape_fixes_them(name: str) -> None:
    network = read_whole(model(CONV, "float[N,3,H,W] x", w=W), {name: (2, 3, 9, 8)})
    assert sizes(network) == [(2, (9, 8))]
    assert not network.notes


def test_a_given_shape_fixes_an_input_that_declares_none() -> None:
    network = read_whole(model(CONV, "float[] x", w=W), {"x": (2, 3, 9, 8)})
    assert sizes(network) == [(2, (9, 8))]


def test_a_name_stands_for_one_size_in_all_inputs() -> None:
    nodes = "a = Conv(x, w) b = Conv(z, w) y = Add(a, b)"
    proto = model(nodes, "float[N,3,H,W] x, float[N,3,H,W] z", w=W)
    assert sizes(read_whole(proto, {"z": (2, 3, 9, 8)})) == [(2, (9, 8))] * 2


def test_a_name_stands_for_one_size_in_declared_shapes() -> None:
    proto = model("h = unheard.of.Mystery(x) y = Conv(h, w)", "float[N,3,H,W] x", w=W)
    declared = helper.make_tensor_value_info("h", TensorProto.FLOAT, ["N", 3, "W", "H"])
    proto.graph.value_info.append(declared)
    network = read_whole(proto, {"x": (2, 3, 9, 8)})
    assert network.layers[0].geometry.input_size == (8, 9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"z": (1, 3, 6, 5)}, "--input-shape names 'z', which is no input of the model"),
        ({"x": (1, 4, 6, 5)}, "--input-shape x=1,4,6,5 does not fit the model, which declares N×3"),
        ({"x": (1, 3, 6)}, "--input-shape x=1,3,6 does not fit the model"),
        ({"x": (0, 3, 6, 5)}, "is no usable shape: sizes must be positive"),
        ({"x": (1, 3, 6, 7)}, "--input-shape gives 'H' two sizes, 6 and 7"),
    ],
)
def test_a_given_shape_that_does_not_fit_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_whole(model(CONV, "float[N,3,H,H] x", w=W), given)


def test_an_unnamed_shape_needs_a_single_input() -> None:
    proto = model(CONV, "float[N,3,H,W] x, float[N] z", w=W)
    with pytest.raises(ModelError, match="needs a name, as the model has 2 inputs: x, z"):
        read_whole(proto, {"": (1, 3, 6, 5)})


# Opsets -----------------------------------------------------------------------------------------

OLD = """a = Conv<pads=[1,1,1,1]>(x, w) b = BatchNormalization(a, g, g, g, v) c = Relu(b)
  d = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c) e = Clip<min=0.0, max=6.0>(d)
  f = Unsqueeze<axes=[4]>(e) h = Squeeze<axes=[4]>(f) i = Split<axis=1>(h)
  j = Slice<axes=[2], starts=[0], ends=[2]>(i) k = ReduceMean<axes=[2,3], keepdims=1>(j)
  m = Flatten(k) n = Dropout(m) o = Gemm<transB=1>(n, u, t) y = Softmax(o)"""
NEWEST = onnx.defs.onnx_opset_version()


def old_network() -> ModelProto:
    return model(
        OLD, "float[1,3,6,5] x", opset=7, ir=8, w=W, g=ramp(4), v=ramp(4), u=ramp(6, 4), t=ramp(6)
    )


@pytest.mark.parametrize("opset", range(7, NEWEST + 1))
def test_every_opset_from_7_to_the_newest_gives_the_same_layers(opset: int) -> None:
    old = old_network()
    del old.opset_import[1:]
    network = read_whole(version_converter.convert_version(old, opset))
    assert sizes(network) == [(1, (6, 5)), (1, ())]
    assert [layer.macs for layer in network.layers] == [4 * 3 * 9 * 30, 6 * 4]
    assert dict(network.source.opsets)[""] == opset
    first, last = network.layers
    assert first.batchnorm is not None
    np.testing.assert_array_equal(last.channels, first.first_filter + np.arange(4))


def test_initialisers_that_are_inputs_too_are_no_inputs() -> None:
    proto = old_network()
    for tensor in proto.graph.initializer:
        info = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        proto.graph.input.append(info)
    assert read_whole(proto).source.inputs == (("x", (1, 3, 6, 5)),)


# Shape information ------------------------------------------------------------------------------


def test_declared_shapes_change_nothing() -> None:
    bare = old_network()
    declared = shape_inference.infer_shapes(bare)
    assert not bare.graph.value_info
    assert declared.graph.value_info
    declared.graph.value_info.extend(
        list(declared.graph.value_info)
    )  # twice, as some tools write them
    assert sizes(read_whole(bare)) == sizes(read_whole(declared))


def test_a_declared_shape_stands_in_where_inference_finds_none() -> None:
    proto = model("h = unheard.of.Mystery(x) y = Conv(h, w)", w=W)
    declared = helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 3, 4, 7])
    proto.graph.value_info.append(declared)
    network = read_whole(proto)
    assert network.layers[0].geometry.input_size == (4, 7)
    assert [item.op for item in network.uncounted] == ["Mystery"]


def test_an_inferred_shape_goes_before_a_declared_one() -> None:
    proto = model("h = Relu(x) y = Conv(h, w)", "float[N,3,6,5] x", w=W)
    declared = helper.make_tensor_value_info("h", TensorProto.FLOAT, [8, 3, 6, 5])
    proto.graph.value_info.append(declared)
    assert sizes(read_whole(proto)) == [(1, (6, 5))]


ZERO = np.array([0])
CHAINS = {
    "flatten as view(size(0), -1)": (
        """s = Shape(x) n = Gather<axis=0>(s, zero) m = Constant<value_ints=[-1]>()
           t = Concat<axis=0>(n, m) h = Reshape(x, t)""", 90, 1,
    ),
    "flatten by multiplied sizes": (
        """s = Shape<start=1>(x) p = ReduceProd<keepdims=1>(s) n = Shape<end=1>(x)
           t = Concat<axis=0>(n, p) h = Reshape(x, t)""", 90, 1,
    ),
    "a scalar index": (
        """s = Shape(x) i = Constant<value_int=3>() n = Gather(s, i) a = Constant<value_ints=[0]>()
           u = Unsqueeze(n, a) m = Constant<value_ints=[-1]>() t = Concat<axis=0>(m, u)
           h = Reshape(x, t)""", 5, 18,
    ),
    "half the size by Cast, Div, Floor": (
        """s = Shape<start=2>(x) f = Cast<to=1>(s) d = Div(f, two) g = Floor(d) c = Cast<to=7>(g)
           b = Shape<end=2>(x) t = Concat<axis=0>(b, c) r = Resize<mode="nearest">(x, "", "", t)
           h = Flatten(r)""", 3 * 3 * 2, 1,
    ),
    "an expanded ConstantOfShape": (
        """s = Shape(x) o = ConstantOfShape(s) e = Expand(o, s) a = Add(x, e)
           h = Flatten(a)""", 90, 1,
    ),
    "a range and its length": (
        """a = Constant<value_int=0>() b = Constant<value_int=45>() c = Constant<value_int=1>()
           r = Range(a, b, c) s = Shape(r) m = Constant<value_ints=[-1]>()
           t = Concat<axis=0>(m, s) h = Reshape(x, t)""", 45, 2,
    ),
    "Resize by scales": (
        'r = Resize<mode="nearest">(x, "", scales) h = Flatten(r)', 3 * 12 * 15, 1,
    ),
    "Where on a comparison of sizes": (
        """s = Shape(x) m = Constant<value_ints=[-1,-1,-1,-1]>() e = Equal(s, m)
           w = Where(e, m, s) r = Reshape(x, w) h = Flatten(r)""", 90, 1,
    ),
    "a padded size": (
        """p = Constant<value_ints=[0,0,1,2,0,0,0,3]>() q = Pad(x, p)
           h = Flatten(q)""", 3 * 7 * 10, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_shapes_that_the_graph_computes_are_followed(name: str) -> None:
    nodes, features, rows = CHAINS[name]
    network = read_whole(
        model(
            f"{nodes} y = Gemm<transB=1>(h, weights)", "float[N,3,6,5] x", opset=19, zero=ZERO,
            two=np.float32(2), scales=np.array([1, 1, 2, 3], np.float32),
            weights=ramp(2, features),
        )
    )  # fmt: skip
    assert sizes(network) == [(rows, ())]
    assert network.layers[0].weight.shape == (2, features)


def test_a_batch_that_is_computed_follows_the_given_one() -> None:
    nodes, features, _ = CHAINS["flatten as view(size(0), -1)"]
    proto = model(
        f"{nodes} y = Gemm<transB=1>(h, v)", "float[N,3,6,5] x", zero=ZERO, v=ramp(2, features)
    )
    assert sizes(read_whole(proto, {"x": (7, 3, 6, 5)})) == [(7, ())]


def test_com_microsoft_operators_have_the_shapes_of_those_they_stand_for() -> None:
    nodes = """a = com.microsoft.QLinearAdd(x, s, z, x, s, z, s, z)
               b = com.microsoft.QLinearConcat<axis=1>(s, z, a, s, z, x, s, z)
               c = com.microsoft.QLinearGlobalAveragePool(b, s, z, s, z)
               d = com.microsoft.QLinearSigmoid(c, s, z, s, z) y = ConvInteger(d, w)"""
    proto = model(
        nodes, "uint8[1,3,6,5] x", s=np.float32(1), z=np.uint8(0),
        w=ramp(4, 6, 1, 1, dtype=np.uint8),
    )  # fmt: skip
    assert sizes(read_whole(proto)) == [(1, (1, 1))]
