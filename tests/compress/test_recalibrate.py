"""Statistics correction: one pass equals layer by layer, and moments come out as they should."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esnsim import quantize, read_onnx
from esnsim.compression.correct import recalibrate
from esnsim.compression.correct.meters import Norm, Output, meters
from esnsim.compression.correct.moments import Moments
from esnsim.compression.correct.recalibrate import Corrector, float_moments
from esnsim.errors import UsageError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.graph.model import open_model
from esnsim.graph.sites import sites
from esnsim.graph.substitute import dequantized, with_weights
from esnsim.images import sets as data
from esnsim.images.sets import ImageSet
from esnsim.model.fold import fold_batchnorm
from esnsim.quantization.scheme import Scheme
from tests.execute.models import model, normal
from tests.naive import statistics as naive

NORM = "y = BatchNormalization(t, g, b, m, v)"
RESIDUAL = """
    t = Conv<pads = [1, 0, 1, 2], strides = [2, 1]>(x, w)
    n = BatchNormalization(t, g, b, m, v)
    r = Relu(n)
    u = Conv<group = 3, pads = [1, 1, 1, 1]>(r, w2, b2)
    s = BatchNormalization<epsilon = 0.1>(u, g, m, b, v)
    d = Conv<strides = [2, 1], pads = [0, 0, 0, 1]>(x, w3)
    a = Add(s, d)
    z = BatchNormalization(a, g, b, m, v)
    q = Relu(z)
    p = GlobalAveragePool(q)
    f = Flatten(p)
    y = Gemm<transB = 1>(f, w4, b4)
"""


def positive(*shape: int, seed: int = 1):
    return np.abs(normal(*shape, seed=seed)) + np.float32(0.5)


PARTS = {
    "w": normal(6, 3, 3, 3), "g": positive(6), "b": normal(6, seed=3), "m": normal(6, seed=4),
    "v": positive(6, seed=5), "w2": normal(6, 2, 3, 3), "b2": normal(6, seed=6),
    "w3": normal(6, 3, 1, 2), "w4": normal(5, 6), "b4": normal(1),
}  # fmt: skip
FOLDED = """
    t = Conv<pads = [1, 0, 1, 2], strides = [2, 1], group = 2>(x, w, b)
    r = Relu(t)
    u = ConvTranspose<strides = [1, 2], group = 3>(r, w2)
    s = LeakyRelu(u)
    k = Transpose<perm = [0, 2, 3, 1]>(s)
    e = Reshape(k, shape)
    f = MatMul(e, w3)
    h = Add(b3, f)
    y = Relu(h)
"""
FOLDED_PARTS = {
    "w": normal(6, 2, 3, 2), "b": normal(6), "w2": normal(6, 2, 2, 3), "w3": normal(6, 7),
    "b3": normal(1, 7), "shape": np.array([0, -1, 6]),
}  # fmt: skip
GEMMS = "t = Gemm<alpha = 0.5>(x, w, c)\n r = Relu(t)\n y = Gemm<transB = 1>(r, w2)"
DOUBLE = f"t = MatMul(x, w)\n {NORM.replace('y', 'n')}\n r = Relu(n)\n y = Gemm(r, w2)"
DOUBLE_PARTS = {
    name: array.astype(np.float64)
    for name, array in {
        "w": normal(5, 6), "w2": normal(6, 4), "g": positive(6), "b": normal(6),
        "m": normal(6, seed=2), "v": positive(6, seed=3),
    }.items()
}  # fmt: skip
MODELS = {
    "residual": (model(RESIDUAL, **PARTS), (3, 6, 5)),
    "residual, axes as inputs": (model(RESIDUAL, opset=17, **PARTS), (3, 6, 5)),
    "folded": (model(FOLDED, "float[N,4,6,5] x", **FOLDED_PARTS), (4, 6, 5)),
    "double": (model(DOUBLE, "double[N,5] x", **DOUBLE_PARTS), (5,)),
    "fully connected": (
        model(GEMMS, "float[N,5] x", w=normal(5, 7), c=normal(1), w2=normal(4, 7)), (5,)
    ),
}  # fmt: skip


def images(*size: int, count: int = 24, seed: int = 0) -> ImageSet:
    x = normal(count, *size, seed=seed) + np.float32(0.3)
    return ImageSet(name="made", count=count, read=lambda start, stop: x[start:stop])


def quantised(graph, scheme: Scheme):
    done = quantize(graph.network, scheme).layers
    return {s.slot: s.to_operand(dequantized(done[s.index])) for s in sites(graph)}


def relative(got, wanted) -> float:
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("name", MODELS)
@given(bits=st.integers(1, 4), seed=st.integers(0, 20), anchored=st.booleans())
@settings(max_examples=6)
def test_one_pass_is_layer_by_layer(name: str, bits: int, seed: int, anchored: bool) -> None:
    proto, size = MODELS[name]
    graph = open_model(proto)
    some = images(*size, seed=seed)
    changes = quantised(graph, Scheme("filter-max", bits))
    found = meters(graph)
    x = some.read(0, some.count)
    wanted = {
        m.name: naive.moments(naive.value(with_weights(graph, {}), m.value, x), m.axis)
        for m in found
        if anchored or isinstance(m, Output)
    }
    targets = {name: Moments(*pair) for name, pair in wanted.items()}
    if anchored:
        assert all(m.near(targets[name], 1e-4) for name, m in float_moments(graph, some).items())
    got = Corrector(graph, some, targets)(changes)
    twin = naive.correct(graph, changes, found, x, wanted)
    assert got.keys() == twin.keys()
    for slot, array in twin.items():
        assert relative(got[slot], array.reshape(got[slot].shape)) < 1e-4, slot


def test_the_meters_of_a_network_are_found() -> None:
    graph = open_model(MODELS["residual"][0])
    kinds = [(type(m).__name__, m.name) for m in meters(graph)]
    assert kinds == [
        ("Norm", "n"), ("Norm", "s"), ("Output", "d"), ("Norm", "z"), ("Output", "y"),
    ]  # fmt: skip
    graph = open_model(MODELS["folded"][0])
    assert [(m.name, m.axis) for m in meters(graph)] == [("t", 1), ("u", 1), ("h", 2)]
    graph = open_model("builtin:resnet20")
    assert [sum(isinstance(m, kind) for m in meters(graph)) for kind in (Norm, Output)] == [22, 1]


def test_half_precision_is_left_alone() -> None:
    graph = open_model(
        model("y = Conv(x, w)", "float16[N,3,6,5] x", w=normal(4, 3, 3, 2, dtype=np.float16))
    )
    assert meters(graph) == ()


def test_what_has_no_place_for_a_bias_is_left_alone() -> None:
    nodes = """
        t = MatMul(x, w)
        u = Mul(t, t)
        s = Gemm<beta = 0.5>(u, w2, c)
        a = Gemm(s, w2, x)
        y = MatMul(a, a2)
    """
    proto = model(nodes, "float[5,5] x", w=normal(5, 5), w2=normal(5, 5), c=normal(5), a2=normal(5))
    graph = open_model(proto)
    assert meters(graph) == ()
    assert Corrector(graph, images(5, count=5))({}) == {}


def test_weights_that_are_quantised_in_the_file_keep_their_codes() -> None:
    nodes = "d = DequantizeLinear<axis = 0>(w, s)\n t = Conv(x, d)\n y = Conv(t, v)"
    parts = {"w": np.ones((2, 3, 3, 2), np.int8), "s": positive(2), "v": normal(4, 2, 1, 2)}
    graph = open_model(model(nodes, **parts))
    assert [meter.name for meter in meters(graph)] == ["y"]


@pytest.mark.parametrize("name", MODELS)
def test_outputs_have_the_moments_of_the_float_model_afterwards(name: str) -> None:
    proto, size = MODELS[name]
    graph = open_model(proto)
    some = images(*size)
    changes = Corrector(graph, some)(quantised(graph, Scheme("layer-max", 2)))
    x = some.read(0, some.count)
    for meter in meters(graph):
        got, wanted = (
            naive.moments(naive.value(with_weights(graph, each), meter.value, x), meter.axis)
            for each in (changes, {})
        )
        if isinstance(meter, Output):
            np.testing.assert_allclose(got[0], wanted[0], atol=1e-4)
            np.testing.assert_allclose(got[1], wanted[1], rtol=1e-3)


def test_a_gain_changes_steps_and_no_codes() -> None:
    proto, size = MODELS["folded"]
    graph = open_model(proto)
    before = quantised(graph, Scheme("filter-max", 3))
    after = Corrector(graph, images(*size))(before)
    for site in sites(graph):
        old, new = (site.from_operand(c[site.slot]) for c in (before, after))
        factors = (new / old).reshape(len(old), -1)
        first = factors[:, :1]
        np.testing.assert_allclose(factors / first, np.ones_like(factors), rtol=1e-5)
        assert (first > 0).all()
        assert np.abs(first - 1).max() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_correction_leaves_the_float_model_as_it_is(name: str) -> None:
    proto, size = MODELS[name]
    graph = open_model(proto)
    some = images(*size)
    evaluator = Evaluator(graph, some)
    assert evaluator(Corrector(graph, some)({})).sqnr_db > 90
    norms = any(isinstance(meter, Norm) for meter in meters(graph))
    outputs = {
        m.name: float_moments(graph, some)[m.name] for m in meters(graph) if m.name == m.value
    }
    plain = evaluator(Corrector(graph, some, outputs)({})).sqnr_db
    assert (plain < 60) == bool(norms)  # running statistics that these images do not have


def test_correction_is_the_same_before_and_after_folding() -> None:
    """Under filter-max, whose codes a gain of a filter does not change."""
    nodes = f"t = Conv<group = 3>(x, w)\n {NORM.replace('y', 'n')}\n r = Relu(n)\n y = Conv(r, w2)"
    w, gamma, variance, (beta, mean) = normal(6, 1, 3, 2), positive(6), positive(6), normal(2, 6)
    proto = model(nodes, w=w, g=gamma, b=beta, m=mean, v=variance, w2=normal(4, 6, 2, 2))
    gain = gamma / np.sqrt(variance + 1e-5)
    folded = model(
        "n = Conv<group = 3>(x, w, b)\n r = Relu(n)\n y = Conv(r, w2)",
        w=w * gain[:, None, None, None], b=beta - mean * gain, w2=normal(4, 6, 2, 2),
    )  # fmt: skip
    some, found = images(3, 6, 5), []
    for each in (proto, folded):
        graph = open_model(each)
        changes = quantised(graph, Scheme("filter-max", 2))
        found.append(Evaluator(graph, some).outputs(Corrector(graph, some)(changes)))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-4)


def test_pruned_filters_become_their_mean_and_stay_pruned() -> None:
    proto, size = MODELS["folded"]
    graph = open_model(proto)
    some = images(*size)
    [site, *_] = sites(graph)
    weights = np.array(site.layer.weight.load())
    weights[[1, 4]] = 0
    changes = {site.slot: site.to_operand(weights)}
    found = Corrector(graph, some)(changes)
    assert not site.from_operand(found[site.slot])[[1, 4]].any()
    bias = found[meters(graph)[0].bias]
    np.testing.assert_allclose(
        bias[[1, 4]], float_moments(graph, some)["t"].mean[[1, 4]], rtol=1e-4
    )


@pytest.mark.parametrize("name", ["residual", "folded"])
@pytest.mark.parametrize(("fewest", "tolerance"), [(99, 5e-3), (2, 0.3)])
def test_images_that_do_not_fit_at_once(
    name: str, fewest: int, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pass by pass, which is exact, or in batches whose moments are pooled."""
    proto, size = MODELS[name]
    graph = open_model(proto)
    some = images(*size, count=23)
    changes = quantised(graph, Scheme("filter-max", 4))
    targets = {
        m.name: Moments(np.full(m.shape[m.axis], 0.1), np.full(m.shape[m.axis], 0.5))
        for m in meters(graph)
    }
    whole = Corrector(graph, some, targets)(changes)
    monkeypatch.setattr(recalibrate, "BATCH_ELEMENTS", 1000)  # elements: a few images
    monkeypatch.setattr(recalibrate, "SETTLED", 1e-4)
    monkeypatch.setattr(recalibrate, "FEWEST", fewest)
    parts = Corrector(graph, some, targets)(changes)
    assert max(relative(parts[slot], array) for slot, array in whole.items()) < tolerance


def test_a_fixed_batch_is_no_obstacle_where_the_graph_takes_others() -> None:
    parts = {"w": normal(4, 3, 3, 2), "g": positive(4), "b": normal(4), "m": normal(4)}
    nodes = f"t = Conv(x, w)\n {NORM}"
    free = model(nodes, **parts, v=positive(4))
    fixed = model(nodes, "float[1,3,6,5] x", **parts, v=positive(4))
    some = images(3, 6, 5)
    found = [Corrector(open_model(proto), some)({}) for proto in (free, fixed)]
    for slot, array in found[0].items():
        np.testing.assert_allclose(found[1][slot], array, rtol=1e-5)


def test_a_graph_that_takes_one_image_alone_is_corrected_pass_by_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recalibrate, "SETTLED", 1e-4)
    nodes = f"t = Conv(x, w)\n {NORM.replace('y', 'n')}\n f = Reshape(n, s)\n y = Gemm(f, k, c)"
    parts = {"w": normal(4, 3, 3, 2), "g": positive(4), "b": normal(4), "m": normal(4)}
    parts |= {"v": positive(4), "k": normal(64, 3), "c": normal(3)}
    one = model(nodes, "float[1,3,6,5] x", **parts, s=np.array([1, 64]))
    many = model(nodes, "float[N,3,6,5] x", **parts, s=np.array([-1, 64]))
    some = images(3, 6, 5)
    found = []
    for proto in (one, many):
        graph = open_model(proto)
        changes = quantised(graph, Scheme("filter-max", 2))
        found.append(Corrector(graph, some)(changes))
    for slot, array in found[1].items():
        assert relative(found[0][slot], array) < 5e-3


def test_targets_of_another_network_are_for_its_filters() -> None:
    proto, size = MODELS["fully connected"]
    graph = open_model(proto)
    some = images(*size)
    targets = float_moments(graph, some)
    kept = np.arange(7) != 2
    assert len(targets["t"].kept(kept).mean) == 6
    wrong = {**targets, "t": targets["t"].kept(kept)}
    with pytest.raises(UsageError, match="6 means for the 7 channels of 't'"):
        Corrector(graph, some, wrong)
    moved = {n: Moments(m.mean + 1, 4 * m.variance) for n, m in targets.items()}
    changes = Corrector(graph, some, moved)({})
    x = some.read(0, some.count)
    mean, variance = naive.moments(naive.value(with_weights(graph, changes), "y", x), 1)
    np.testing.assert_allclose(mean, targets["y"].mean + 1, atol=1e-5)
    np.testing.assert_allclose(variance, 4 * targets["y"].variance, rtol=1e-3)


def test_weights_with_a_folded_gain_go_back_before_the_batchnorm() -> None:
    network = read_onnx("builtin:resnet8")
    folded = quantize(fold_batchnorm(network), Scheme("filter-max", 4)).layers
    plain = quantize(network, Scheme("filter-max", 4)).layers
    for one, other in zip(folded, plain, strict=True):
        np.testing.assert_allclose(dequantized(one), dequantized(other), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("name", "least"), [("resnet8", 0.03), ("resnet20", 0.3)])
def test_correction_raises_accuracy_at_two_bits(name: str, least: float) -> None:
    graph = open_model(f"builtin:{name}")
    every = data.embedded()
    half = replace(every, count=200, read=lambda a, b: every.read(a + 500, b + 500))
    half = replace(half, labels=every.labels[500:700])
    changes = quantised(graph, Scheme("mse", 2))
    evaluator = Evaluator(graph, half)
    before, after = evaluator(changes), evaluator(Corrector(graph, every.first(128))(changes))
    assert after.top1 > before.top1 + least
    assert after.sqnr_db > before.sqnr_db + 3
    assert not after.ties(before)
