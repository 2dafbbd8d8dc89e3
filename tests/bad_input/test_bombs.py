"""Small files that ask for much."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from tests import forked
from tests.commandline import Ended, esnsim, refused
from tests.importer.models import model
from tests.samples import OPSETS, saved, weights

W = weights(4, 3, 3, 3)


def sparse(*dims: int) -> ModelProto:
    proto = model("y = MatMul(x, s)", "float[1,4] x")
    values, indices = (numpy_helper.from_array(np.array([1], t)) for t in (np.float32, np.int64))
    values.name = "s"
    proto.graph.sparse_initializer.append(
        SparseTensorProto(values=values, indices=indices, dims=dims)
    )
    return proto


def doubled(times: int, last: str) -> ModelProto:
    """Functions that each call the next one twice; the last does `last`."""
    calls = "".join(
        f"{OPSETS} f{i} (a) => (b) {{ c = local.f{i + 1}(a) b = local.f{i + 1}(c) }}"
        for i in range(times)
    )
    functions = f"{calls} {OPSETS} f{times} (a) => (b) {{ {last} }}"
    return model("h = Conv(x, w) y = local.f0(h)", functions=functions, w=W)


def looped(depth: int, trips: int) -> ModelProto:
    """Loops inside each other, each of so many trips."""
    value, body = "float[1,3,6,5]", "o0 = Conv(z0, u)"
    for i in range(depth):
        source, target = ("x", "y") if i == depth - 1 else (f"z{i + 1}", f"o{i + 1}")
        body = (
            f"{target} = Loop(trips, go, {source}) <body = g{i} (int64 i{i}, bool k{i}, "
            f"{value} z{i}) => (bool k{i}, {value} o{i}) {{ {body} }}>"
        )
    return model(body, trips=np.int64(trips), go=np.array(True), u=weights(3, 3, 1, 1))


def nested(depth: int) -> ModelProto:
    """If nodes inside each other."""
    output = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["o"])], "e", [], output)
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["o"])], "g", [], output)
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["o"], then_branch=graph, else_branch=other)
        graph = helper.make_graph([node], "g", [], output)
    proto = model("y = Identity(x)", "float[1,3,6,5] x, bool c", w=W)
    proto.graph.node[0].CopyFrom(graph.node[0])
    proto.graph.output[0].name = "o"
    return proto


def constant(nodes: str, inputs: str = "float[1,4] x", **given: Any) -> ModelProto:
    return model(
        f"{nodes} y = MatMul(x, w)", inputs, **{k: np.asarray(v) for k, v in given.items()}
    )


NOTHING = "has no layer with weights that esnsim can count"
MANY = 10**12
BOMBS: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "ConstantOfShape": (lambda: constant("w = ConstantOfShape(s)", s=[4, MANY]), NOTHING),
    "ConstantOfShape of one filter": (
        lambda: constant("w = ConstantOfShape(s)", f"float[1,{10**9}] x", s=[10**9, 1]),
        "'y' declares weights of shape 1×1000000000: esnsim reads layers of 1 to 4,194,304 filters",
    ),
    "Expand": (lambda: constant("w = Expand(a, s)", a=[[1.0]], s=[4, MANY]), NOTHING),
    "Expand and Mul": (
        lambda: constant("v = Expand(a, s) w = Mul(v, v)", a=[[1.0]], s=[4, 10**9]), NOTHING,
    ),
    "Tile": (lambda: constant("w = Tile(a, s)", a=[[1.0]], s=[4, MANY]), NOTHING),
    "Range": (
        lambda: constant(
            "r = Range(a, n, o) w = Unsqueeze(r, q)", f"float[1,{MANY}] x",
            a=0.0, n=float(MANY), o=1.0, q=[1],
        ),
        NOTHING,
    ),
    "Pad": (lambda: constant("w = Pad(a, p)", a=[[1.0]], p=[0, 0, 3, MANY]), NOTHING),
    "OneHot": (
        lambda: constant("w = OneHot(i, d, v)", i=[0, 1, 2, 3], d=MANY, v=[0.0, 1.0]), NOTHING,
    ),
    "Resize": (
        lambda: model(
            "w = Resize(a, , , s) y = Conv(x, w)", "float[1,1,1000000,1000000] x",
            a=weights(1, 1, 1, 1), s=np.array([1, 1, 10**6, 10**6]),
        ),
        NOTHING,
    ),
    "Concat that doubles": (
        lambda: constant(
            "".join(f"a{i + 1} = Concat<axis=0>(a{i}, a{i}) " for i in range(40))
            + "w = Identity(a40)", f"float[1,{1 << 40}] x", a0=[[1.0]],
        ),
        NOTHING,
    ),
    "Einsum": (
        lambda: model(
            'w = Einsum<equation="a,b,c,d->abcd">(v, v, v, v) y = Conv(x, w)',
            "float[1,1000,1000,1000] x", v=weights(1000),
        ),
        NOTHING,
    ),
    "sparse tensor": (lambda: sparse(4, 10**10), "sparse tensor 's' has 40,000,000,000 elements"),
    "sparse tensor of negative size": (lambda: sparse(4, -1), "declares the shape 4×-1"),
    "a function that calls itself": (
        lambda: doubled(0, "b = local.f0(a)"),
        "functions and graphs nest deeper than 64: a function calls itself, or the file is damaged",
    ),
    "functions in a ring": (
        lambda: doubled(1, "b = local.f0(a)"), "functions and graphs nest deeper than 64",
    ),
    "loops in loops": (
        lambda: looped(4, 1 << 30), "declares shapes of more than 2^62 multiply-accumulates",
    ),
    "a huge input": (
        lambda: model("y = Conv(x, w)", f"float[1,3,{MANY},{MANY}] x", w=W),
        "input 'x' is 1×3×1000000000000×1000000000000: too large to be real",
    ),
}  # fmt: skip


def limited(path: Path) -> Ended:
    """The run in a process that may take 2 GB of address space."""
    return forked.esnsim("cost", path, memory=2 << 30)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    make, said = BOMBS[name]
    refused(limited(saved(make(), tmp_path)), said)


def test_functions_that_double_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esnsim.importer.walk.NODES", 1000)
    refused(
        esnsim("cost", saved(doubled(30, "b = Relu(a)"), tmp_path)),
        "functions and bodies unroll to more than 1,000 nodes: esnsim stops there",
    )


def test_an_endless_loop_is_counted_once_and_that_is_said(tmp_path: Path) -> None:
    ended = esnsim("cost", saved(looped(1, (1 << 63) - 1), tmp_path))
    assert ended.code == 0
    assert "its body is counted once" in ended.err


def test_a_block_that_is_longer_than_its_axis_is_one_block(tmp_path: Path) -> None:
    nodes = f"w = DequantizeLinear<axis=0, block_size={MANY}>(q, s)"
    proto = constant(nodes, q=np.ones((4, 3), np.int8), s=np.ones((1, 3), np.float32))
    assert limited(saved(proto, tmp_path)).code == 0


def test_graphs_inside_each_other_are_read(tmp_path: Path) -> None:
    assert esnsim("cost", saved(nested(25), tmp_path)).code == 0


@pytest.mark.parametrize(
    ("depth", "said"),
    [(40, "is not an ONNX file, or a damaged one"), (900, "nests deeper than 100 messages")],
)
def test_graphs_too_deep_inside_each_other_are_refused(
    tmp_path: Path, depth: int, said: str
) -> None:
    graph = field(1, field(4, b"Relu"))
    for _ in range(depth):  # a graph in an attribute in a node in a graph
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "model.onnx"
    path.write_bytes(field(7, graph))
    refused(esnsim("cost", path), f"'{path}'", said)


def field(number: int, body: bytes) -> bytes:
    """A field of bytes in the protobuf wire format."""
    length, size = len(body), bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + body
