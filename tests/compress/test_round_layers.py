"""Layers rounded and refitted in graph order, for every operator whose weights can be exchanged."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from esnsim.compression.allocate.allocate import every_width
from esnsim.compression.correct.recalibrate import Corrector, float_moments
from esnsim.compression.prune.prune import choose
from esnsim.compression.prune.shrink import shrink
from esnsim.compression.round import inputs, walk
from esnsim.compression.round.inputs import Setting
from esnsim.compression.round.layers import refit_layers, round_layers
from esnsim.compression.round.reference import Reference
from esnsim.compression.round.remaining import remaining
from esnsim.compression.round.windows import places_in, windows
from esnsim.compression.workspace import float_targets, prepare
from esnsim.costs.cost import cost
from esnsim.errors import ModelError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.graph.model import Model, open_model
from esnsim.graph.sites import Slot, sites
from esnsim.graph.substitute import dequantized, with_weights
from esnsim.images.files import DataError
from esnsim.images.sets import ImageSet
from esnsim.model.network import Array
from esnsim.quantization.quantizer import QuantizedNetwork, codes, quantize
from esnsim.quantization.scheme import Scheme
from esnsim.run.session import Session, open_session
from tests.compress.prune_cases import heads
from tests.compress.test_recalibrate import MODELS, PARTS, RESIDUAL
from tests.execute.cases import LINEAR
from tests.execute.models import model, normal

OPERATORS = {
    name: made() for name, made in LINEAR.items()
    if made().graph.input[0].type.tensor_type.shape.dim[0].dim_param and "packed" not in name
    and "einsum" not in name
}  # fmt: skip
RULES = ["mse", "layer-mse", "filter-max"]


def images(graph: Model, count: int = 40) -> ImageSet:
    """Correlated images that a model takes, of no mean of 0."""
    [(name, shape)] = graph.network.source.inputs
    x = normal(count, *shape[1:], seed=3)
    x = (x + 2 * normal(count, *[1] * (x.ndim - 1), seed=4) + 0.5).astype(
        graph.scope.get(name).dtype
    )
    return ImageSet(name="made", count=count, read=lambda start, stop: x[start:stop])


def near(graph: Model, rule: str = "mse", bits: int = 2) -> QuantizedNetwork:
    return quantize(graph.network, Scheme(rule, bits))


def weights(graph: Model, quantized: QuantizedNetwork) -> Mapping[Slot, Array]:
    return {s.slot: s.to_operand(dequantized(quantized.layers[s.index])) for s in sites(graph)}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", OPERATORS)
def test_the_error_at_the_output_is_at_most_that_of_nearest_codes(name: str, rule: str) -> None:
    graph = open_model(OPERATORS[name])
    some, plain = images(graph), near(graph, rule)
    found, changes, _ = round_layers(Setting(whole=graph, model=graph, images=some), plain)
    judge = Evaluator(graph, some)
    assert judge(changes).sqnr_db > judge(weights(graph, plain)).sqnr_db - 1e-3
    for new, old in zip(found.layers, plain.layers, strict=True):
        assert (new.sums.width_code <= old.sums.width_code).all()
        assert ((codes(new) == 0) == (codes(old) == 0)).all()


@pytest.mark.parametrize("name", ["residual", "folded", "double", "fully connected"])
def test_codes_that_compensate_beat_nearest_ones(name: str) -> None:
    graph = open_model(MODELS[name][0])
    some, plain = images(graph), near(graph, bits=3)
    targets = float_moments(graph, some)
    setting = Setting(whole=graph, model=graph, images=some, targets=targets)
    found, changes, _ = round_layers(setting, plain)
    again, *_ = round_layers(setting, plain)
    judge = Evaluator(graph, some)
    assert judge(changes).sqnr_db > judge(weights(graph, plain)).sqnr_db + 2
    assert cost(found).total.esn_d_tilde.macs <= cost(plain).total.esn_d_tilde.macs
    for one, other in zip(found.layers, again.layers, strict=True):
        np.testing.assert_array_equal(codes(one), codes(other))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["residual", "folded", "fully connected"])
def test_a_model_on_its_grid_stays_as_it_is(name: str, rule: str) -> None:
    graph = open_model(MODELS[name][0])
    coded = near(graph, bits=3)
    graph = graph.reopened(with_weights(graph, weights(graph, coded)))
    steps = {row.layer.name: row.steps for row in coded.layers}
    widths = {row.layer.name: row.sums.width_code for row in coded.layers}
    on_grid = quantize(graph.network, Scheme(widths=widths, given_steps=steps))
    on_grid = replace(on_grid, scheme=Scheme(rule))
    some = images(graph)
    targets = float_moments(graph, some)
    setting = Setting(whole=graph, model=graph, images=some, targets=targets)
    found, *_ = round_layers(setting, on_grid)
    for new, old in zip(found.layers, on_grid.layers, strict=True):
        np.testing.assert_array_equal(codes(new), codes(old))
        np.testing.assert_allclose(
            new.steps[new.sums.width_code > 0], old.steps[new.sums.width_code > 0], rtol=1e-6
        )


@pytest.mark.parametrize("name", ["residual", "folded"])
def test_where_a_part_does_not_run_alone_its_layer_alone_keeps_nearest_codes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = open_model(MODELS[name][0])
    some, plain = images(graph), near(graph)
    second = sorted(site.place for site in sites(graph))[1]

    def refuse(*given: Any, **how: Any) -> Session:
        if max(given[1]) == second - 1:
            raise ModelError("a part that ONNX Runtime does not load")
        return open_session(*given, **how)

    monkeypatch.setattr(walk, "open_session", refuse)
    workspace = prepare(graph, some, some)
    found = workspace.rounded(plain)
    assert [layer.first_filter for layer in found.alone] == [
        graph.network.layers[graph.layer_at[second]].first_filter
    ]
    for index, (one, other) in enumerate(zip(found.quantized.layers, plain.layers, strict=True)):
        assert (codes(one) == codes(other)).all() == (index == graph.layer_at[second])
    nearest = replace(workspace, rounding="nearest").evaluate(plain)
    assert workspace.judged(found.changes).sqnr_db > nearest.sqnr_db


SHARED = "t = Conv<pads = [1, 1, 1, 1]>(x, w) r = Relu(t) y = Conv<pads = [1, 1, 1, 1]>(r, w)"


def test_a_weight_that_two_layers_use_stays_one() -> None:
    graph = open_model(model(SHARED, w=normal(3, 3, 3, 3)))
    some, plain = images(graph), near(graph)
    found, changes, _ = round_layers(Setting(whole=graph, model=graph, images=some), plain)
    one, other = (codes(row) for row in found.layers)
    np.testing.assert_array_equal(one, other)
    judge = Evaluator(graph, some)
    assert judge(changes).sqnr_db > judge(weights(graph, plain)).sqnr_db + 3


def test_a_normalization_at_the_end_gets_its_statistics() -> None:
    """Nothing but the output reads it, and no layer comes behind."""
    graph = open_model(
        model(
            "f = Conv(x, w) y = BatchNormalization(f, s, t, m, q)", "float[N,3,6,5] x",
            w=normal(4, 3, 3, 3), s=normal(4), t=normal(4, seed=1), m=normal(4, seed=2),
            q=np.abs(normal(4, seed=3)) + np.float32(0.5),
        )
    )  # fmt: skip
    some = images(graph)
    workspace = prepare(graph, some, some, threads=1)
    compensated = workspace.evaluate(near(graph)).sqnr_db
    assert compensated > replace(workspace, rounding="nearest").evaluate(near(graph)).sqnr_db


def test_given_codes_stay_when_they_are_quantised_again() -> None:
    graph = open_model(MODELS["residual"][0])
    found, *_ = round_layers(Setting(whole=graph, model=graph, images=images(graph)), near(graph))
    again = quantize(found.network, Scheme("layer-max", 1))
    for one, other in zip(found.layers, again.layers, strict=True):
        np.testing.assert_array_equal(codes(one), codes(other))
        np.testing.assert_array_equal(one.steps, other.steps)


DEPTHWISE = """
    t = Conv<pads = [1, 1, 1, 1]>(x, w, b)
    r = Relu(t)
    d = Conv<group = 8, strides = [1, 2]>(r, w2, b2)
    s = Relu(d)
    y = Conv(s, w3)
"""


@pytest.mark.parametrize("proto", [
    model(RESIDUAL, **PARTS),
    model(
        DEPTHWISE, w=normal(8, 3, 3, 3), b=normal(8), w2=normal(8, 1, 2, 2), b2=normal(8, seed=1),
        w3=normal(5, 8, 1, 1),
    ),
    heads(),
], ids=["BatchNormalization", "depthwise", "attention"])  # fmt: skip
@pytest.mark.parametrize("corrected", [True, False])
def test_a_pruned_model_that_is_refitted_is_nearer_to_the_whole(
    proto: ModelProto, corrected: bool
) -> None:
    whole = open_model(proto)
    kept = choose(whole, 0.3)
    smaller, some = shrink(whole, kept), images(whole, 200)
    targets = float_targets(whole, kept, Reference(whole, some)) if corrected else None
    setting = Setting(whole=whole, model=smaller, images=some, kept=kept, targets=targets)
    judge = Evaluator(smaller, some, Evaluator(whole, some).reference)
    before = {} if targets is None else Corrector(smaller, some, targets)({})
    refitted = refit_layers(setting)
    assert judge(refitted).sqnr_db > judge(before).sqnr_db
    setting = replace(setting, model=smaller.reopened(with_weights(smaller, refitted)))
    plain = near(setting.model, bits=3)
    rounded = judge(round_layers(setting, plain)[1]).sqnr_db
    assert rounded > judge(weights(setting.model, plain)).sqnr_db + 1


@pytest.mark.parametrize("bits", [None, 8])
def test_nothing_depends_on_how_many_values_are_in_memory(
    bits: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = open_model(MODELS["residual"][0])
    some = images(graph, 130)
    setting = Setting(
        whole=graph, model=graph, images=some, targets=float_moments(graph, some),
        activation_bits=bits,
    )  # fmt: skip
    wanted = round_layers(setting, near(graph))[1]
    monkeypatch.setattr(walk, "KEPT", 0)
    known, nothing = (Reference(graph, some) for _ in range(2))
    nothing._room = 0
    for reference in (None, known, known, nothing, nothing):
        found = round_layers(replace(setting, reference=reference), near(graph))[1]
        assert found.keys() == wanted.keys()
        for slot, array in found.items():
            np.testing.assert_array_equal(array, wanted[slot])


def test_weights_make_up_for_quantised_activations() -> None:
    x = normal(3, 50) * np.float32(4)
    [found] = inputs.in_integers([x], 8)
    assert len(np.unique(found)) <= 256
    assert 0 < np.abs(found - x).max() <= (x.max() - x.min()) / 255 / 2 * 1.001


@pytest.mark.parametrize("rule", ["mse", "filter-max"])
def test_the_noise_that_remains_is_that_of_the_codes_chosen(rule: str) -> None:
    graph = open_model(model("y = Conv<pads = [1, 1, 1, 1]>(x, w)", w=normal(4, 3, 3, 3)))
    some, widths = images(graph, 60), every_width(graph.network, rule)
    [found] = remaining(graph, some, widths, rule, centred=False)
    assert found is not None
    plain = np.stack([run.sums.noise for run in widths[0]], axis=1)
    for bits in (1, 3):
        _, changes, _ = round_layers(
            Setting(whole=graph, model=graph, images=some), near(graph, rule, bits)
        )
        x = some.read(0, 60)
        [site] = sites(graph)
        error = changes[site.slot] - site.layer.weight.load()
        places = np.arange(places_in(x, site.layer.geometry))
        rows = windows(x, site.layer.geometry, places)[0].astype(float)
        wanted = np.square(rows @ error.reshape(4, 27).T).mean(axis=0)
        energy = np.square(rows).mean()
        np.testing.assert_allclose(found[:, bits - 1], wanted / energy, rtol=0.25)
    assert (found.sum(axis=0) < plain.sum(axis=0)).all()
    assert (np.diff(found, axis=1) < 0).all()


@pytest.mark.parametrize("made", [
    lambda x: x[:1], lambda x: np.ones_like(x), lambda x: np.zeros_like(x),
    lambda x: np.repeat(x[:1], len(x), axis=0),
], ids=["one image", "constant", "zeros", "one image many times"])  # fmt: skip
@pytest.mark.parametrize("name", ["residual", "folded", "fully connected"])
def test_images_that_say_little_are_compensated_for_as_they_are(made: Any, name: str) -> None:
    graph = open_model(MODELS[name][0])
    x = made(images(graph).read(0, 40))
    some = ImageSet(name="few", count=len(x), read=lambda start, stop: x[start:stop])
    plain = near(graph, bits=4)
    found = round_layers(Setting(whole=graph, model=graph, images=some), plain)
    judge = Evaluator(graph, some)
    nearest = judge(weights(graph, plain)).sqnr_db
    assert judge(found.changes).sqnr_db >= nearest - 1e-3
    assert all(np.isfinite(array).all() for array in found.changes.values())


def test_images_that_are_not_finite_are_refused() -> None:
    graph = open_model(MODELS["residual"][0])
    x = images(graph).read(0, 40).copy()
    x[7, 0, 0, 0] = np.nan
    some = ImageSet(name="bad", count=40, read=lambda start, stop: x[start:stop])
    with pytest.raises(DataError, match="of 'bad'"):
        prepare(graph, images(graph), some)


GROUPED = """
    t = Conv<pads = [1, 1, 1, 1]>(x, w)
    u = Conv<group = 2, pads = [0, 1, 2, 0]>(t, w2)
    y = Conv(u, w3)
"""


@pytest.mark.parametrize("filters", [4, 60])  # a group's are few, or many, for what they read
def test_cross_moments_are_of_what_the_float_model_gives_and_what_is_read(filters: int) -> None:
    parts = {
        "w": normal(8, 3, 3, 3),
        "w2": normal(filters, 4, 3, 2),
        "w3": normal(2, filters, 1, 1),
    }
    whole = open_model(model(GROUPED, **parts))
    kept = [np.arange(8) % 4 != 1, np.arange(filters) % 2 == 0, np.ones(2, np.bool_)]
    smaller, some = shrink(whole, kept), images(whole)
    reference = Reference(whole, some)
    setting = Setting(whole=whole, model=smaller, images=some, kept=kept)
    [_, site, _], [_, float_site, _] = sites(smaller), sites(whole)
    each = []
    for graph, at in ((smaller, site), (whole, float_site)):
        path = walk.Walk(graph, reference.feeds, at.place + 1)
        path.advance(at.place)
        t, geometry = np.concatenate(path.values("t")), at.layer.geometry
        each.append(windows(t, geometry, np.arange(places_in(t, geometry))).astype(float))
    known = reference.layer(float_site.index)
    assert known is not None
    assert known.gives == (filters == 4)
    path = walk.Walk(smaller, reference.feeds, site.place + 1)
    path.advance(site.place)
    found = inputs.Inputs(setting, sites(smaller), reference).moments(site, path)
    assert found is not None
    weights = float_site.layer.weight.load()[kept[1]].reshape(2, -1, 24)
    for moments, x, v, w in zip(found, *each, weights, strict=True):
        y = v @ w.T
        np.testing.assert_allclose(moments.pull, y.T @ x / len(x), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(moments.goal, y.mean(axis=0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(moments.gram, x.T @ x / len(x), rtol=1e-4, atol=1e-4)
