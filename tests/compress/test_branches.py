"""Branches that shapes and values choose stand in place of their Ifs, and compress as the rest."""

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, numpy_helper

from esnsim.compression.compress import compress
from esnsim.compression.recipe import Recipe
from esnsim.graph.branches import specialised
from esnsim.graph.model import open_model
from esnsim.graph.sites import unquantisable_layers
from esnsim.graph.substitute import with_weights
from esnsim.images.sets import ImageSet
from esnsim.quantization.scheme import Scheme
from tests.execute.models import Array, Feeds, model, normal

RATE = "float[N,6] x, int64 rate"


def switching() -> ModelProto:
    """Two products as the input `rate` says, one of them behind a second choice."""
    return model(
        """high = Constant<value_int=16000>() is = Equal(rate, high) low = Less(rate, high)
           m = MatMul(x, w)
           g = If(is) <then_branch = t () => (p) { p = Relu(m) },
             else_branch = e () => (p) {
               h = MatMul(m, v)
               p = If(low) <then_branch = t () => (q) { r = Relu(h) q = MatMul(r, u) },
                            else_branch = e () => (q) { r = Neg(m) q = Identity(r) }> }>
           y = Add(g, x)""",
        RATE, w=normal(6, 6), v=normal(6, 7, seed=1), u=normal(7, 6, seed=2),
    )  # fmt: skip


def alike() -> ModelProto:
    """Branches of two Ifs that name their values alike; one gives a stored tensor, too."""
    branch = "c = Constant<value = float {{{0}}}>() h = Mul({1}, c) p = MatMul(h, w)"
    sides = "then_branch = t () => ({0}) {{ {1} }}, else_branch = e () => ({0}) {{ {1} }}"
    proto = model(
        f"""two = Constant<value_int=2>() is = Equal(rate, two)
            a, b, c0 = If(is) <{sides.format("p, h, k", branch.format(2, "x"))}>
            d = If(is) <{sides.format("p", branch.format(3, "a"))}>
            f = Mul(b, c0) y = Add(d, f)""",
        RATE, w=normal(6, 6),
    )  # fmt: skip
    for item, number in zip(proto.graph.node[2].attribute, (5, 7), strict=True):
        stored = numpy_helper.from_array(np.full(6, number, np.float32), "k")
        item.g.initializer.append(stored)
    return proto


def run(proto: ModelProto, feeds: Feeds) -> Array:
    session = ort.InferenceSession(proto.SerializeToString())
    read = {each.name for each in session.get_inputs()}
    return session.run(None, {name: x for name, x in feeds.items() if name in read})[0]


@pytest.mark.parametrize("make", [switching, alike])
@pytest.mark.parametrize("rate", [16000, 8000, 32000, 2])
def test_the_branch_alone_gives_what_the_model_gives(
    make: Callable[[], ModelProto], rate: int
) -> None:
    whole = open_model(make(), None, {"rate": rate})
    found = specialised(whole)
    proto = with_weights(found, {})
    names = [[layer.name.rstrip("_") for layer in each.network.layers] for each in (found, whole)]
    assert names[0] == names[1][: len(names[0])]  # but for one that only the other branch reads
    assert not {"If", "Equal", "Less"} & {node.op_type for node in found.nodes}
    assert [each.name for each in proto.graph.input] == ["x", "rate"]
    assert found.edits[0].endswith("is all that is written; nothing reads input 'rate'")
    assert not unquantisable_layers(found)
    feeds = {"x": normal(3, 6, seed=4), "rate": np.array(rate)}
    np.testing.assert_allclose(run(proto, feeds), run(make(), feeds), rtol=1e-5, atol=1e-5)


def test_a_choice_that_inputs_make_stays() -> None:
    found = open_model(switching())
    assert specialised(found) is found
    assert [row.reason for row in unquantisable_layers(found)] == [
        "it is inside an If, a Loop, a Scan or a function"
    ] * 2


def test_sizes_that_choose_are_fixed_and_others_stay_free() -> None:
    nodes = """s = Shape<start=2>(x) one = Constant<value_ints=[1]>() is = Equal(s, one)
               z = If(is) <then_branch = t () => (p) { two = Constant<value_ints=[2]>()
                 q = Squeeze(x, two) p = MatMul(q, w) },
                 else_branch = e () => (p) { p = ReduceSum<keepdims=0>(x, last) }> y = Relu(z)"""
    proto = model(nodes, "float[N,6,T] x", w=normal(6, 6), last=np.array([2]))
    found = specialised(open_model(proto, {"x": (1, 6, 1)}))
    [x] = found.proto.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in x.type.tensor_type.shape.dim]
    assert dims == ["N", 6, 1]
    assert found.edits[0].endswith("is all that is written, for 'x' of 1 along axis 2")
    feeds = {"x": normal(3, 6, 1)}
    np.testing.assert_array_equal(run(with_weights(found, {}), feeds), run(proto, feeds))


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("choice", ["Equal(s, one)", "Greater(s, hundred)", "Equal(s, three)"])
def test_a_size_is_fixed_if_any_that_the_condition_names_would_choose_otherwise(
    choice: str, images: int
) -> None:
    nodes = f"""s = Shape<end=1>(x) one = Constant<value_ints=[1]>()
                three = Constant<value=int64[1] {{3}}>() is = {choice}
                z = If(is) <then_branch = t () => (p) {{ p = MatMul(x, w) }},
                else_branch = e () => (q) {{ q = MatMul(x, v) }}> y = Relu(z)"""
    weights = {"w": normal(6, 6), "v": normal(6, 6, seed=1), "hundred": np.array([100])}
    found = specialised(open_model(model(nodes, "float[N,6] x", **weights), {"x": (images, 6)}))
    assert found.edits[0].endswith(f"is all that is written, for 'x' of {images} along axis 0")


def test_layers_of_the_branch_are_compensated() -> None:
    x = normal(200, 6, seed=5) + normal(200, 1, seed=6)
    some = ImageSet(name="made", count=200, read=lambda start, stop: x[start:stop])
    whole, errors = open_model(switching(), None, {"rate": 8000}), {}
    feeds = {"x": x[150:], "rate": np.array(8000)}
    for rounding in ("nearest", "compensated"):
        found = compress(
            whole, Recipe(scheme=Scheme("mse", 3), rounding=rounding), some.first(50), some
        )
        assert len(found.workspace.sites) == 3
        assert any("is all that is written; nothing reads input 'rate'" in n for n in found.notes)
        right = run(switching(), feeds)
        errors[rounding] = float(np.square(run(found.model, feeds) - right).sum())
    assert errors["compensated"] < 0.8 * errors["nearest"]
