"""Sites and substitution: weights go out of a graph and back, and other ones take effect."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from esnsim import quantize, read_onnx
from esnsim.graph.model import open_model
from esnsim.graph.sites import BIAS, Slot, sites, unquantisable_layers
from esnsim.graph.substitute import dequantized, with_weights
from esnsim.model.fold import fold_batchnorm
from esnsim.quantization.scheme import Scheme
from tests.execute.models import feeds_of, model, normal, sparse, whole

CONV = "y = Conv<strides = [2, 1], pads = [1, 0, 0, 2], group = 3>(x, w)"
MODELS = {
    "grouped": model(CONV, "float[N,6,7,5] x", w=normal(9, 2, 3, 2)),
    "biased": model("y = Conv(x, w, b)", w=normal(4, 3, 2, 3), b=normal(4)),
    "one dimension": model("y = Conv(x, w)", "float[N,3,9] x", w=normal(4, 3, 2)),
    "transposed": model(
        "y = ConvTranspose<strides = [2, 3], group = 2>(x, w, b)",
        "float[N,4,3,5] x", w=normal(4, 3, 2, 3), b=normal(6),
    ),
    "gemm": model("y = Gemm(x, w, b)", "float[N,5] x", w=normal(5, 7), b=normal(7)),
    "gemm, transposed": model(
        "y = Gemm<transB = 1, alpha = 0.5>(x, w)", "float[N,5] x", w=normal(7, 5)
    ),
    "gemm from the left": model("y = Gemm<transA = 1>(w, x)", "float[4,3] x", w=normal(4, 6)),
    "matmul": model("y = MatMul(x, w)", "float[N,3,5] x", w=normal(5, 7)),
    "matmul by a batch": model("y = MatMul(x, w)", "float[N,2,3,5] x", w=normal(2, 5, 7)),
    "matmul from the left": model("y = MatMul(w, x)", "float[N,3,5] x", w=normal(7, 3)),
    "matmul by a vector": model("y = MatMul(x, w)", "float[N,3,5] x", w=normal(5)),
    "computed weights": model(
        "t = Transpose<perm = [1, 0]>(w)\n y = MatMul(x, t)", "float[N,5] x", w=normal(7, 5)
    ),
    "double": model(
        "y = MatMul(x, w)", "double[N,5] x", w=normal(5, 7, dtype=np.float64)
    ),
}  # fmt: skip


def checked(proto: ModelProto) -> NDArray[Any]:
    """What the model gives for `feeds_of` it; ONNX's checker passes it, its output typed."""
    y = whole(proto, feeds_of(proto))["y"]
    copy = ModelProto()
    copy.CopyFrom(proto)
    kind = onnx.helper.np_dtype_to_tensor_dtype(y.dtype)
    copy.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", kind, y.shape))
    onnx.checker.check_model(copy, full_check=True)
    return y


@pytest.mark.parametrize("name", MODELS)
def test_the_site_holds_the_weight_and_the_weight_put_back_changes_nothing(name: str) -> None:
    proto = MODELS[name]
    graph = open_model(proto)
    [site] = sites(graph)
    stored = graph.scope.get(graph.nodes[site.place].input[site.input]).constant.read()
    weights = site.layer.weight.load()
    np.testing.assert_array_equal(site.from_operand(stored), weights)
    np.testing.assert_array_equal(site.to_operand(weights), stored)
    again = with_weights(graph, {site.slot: stored})
    np.testing.assert_array_equal(checked(again), checked(proto))


@pytest.mark.parametrize("name", MODELS)
def test_other_weights_are_the_weights_of_the_model_that_comes_out(name: str) -> None:
    graph = open_model(MODELS[name])
    [site] = sites(graph)
    weights = normal(*site.layer.weight.shape, seed=9)
    proto = with_weights(graph, {site.slot: site.to_operand(weights)})
    [layer] = read_onnx(proto).layers
    assert layer.weight.dtype == graph.network.layers[0].weight.dtype
    np.testing.assert_array_equal(layer.weight.load(), weights)
    checked(proto)


def test_a_bias_is_found_and_can_be_added() -> None:
    graph = open_model(MODELS["biased"])
    assert [site.bias for site in sites(graph)] == [BIAS]
    graph = open_model(MODELS["grouped"])
    [site] = sites(graph)
    assert site.bias is None
    bias = normal(9)
    proto = with_weights(graph, {Slot(site.place, BIAS): bias})
    feeds = feeds_of(proto)
    before = whole(MODELS["grouped"], feeds)["y"]
    np.testing.assert_allclose(whole(proto, feeds)["y"], before + bias[:, None, None], rtol=1e-5)


def test_a_shared_weight_is_changed_where_it_is_changed_alone() -> None:
    nodes = "a = Conv<pads = [1, 1, 1, 1]>(x, w)\n y = Conv(a, w)"
    proto = model(nodes, w=normal(3, 3, 3, 3))
    graph = open_model(proto)
    first, second = sites(graph)
    changed = with_weights(graph, {second.slot: np.zeros(second.shape)})
    assert {t.name for t in changed.graph.initializer} == {"w", "y.1"}
    assert not whole(changed, feeds_of(changed))["y"].any()
    one, other = (layer.weight.load() for layer in read_onnx(changed).layers)
    np.testing.assert_array_equal(one, first.layer.weight.load())
    assert not other.any()


def test_what_nothing_reads_any_more_is_gone() -> None:
    graph = open_model(MODELS["computed weights"])
    [site] = sites(graph)
    proto = with_weights(graph, {site.slot: np.ones(site.shape)})
    assert [node.op_type for node in proto.graph.node] == ["MatMul"]
    assert [(t.name, t.dims) for t in proto.graph.initializer] == [("y.1", [5, 7])]


def test_initialisers_that_are_inputs_too_stay_valid() -> None:
    proto = ModelProto()
    proto.CopyFrom(MODELS["gemm"])
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        proto.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    graph = open_model(proto)
    [site] = sites(graph)
    changed = with_weights(graph, {site.slot: np.zeros(site.shape)})
    assert [info.name for info in changed.graph.input] == ["x", "b"]
    checked(changed)


def test_tensors_of_files_and_sparse_ones_come_along() -> None:
    proto = sparse(model("t = MatMul(x, s)\n y = MatMul(t, w)", "float[N,4] x", w=normal(4, 3)))
    graph = open_model(proto)
    site = sites(graph)[-1]
    changed = with_weights(graph, {site.slot: np.eye(4, 3)})
    assert len(changed.graph.sparse_initializer) == 1
    graph = open_model("builtin:resnet20")
    site = sites(graph)[0]
    whole_again = with_weights(graph, {site.slot: site.to_operand(site.layer.weight.load())})
    assert not any(t.external_data for t in whole_again.graph.initializer)
    feeds = feeds_of("builtin:resnet20")
    for name, array in whole("builtin:resnet20", feeds).items():
        np.testing.assert_array_equal(whole(whole_again, feeds)[name], array)


def test_what_is_left_alone_is_told_with_its_reason() -> None:
    nodes = 'e = Einsum<equation = "nchw,fc->nfhw">(x, w)\n y = Conv(e, v)'
    proto = model(nodes, w=normal(4, 3), v=normal(2, 4, 3, 2))
    graph = open_model(proto)
    assert [site.index for site in sites(graph)] == [1]
    [(layer, reason)] = unquantisable_layers(graph)
    assert (layer.op, reason) == ("Einsum", "weights of Einsum stay as they are")
    quantized = model(
        "d = DequantizeLinear<axis = 0>(w, s)\n y = Conv(x, d)",
        w=np.ones((2, 3, 3, 2), np.int8), s=np.array([0.5, 0.25], np.float32),
    )  # fmt: skip
    graph = open_model(quantized)
    assert sites(graph) == ()
    assert [reason for _, reason in unquantisable_layers(graph)] == ["it is quantised already"]


@given(bits=st.integers(1, 6), seed=st.integers(0, 99), zeros=st.booleans())
def test_dequantised_weights_are_the_step_times_the_codes(
    bits: int, seed: int, zeros: bool
) -> None:
    w = normal(5, 2, 3, 2, seed=seed)
    w[1] *= 1e-4  # pruned by the step of the layer
    w[2, 0] = 0 if zeros else w[2, 0]
    network = read_onnx(model(CONV.replace("3>", "5>"), "float[N,10,7,5] x", w=w))
    layer = quantize(network, Scheme("layer-max", bits)).layers[0]
    step = layer.steps[0]
    code = np.clip(np.floor(w / step) + 0.5, 0.5 - 2 ** (bits - 1), 2 ** (bits - 1) - 0.5)
    code[w == 0] = 0
    code[np.abs(w).max(axis=(1, 2, 3)) < step / 2] = 0
    got = dequantized(layer)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, (step * code).astype(np.float32))


def test_a_folded_gain_is_taken_out_again() -> None:
    nodes = "t = Conv(x, w)\n y = BatchNormalization(t, g, b, m, v)"
    gain = np.array([2.0, -3.0, 0.0, 0.5], np.float32)
    proto = model(
        nodes, w=normal(4, 3, 3, 2), g=gain, b=normal(4), m=normal(4), v=np.ones(4, np.float32)
    )  # fmt: skip
    [folded] = quantize(fold_batchnorm(read_onnx(proto)), Scheme("filter-max", 3)).layers
    [plain] = quantize(read_onnx(proto), Scheme("filter-max", 3)).layers
    got, wanted = dequantized(folded), dequantized(plain)
    np.testing.assert_allclose(got[[0, 3]], wanted[[0, 3]], rtol=1e-6)
    # Under the midrise code floor(−w/Δ) + ½ = −(floor(w/Δ) + ½) but where w/Δ is whole.
    np.testing.assert_allclose(got[1], wanted[1], rtol=1e-6)
    assert not got[2].any()


def test_numbers_of_another_shape_are_refused_by_onnx_runtime_and_not_written_over() -> None:
    graph = open_model(MODELS["gemm"])
    before = numpy_helper.to_array(graph.proto.graph.initializer[0]).copy()
    [site] = sites(graph)
    with_weights(graph, {site.slot: np.zeros(site.shape)})
    np.testing.assert_array_equal(numpy_helper.to_array(graph.proto.graph.initializer[0]), before)
