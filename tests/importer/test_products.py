"""Matrix products in every form: which operand holds weights, and how often they are used."""

import re
from math import prod
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from esnsim import ModelError
from esnsim.importer.operators import MULTIPLYING
from tests.importer.cases import cases
from tests.importer.models import (
    Array,
    beside_a_layer,
    constants_of_inputs,
    model,
    only_layer,
    only_products,
    ramp,
    read_whole,
)  # fmt: skip

# nodes, input, the constant's shape -> (M, C/g), groups, batch
FORMS: list[tuple[str, str, tuple[int, ...], tuple[int, int], int, int]] = [
    ("y = MatMul(x, w)", "[5,3]", (3, 4), (4, 3), 1, 5),
    ("y = MatMul(x, w)", "[2,5,3]", (3, 4), (4, 3), 1, 10),
    ("y = MatMul(x, w)", "[3]", (3, 4), (4, 3), 1, 1),
    ("y = MatMul(x, w)", "[5,3]", (3,), (1, 3), 1, 5),
    ("y = MatMul(x, w)", "[2,5,3]", (2, 3, 4), (8, 3), 2, 5),
    ("y = MatMul(x, w)", "[5,3]", (2, 3, 4), (8, 3), 2, 5),
    ("y = MatMul(x, w)", "[7,1,5,3]", (2, 3, 4), (8, 3), 2, 35),
    ("y = MatMul(w, x)", "[3,5]", (4, 3), (4, 3), 1, 5),
    ("y = MatMul(w, x)", "[2,3,5]", (4, 3), (4, 3), 1, 10),
    ("y = MatMul(w, x)", "[3]", (4, 3), (4, 3), 1, 1),
    ("y = MatMul(w, x)", "[3,5]", (3,), (1, 3), 1, 5),
    ("y = MatMul(w, x)", "[2,3,5]", (2, 4, 3), (8, 3), 2, 5),
    ("y = Gemm(x, w)", "[5,3]", (3, 4), (4, 3), 1, 5),
    ("y = Gemm<transA=1>(x, w)", "[3,5]", (3, 4), (4, 3), 1, 5),
    ("y = Gemm<transB=1>(x, w)", "[5,3]", (4, 3), (4, 3), 1, 5),
    ("y = Gemm<transA=1, transB=1>(x, w)", "[3,5]", (4, 3), (4, 3), 1, 5),
    ("y = Gemm(w, x)", "[3,5]", (4, 3), (4, 3), 1, 5),
    ("y = Gemm<transA=1>(w, x)", "[3,5]", (3, 4), (4, 3), 1, 5),
    ("y = Gemm<transB=1>(w, x)", "[5,3]", (4, 3), (4, 3), 1, 5),
    ("y = com.microsoft.FusedMatMul<transB=1>(x, w)", "[2,5,3]", (4, 3), (4, 3), 1, 10),
    ("y = com.microsoft.FusedMatMul<transA=1>(x, w)", "[2,3,5]", (3, 4), (4, 3), 1, 10),
    ('y = com.microsoft.FusedGemm<activation="Relu">(x, w)', "[5,3]", (3, 4), (4, 3), 1, 5),
    ('y = Einsum<equation="bk,kn->bn">(x, w)', "[5,3]", (3, 4), (4, 3), 1, 5),
    ('y = Einsum<equation="kn,bk->bn">(w, x)', "[5,3]", (3, 4), (4, 3), 1, 5),
    ('y = Einsum<equation="bik, kn -> bin">(x, w)', "[2,5,3]", (3, 4), (4, 3), 1, 10),
    ('y = Einsum<equation="bihd,hdo->bio">(x, w)', "[2,5,3,7]", (3, 7, 4), (4, 21), 1, 10),
    ('y = Einsum<equation="bio,hdo->bihd">(x, w)', "[2,5,4]", (3, 7, 4), (21, 4), 1, 10),
    ('y = Einsum<equation="bgk,gkn->bgn">(x, w)', "[5,2,3]", (2, 3, 4), (8, 3), 2, 5),
    ('y = Einsum<equation="...k,kn->...n">(x, w)', "[2,5,3]", (3, 4), (4, 3), 1, 10),
    ('y = Einsum<equation="...k,...kn->...n">(x, w)', "[2,3]", (2, 3, 4), (8, 3), 2, 1),
    ('y = Einsum<equation="ik,kj">(x, w)', "[5,3]", (3, 4), (4, 3), 1, 5),
    ('y = Einsum<equation="k,k->">(x, w)', "[3]", (3,), (1, 3), 1, 1),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "size", "stored", "shape", "groups", "batch"), FORMS)
def test_a_constant_operand_is_filters_by_channels(
    nodes: str, size: str, stored: Any, shape: tuple[int, int], groups: int, batch: int
) -> None:
    layer = only_layer(model(nodes, f"float{size} x", w=ramp(*stored)))
    assert layer.weight.load().shape == layer.weight.shape == shape
    assert (layer.geometry.groups, layer.geometry.batch) == (groups, batch)
    assert layer.macs == prod(shape) * batch
    assert len(layer.channels) == shape[1] * groups


@pytest.mark.parametrize(("nodes", "size", "stored", "shape", "groups", "batch"), FORMS)
def test_a_filter_is_the_weights_that_an_element_of_the_output_is_made_of(
    nodes: str, size: str, stored: Any, shape: tuple[int, int], groups: int, batch: int
) -> None:
    dims, w = [int(n) for n in size.strip("[]").split(",")], ramp(*stored)
    layer = only_layer(model(nodes, f"float{size} x", w=w))
    made_of = [tuple(column[column != 0]) for column in linear_map(nodes, dims, w).T]
    assert sorted(made_of) == sorted([tuple(row) for row in layer.weight.load()] * batch)


def linear_map(nodes: str, dims: list[int], w: Array) -> Array:
    """The matrix (inputs, outputs) of a linear operator, a unit vector at a time."""
    if "com.microsoft" in nodes:  # onnx's reference knows the Gemm that these are, on matrices
        nodes = re.sub("com.microsoft.(FusedMatMul|FusedGemm<[^>]*>)", "Gemm", nodes)
        if len(dims) == 3:
            return np.kron(np.eye(dims[0]), linear_map(nodes, dims[1:], w))
    size = ",".join(map(str, dims))
    evaluator = ReferenceEvaluator(model(nodes, f"float[{size}] x", w=w))
    units = np.eye(prod(dims), dtype=np.float32).reshape(-1, *dims)
    return np.stack([evaluator.run(None, {"x": unit})[0].ravel() for unit in units])


@pytest.mark.parametrize(
    ("nodes", "sizes", "macs"),
    [
        ("y = MatMul(a, b)", ("[2,5,3]", "[2,3,4]"), 2 * 5 * 3 * 4),
        ("y = MatMul(a, b)", ("[2,1,5,3]", "[7,3,4]"), 2 * 7 * 5 * 3 * 4),
        ("y = MatMul(a, b)", ("[3]", "[3]"), 3),
        ("y = Gemm<transA=1>(a, b)", ("[3,5]", "[3,4]"), 5 * 3 * 4),
        ("y = Gemm<transB=1>(a, b)", ("[5,3]", "[4,3]"), 5 * 3 * 4),
        ("y = com.microsoft.FusedMatMul<transB=1>(a, b)", ("[2,5,3]", "[2,4,3]"), 2 * 5 * 3 * 4),
        ('y = Einsum<equation="bhid,bhjd->bhij">(a, b)', ("[1,2,5,3]", "[1,2,4,3]"), 2 * 5 * 3 * 4),
        ('y = Einsum<equation="...id,...jd->...ij">(a, b)', ("[6,5,3]", "[6,4,3]"), 6 * 5 * 3 * 4),
        ("y = Conv<group=2>(a, b)", ("[1,4,7]", "[6,2,3]"), 6 * 2 * 3 * 5),
        ("y = ConvTranspose(a, b)", ("[1,4,7]", "[4,2,3]"), 4 * 2 * 3 * 7),
        ("y = Conv(w, b)", ("[1]", "[1,1,2]"), 2 * 3),
    ],
)
def test_a_product_of_two_activations_has_macs_and_no_weights(
    nodes: str, sizes: tuple[str, str], macs: int
) -> None:
    inputs = f"float{sizes[0]} a, float{sizes[1]} b, float[1,1] x"
    proto = model(f"{nodes} z = MatMul(x, one)", inputs, one=ramp(1, 1), w=ramp(1, 1, 4))
    network = read_whole(proto)
    assert [product.macs for product in network.products] == [macs]
    assert [layer.name for layer in network.layers] == ["z"]
    assert not network.uncounted


@pytest.mark.parametrize("equation", ["ii->i", "ij->ji", "ij->", "ii"])
def test_an_einsum_of_one_operand_moves_or_sums_and_multiplies_nothing(equation: str) -> None:
    nodes = f'e = Einsum<equation="{equation}">(x) f = Flatten<axis=0>(e) y = MatMul(x, w)'
    assert only_layer(model(nodes, "float[3,3] x", w=ramp(3, 2))).macs == 18


@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_operator_uses_both_its_weights_at_every_step(op_type: str) -> None:
    for proto, inputs, _ in cases(op_type):
        names = list(proto.graph.node[0].input[:3])
        constants = {name: inputs[name] for name in names[1:]}
        network = read_whole(constants_of_inputs(proto, constants))
        x, w, r = (inputs[name] for name in names)
        first, second = network.layers
        np.testing.assert_array_equal(first.weight.load(), w.reshape(-1, w.shape[2]))
        np.testing.assert_array_equal(second.weight.load(), r.reshape(-1, r.shape[2]))
        steps = x.shape[0] * x.shape[1]
        assert (first.macs, second.macs) == (steps * w.size, steps * r.size)
        assert {first.name[-2:], second.name[-2:]} == {".W", ".R"}


def test_attention_is_two_products_for_each_head_query_and_key() -> None:
    for proto, inputs, _ in cases("Attention"):
        names = [*proto.graph.node[0].input, *[""] * 7]
        q, k, v, past = (inputs.get(names[i]) for i in (0, 1, 2, 4))
        heads = {a.name: a.i for a in proto.graph.node[0].attribute}
        if q.ndim == 3:  # heads side by side in the last axis
            q = split_heads(q, heads["q_num_heads"])
            k, v = (split_heads(t, heads["kv_num_heads"]) for t in (k, v))
        batch, count, queries, depth = q.shape
        keys = k.shape[2] + (0 if past is None else past.shape[2])
        macs = sum(depth + v.shape[3] for _ in np.ndindex(batch, count, queries, keys))
        assert only_products(proto) == macs


def split_heads(x: Array, heads: int) -> Array:
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


# What cannot be counted is listed, with the reason ----------------------------------------------

UNCOUNTED = {
    "an operator of a domain nobody knows": (
        "y = unheard.of.Mystery(x)", "esnsim does not know this operator of domain 'unheard.of'",
    ),
    "a contributed operator": (
        "y = com.microsoft.SparseAttention(x)",
        "esnsim does not know this operator of domain 'com.microsoft'",
    ),
    "an operator of a layout for one machine": (
        "y = com.microsoft.nchwc.Conv(x, w)",
        "ONNX Runtime laid the model out for one machine: give it as it was before",
    ),
    "a standard operator newer than onnx": (
        "y = NoSuchOperator(x)", f"onnx {onnx.__version__} does not know this operator",
    ),
    "a standard operator that multiplies": (
        "y = Det(x)", "esnsim has no reader for this operator",
    ),
    "a convolution of unknown shape": (
        "s = NonZero(x) f = Cast<to=1>(s) y = Conv(f, k)",
        "the shape of its input 'f' is not known: NonZero 's' gives none for 3×3; "
        "try --input-shape",
    ),
    "a convolution after an addition that cannot be": (
        "l = Concat<axis=0>(x, w) a = Add(x, l) r = Relu(a) y = Conv(r, k)",
        "the shape of its input 'r' is not known: Add 'a' gives none for 3×3 and 6×3; "
        "try --input-shape",
    ),
    "a convolution of what a loop gives": (
        "r = ReduceSum<keepdims=0>(x) n = Cast<to=7>(r) "
        'f = Loop(n, "") <body = b (int64 i, bool t) => (bool u, float[3] o) '
        "{ u = Identity(t) o = Constant<value = float[3] {1, 2, 3}>() }> y = Conv(f, k)",
        "the shape of its input 'f' is not known; try --input-shape",
    ),
    "an Einsum with a diagonal": (
        'y = Einsum<equation="ii,ij->j">(x, w)',
        "the equation 'ii,ij->j' is no matrix product with its constant",
    ),
    "an Einsum that sums its activation alone": (
        'y = Einsum<equation="ij,kl->kl">(x, w)',
        "the equation 'ij,kl->kl' is no matrix product with its constant",
    ),
    "an Einsum of three operands": (
        'y = Einsum<equation="ij,jk,kl->il">(x, x, x)',
        "the equation 'ij,jk,kl->il' has other than two operands",
    ),
    "an Einsum of three operands, one constant": (
        'y = Einsum<equation="ij,jk,kl->il">(x, w, x)',
        "the equation 'ij,jk,kl->il' has more than two operands and a constant",
    ),
    "integers with a dynamic zero point": (
        "i = Cast<to=3>(x) z = ReduceMax<keepdims=0>(i) y = MatMulInteger(i, q, z, z)",
        "the scale or zero point of its weights is not constant",
    ),
    "transposed batch axes": (
        "y = com.microsoft.FusedMatMul<transBatchA=1>(x, w)", "transposed batch axes",
    ),
    "packed weights that are not constant": (
        "b = Cast<to=2>(x) y = com.microsoft.MatMulNBits<N=1, K=16, block_size=16>(x, b, x)",
        "its weights are not constant",
    ),
    "a missing input": ('y = MatMul(x, "")', "its input 1 is missing"),
    "complex weights": (
        "y = MatMul(c, complex)", "its weights are of type complex64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNCOUNTED)
def test_what_cannot_be_counted_is_listed_with_its_reason(name: str) -> None:
    nodes, reason = UNCOUNTED[name]
    network = read_whole(
        model(
            f"{nodes} counted = MatMul(x, w)", "float[3,3] x, complex64[3,3] c", w=ramp(3, 3),
            k=ramp(1, 1, 3), q=ramp(3, 3, dtype=np.int8), complex=ramp(3, 3, dtype=np.complex64),
        )
    )  # fmt: skip
    assert [(item.name, item.reason) for item in network.uncounted] == [("y", reason)]
    assert [layer.name for layer in network.layers] == ["counted"]


@pytest.mark.parametrize(
    "op_type", ["AffineGrid", "CausalConvWithState", "DFT", "LinearAttention", "STFT"]
)
def test_every_case_of_a_multiplying_operator_without_reader_is_listed(op_type: str) -> None:
    for proto, inputs, _ in cases(op_type):
        copy = beside_a_layer(constants_of_inputs(proto, dict(list(inputs.items())[1:])))
        assert [item.op for item in read_whole(copy).uncounted] == [op_type]


def test_functions_of_the_standard_that_multiply_are_known_to_multiply() -> None:
    """As onnx defines some operators by others, it tells which of them hide a product."""
    hiding = {
        schema.name
        for schema in onnx.defs.get_all_schemas()
        if schema.domain == "" and schema.has_function
        and MULTIPLYING & {node.op_type for node in schema.function_body.node}
    }  # fmt: skip
    assert hiding
    assert hiding <= MULTIPLYING


def test_a_weight_that_does_not_fit_its_input_is_refused() -> None:
    with pytest.raises(ModelError, match="'y' has weights of shape 4×3, which need 4 inputs, but"):
        read_whole(model("y = MatMul(x, w)", "float[2,3] x", w=ramp(4, 3)))
