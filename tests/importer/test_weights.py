"""Weights wherever exporters put them."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from esnsim import ModelError, cost, quantize
from tests.importer.models import Array, add_initializers, model, only_layer, ramp, read_whole
from tests.samples import EMBEDDED

W = ramp(2, 3, 1, 2)
FLAT = ", ".join(f"{v:.1f}" for v in W.ravel())
X = "float[1,3,4,5] x"
CONV = "y = Conv(x, w)"

SAME_TENSOR: dict[str, tuple[str, dict[str, Array]]] = {
    "initialiser": (CONV, {"w": W}),
    "Identity": (f"w = Identity(w0) {CONV}", {"w0": W}),
    "two Identities": (f"w1 = Identity(w0) w = Identity(w1) {CONV}", {"w0": W}),
    "Cast": (f"w = Cast<to=1>(w0) {CONV}", {"w0": W.astype(np.float16)}),
    "Transpose": (
        f"w = Transpose<perm=[3,2,0,1]>(w0) {CONV}",
        {"w0": np.ascontiguousarray(W.transpose(2, 3, 1, 0))},
    ),
    "Transpose without perm": (f"w = Transpose(w0) {CONV}", {"w0": np.ascontiguousarray(W.T)}),
    "Reshape": (
        f"w = Reshape(w0, s) {CONV}",
        {"w0": W.ravel(), "s": np.array([2, -1, 1, 2])},
    ),
    "Reshape that copies a dimension": (
        f"w = Reshape(w0, s) {CONV}",
        {"w0": W.reshape(2, 6), "s": np.array([0, 3, 1, 2])},
    ),
    "Squeeze": (f"w = Squeeze(w0, a) {CONV}", {"w0": W[None], "a": np.array([0])}),
    "Unsqueeze": (f"w = Unsqueeze(w0, a) {CONV}", {"w0": W[:, :, 0], "a": np.array([2])}),
    "Flatten": ("f = Flatten(w0) w = Reshape(f, s) " + CONV, {"w0": W, "s": np.array(W.shape)}),
}
COMPUTED: dict[str, tuple[str, dict[str, Array]]] = {
    "Slice": (
        f"b = Constant<value_ints=[0]>() w = Slice(w0, b, e, a) {CONV}",
        {"w0": np.concatenate([W, W], 1), "e": np.array([3]), "a": np.array([1])},
    ),
    "Concat": (f"w = Concat<axis=1>(a, b) {CONV}", {"a": W[:, :1], "b": W[:, 1:]}),
    "Gather": (f"w = Gather<axis=1>(w0, i) {CONV}", {"w0": W[:, ::-1], "i": np.array([2, 1, 0])}),
    "Split": (f"v, w = Split<axis=0, num_outputs=2>(w0) {CONV}", {"w0": np.concatenate([W, W])}),
    "Mul": (f"w = Mul(w0, two) {CONV}", {"w0": W / 2, "two": np.full((2, 1, 1, 1), 2, "f")}),
    "weight normalisation": (
        f"n = ReduceL2<keepdims=1>(v, a) d = Div(v, n) w = Mul(d, g) {CONV}",
        {"v": W * 3, "a": np.array([1, 2, 3]),
         "g": np.sqrt((W**2).sum((1, 2, 3), keepdims=True))},
    ),
    "Where": (
        f"w = Where(c, w0, v) {CONV}",
        {"c": W > 6, "w0": np.where(W > 6, W, 0), "v": np.where(W > 6, 0, W)},
    ),
    "ScatterND": (
        f"w = ScatterND(w0, i, u) {CONV}",
        {"w0": np.concatenate([W[:1], W[:1] * 0]), "i": np.array([[1]]), "u": W[1:]},
    ),
    "a shape's values": (
        f"s = Shape(w0) z = ConstantOfShape<value=float[1] {{0.0}}>(s) w = Add(w0, z) {CONV}",
        {"w0": W},
    ),
}  # fmt: skip


def test_a_constant_node_holds_weights() -> None:
    for value in (f"value = float[2,3,1,2] {{{FLAT}}}", f"value_floats = [{FLAT}]"):
        proto = model(f"c = Constant<{value}>() w = Reshape(c, s) {CONV}", X, s=np.array(W.shape))
        layer = only_layer(proto)
        np.testing.assert_array_equal(layer.weight.load(), W)
        assert layer.weight.origin == "c"


@pytest.mark.parametrize("name", SAME_TENSOR)
def test_weights_that_are_only_moved_keep_the_name_of_their_tensor(name: str) -> None:
    nodes, tensors = SAME_TENSOR[name]
    layer = only_layer(model(nodes, X, **tensors))
    np.testing.assert_array_equal(layer.weight.load(), W)
    assert layer.weight.origin == ("w" if nodes == CONV else "w0")
    assert layer.weight.dtype == "float32"


@pytest.mark.parametrize("name", COMPUTED)
def test_weights_are_what_a_constant_subgraph_computes(name: str) -> None:
    nodes, tensors = COMPUTED[name]
    layer = only_layer(model(nodes, X, **tensors))
    np.testing.assert_allclose(layer.weight.load(), W, rtol=1e-6)
    assert layer.weight.shape == W.shape


def test_a_large_constant_of_shape_takes_no_memory() -> None:
    nodes = f"w = ConstantOfShape<value=float[1] {{0.5}}>(s) {CONV}"
    layer = only_layer(model(nodes, "float[1,4096,9,9] x", s=np.array([4096, 4096, 3, 3])))
    assert layer.weight.load().base.nbytes < 100
    assert layer.weight.load()[7, 7, 1, 1] == 0.5


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_weights_of_any_float_type_are_read(dtype: Any) -> None:
    tensors = {"w": W.astype(dtype)}
    data_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    name = str(TensorProto.DataType.Name(data_type)).lower()
    layer = only_layer(model(CONV, X.replace("float", name), **tensors))
    assert layer.weight.dtype == np.dtype(dtype).name
    np.testing.assert_array_equal(layer.weight.load().astype(np.float32), W)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("size", [3, 600])
def test_a_file_and_a_model_in_memory_and_typed_or_raw_data_are_read_alike(
    tmp_path: Path, dtype: Any, size: int
) -> None:
    w = ramp(2, size, 1, 2).astype(dtype)
    data_type = helper.np_dtype_to_tensor_dtype(w.dtype)
    values = w.ravel().astype(np.float64)
    typed = helper.make_tensor("w", data_type, w.shape, values)
    raw = numpy_helper.from_array(w)
    assert raw.raw_data
    assert not typed.raw_data
    for tensor in (typed, raw):
        proto = model(CONV, f"{TensorProto.DataType.Name(data_type).lower()}[1,{size},4,5] x")
        add_initializers(proto, {"w": tensor})
        onnx.save(proto, tmp_path / "model.onnx")
        for source in (proto, tmp_path / "model.onnx"):
            (layer,) = read_whole(source).layers
            np.testing.assert_array_equal(layer.weight.load(), w)
            assert layer.weight.dtype == w.dtype.name


def test_external_data_is_read_in_place(tmp_path: Path) -> None:
    proto = model(f"w = Transpose<perm=[1,0,2,3]>(w0) {CONV}", X, w0=W.swapaxes(0, 1).copy())
    location, size = "weights.bin", 0
    onnx.save(
        proto, tmp_path / "model.onnx", save_as_external_data=True, location=location,
        size_threshold=size,
    )  # fmt: skip
    assert (tmp_path / location).stat().st_size >= W.nbytes
    (layer,) = read_whole(tmp_path / "model.onnx").layers
    np.testing.assert_array_equal(layer.weight.load(), W)


@pytest.mark.parametrize("flat", [True, False])
def test_a_sparse_initialiser_is_the_dense_tensor_it_stands_for(flat: bool) -> None:
    dense = np.where(W % 3 == 0, W, 0)
    at = np.flatnonzero(dense) if flat else np.argwhere(dense)
    proto = model(CONV, X)
    values = numpy_helper.from_array(dense[dense != 0], "w")
    indices = numpy_helper.from_array(at.astype(np.int64), "w_indices")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, W.shape))
    np.testing.assert_array_equal(only_layer(proto).weight.load(), dense)


def test_a_sparse_constant_node_is_dense_too() -> None:
    values = numpy_helper.from_array(np.array([2.0, 5.0], np.float32))
    indices = numpy_helper.from_array(np.array([1, 3], np.int64))
    sparse = helper.make_sparse_tensor(values, indices, [3, 2])
    proto = model("y = MatMul(x, w)", "float[4,3] x")
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse))
    np.testing.assert_array_equal(only_layer(proto).weight.load(), [[0, 0, 0], [2, 5, 0]])


def test_two_nodes_that_share_a_tensor_share_its_origin() -> None:
    nodes = "t = Transpose(w) h = MatMul(x, w) g = MatMul(h, t) y = Add(g, x)"
    first, second = read_whole(model(nodes, "float[2,3] x", w=ramp(3, 4))).layers
    assert first.weight.origin == second.weight.origin == "w"
    np.testing.assert_array_equal(first.weight.load(), second.weight.load().T)


def test_two_slices_of_a_tensor_do_not_share_an_origin() -> None:
    nodes = """a, b = Split<axis=1, num_outputs=2>(w) h = MatMul(x, a) g = MatMul(x, b)
               y = Concat<axis=1>(h, g)"""
    first, second = read_whole(model(nodes, "float[2,3] x", w=ramp(3, 4))).layers
    assert first.weight.origin != second.weight.origin


def test_reading_leaves_the_given_model_as_it_is() -> None:
    proto = model(
        "s = Shape(x) c = Cast<to=1>(w) v = Conv(x, c) y = f(v)",
        "float[N,3,4,5] x",
        '<domain: "local", opset_import: ["": 21]> f (a) => (b) { b = Relu(a) }',
        w=W.astype(np.float16),
    )
    before = proto.SerializeToString(deterministic=True)
    read_whole(proto)
    assert proto.SerializeToString(deterministic=True) == before


def test_a_layer_is_named_by_its_node_or_its_output_and_its_weight_by_its_tensor() -> None:
    proto: ModelProto = model(
        f"v = Conv(x, w) {CONV.replace('x', 'v')}", X.replace("3", "2"), w=W[:, :2]
    )
    proto.graph.node[0].name = "first"
    assert [layer.name for layer in read_whole(proto).layers] == ["first", "y"]
    assert {layer.weight.name for layer in read_whole(proto).layers} == {"w"}


def test_a_tensor_of_an_attribute_lies_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is looked for in the model's folder, and not in the one that commands run in."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder, value in ((tmp_path, 3.0), (elsewhere, 1.0)):
        (folder / "fill.bin").write_bytes(np.float32(value).tobytes())
    fill = onnx.TensorProto(data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    fill.external_data.add(key="location", value="fill.bin")
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18]> g (float[1,2,4,4] x) => (float[1,3,4,4] y) '
        "<int64[4] s = {3, 2, 1, 1}> { w = ConstantOfShape(s) y = Conv(x, w) }"
    )
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("value", fill))
    onnx.save(model, tmp_path / "m.onnx")
    monkeypatch.chdir(elsewhere)
    [layer] = read_whole(tmp_path / "m.onnx").layers
    assert (layer.weight.load() == 3).all()


def test_the_size_of_a_model_has_its_external_data(tmp_path: Path) -> None:
    model = onnx.load(EMBEDDED / "resnet8.onnx")
    whole, parts = tmp_path / "whole.onnx", tmp_path / "parts.onnx"
    onnx.save(model, whole)
    onnx.save(model, parts, save_as_external_data=True, location="data", size_threshold=0)
    assert read_whole(whole).source.size_bytes == whole.stat().st_size
    sizes = parts.stat().st_size + (tmp_path / "data").stat().st_size
    assert read_whole(parts).source.size_bytes == sizes > whole.stat().st_size * 0.9


def test_a_model_and_its_data_may_be_links_into_one_folder(tmp_path: Path) -> None:
    """As the caches of model hubs lay files out; no other folder is reached through links."""
    blobs, shown, other = (tmp_path / name for name in ("blobs", "shown", "other"))
    for folder in (blobs, shown, other):
        folder.mkdir()
    model = onnx.load(EMBEDDED / "resnet8.onnx")
    onnx.save(model, blobs / "aa", save_as_external_data=True, location="data", size_threshold=0)
    (blobs / "data").rename(blobs / "bb")
    (shown / "m.onnx").symlink_to("../blobs/aa")
    (shown / "data").symlink_to("../blobs/bb")
    assert cost(quantize(read_whole(shown / "m.onnx"))).total.macs > 0
    (other / "bb").write_bytes((blobs / "bb").read_bytes())
    (shown / "data").unlink()
    (shown / "data").symlink_to("../other/bb")
    with pytest.raises(ModelError, match="outside the model's folder"):
        cost(quantize(read_whole(shown / "m.onnx")))
