"""Attention of com.microsoft: shapes as ONNX Runtime gives them, products counted one by one."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper

from esnsim.graph.model import open_model
from tests.importer.models import Array, add_initializers, model, ramp, read_whole

B, S, T, P, HEADS, D = 2, 5, 7, 3, 4, 8
Q, K = f"float[{B},{S},32] q", f"float[{B},{T},32] k"
# operator, its attributes, its inputs (None is left out), keys, elements of a query, of a value
CASES = {
    "multi-head": ("MultiHeadAttention", "", (Q, K, f"float[{B},{T},48] v"), T, 32, 48),
    "multi-head, keys by head": (
        "MultiHeadAttention", "", (Q, f"float[{B},4,{T},8] k", f"float[{B},4,{T},8] v"), T, 32, 32,
    ),
    "multi-head with a past": (
        "MultiHeadAttention", "",
        (Q, K, f"float[{B},{T},32] v", None, None, None, f"float[{B},4,{P},8] pk",
         f"float[{B},4,{P},8] pv"), T + P, 32, 32,
    ),
    "grouped queries": (
        "GroupQueryAttention", ", kv_num_heads=2",
        ("float[1,5,32] q", "float[1,5,16] k", "float[1,5,16] v", None, None, "last", "total"),
        S, 32, 32,
    ),
    "grouped queries, packed, with a past": (
        "GroupQueryAttention", ", kv_num_heads=2",
        ("float[1,5,64] q", None, None, f"float[1,2,{P},8] pk", f"float[1,2,{P},8] pv", "last",
         "total"), S + P, 32, 32,
    ),
}  # fmt: skip


def attending(name: str) -> tuple[str, list[str], dict[str, Array]]:
    """The node as text, its inputs' declarations, and its constants."""
    operator, more, given, keys, *_ = CASES[name]
    declared = [each for each in given if each is not None and " " in each]
    names = ['""' if each is None else each.split()[-1] for each in given]
    outputs = "y, pk2, pv2" if "past" in name or operator.startswith("Group") else "y"
    node = f"{outputs} = com.microsoft.{operator}<num_heads={HEADS}{more}>({', '.join(names)})"
    constants = {"last": np.array([keys - 1], np.int32), "total": np.array([keys], np.int32)}
    return node, declared, {n: a for n, a in constants.items() if n in names}


@pytest.mark.parametrize("name", CASES)
def test_it_is_two_products_whose_shape_onnx_runtime_gives(name: str) -> None:
    node, declared, constants = attending(name)
    *_, keys, depth, values = CASES[name]
    proto = model(node, ", ".join(declared), **constants)
    del proto.opset_import[2:]
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    [y] = session.run(None, {i.name: np.ones(i.shape, np.float32) for i in session.get_inputs()})
    proto.graph.node.append(helper.make_node("MatMul", ["y", "w"], ["z"]))
    add_initializers(proto, {"w": ramp(values, 2)})
    network = read_whole(proto)
    batch, queries = y.shape[:2]
    assert open_model(proto).scope.get("y").shape == y.shape == (batch, queries, values)
    one = batch * queries * keys  # a query meets a key
    assert [p.macs for p in network.products] == [one * depth + one * values]
    assert not network.uncounted


def test_packed_heads_are_taken_apart() -> None:
    nodes = f"""a = com.microsoft.MultiHeadAttention<num_heads={HEADS}>(x)
      b = com.microsoft.MultiHeadAttention<num_heads={HEADS}>(a, k) y = MatMul(b, w)"""
    inputs = f"float[{B},{S},{HEADS},3,{D}] x, float[{B},{T},{HEADS},2,{D}] k"
    network = read_whole(model(nodes, inputs, w=ramp(32, 2)))
    assert [p.macs for p in network.products] == [B * S * S * 64, B * S * T * 64]
    assert network.layers[0].macs == B * S * 64


@pytest.mark.parametrize("sizes", [(32, 32, 32), (32, 32, 48)])
def test_attention_with_its_own_projection_has_weights_and_products(sizes: tuple[int, ...]) -> None:
    w = ramp(12, sum(sizes))
    nodes = f"""a = com.microsoft.Attention<num_heads={HEADS}, qkv_hidden_sizes={[*sizes]}>(x, w, b)
      y = MatMul(a, v)"""
    network = read_whole(model(nodes, f"float[{B},{S},12] x", w=w, b=ramp(sum(sizes)),
                               v=ramp(sizes[2], 2)))  # fmt: skip
    first, last = network.layers
    np.testing.assert_array_equal(first.weight.load(), w.T)
    assert (first.macs, last.macs) == (B * S * w.size, B * S * sizes[2] * 2)
    assert [p.macs for p in network.products] == [B * S * S * (sizes[0] + sizes[2])]


def test_quantised_attention_has_integers() -> None:
    w = np.arange(-36, 36, dtype=np.int8).reshape(6, 12)
    nodes = """a = com.microsoft.QAttention<num_heads=2>(x, w, b, s, t, "", z, z)
      y = MatMul(a, v)"""
    proto = model(nodes, "uint8[1,3,6] x", w=w, b=ramp(12), s=np.float32(1), t=ramp(12),
                  z=np.int8(0), v=ramp(4, 2))  # fmt: skip
    network = read_whole(proto)
    codes = network.layers[0].weight.codes
    assert codes is not None
    np.testing.assert_array_equal(network.layers[0].weight.load(), w.T)
    np.testing.assert_array_equal(codes.scale()[:, 0], ramp(12))
    assert [p.macs for p in network.products] == [3 * 3 * 8]


def test_without_a_number_of_heads_it_is_listed() -> None:
    nodes = "y = com.microsoft.GroupQueryAttention<num_heads=0>(x, x, x) z = MatMul(x, w)"
    [found] = read_whole(model(nodes, "float[1,5,4] x", w=ramp(4, 2))).uncounted
    assert found.reason == "its numbers of heads are not given"


@pytest.mark.parametrize("stored", ["uint8", "int4"])
def test_a_quantised_table_is_looked_up_without_a_product(stored: str) -> None:
    operator = "com.microsoft.GatherBlockQuantized<block_size=32, gather_axis=0, quantize_axis=1>"
    data = (
        helper.make_tensor("d", helper.TensorProto.INT4, [10, 64], np.zeros(640, np.int8))
        if stored == "int4" else np.zeros((10, 32), np.uint8)
    )  # fmt: skip
    nodes = f"e = {operator}(d, i, s) y = MatMul(e, w)"
    network = read_whole(model(nodes, "int64[2,3] i", d=data, s=ramp(10, 2), w=ramp(64, 2)))
    assert [layer.macs for layer in network.layers] == [2 * 3 * 128]
    assert not [*network.uncounted, *network.products]
