"""Codes: the paper's pseudocode, the rules of schemes, widths, saturation, errors."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from esnsim.errors import EsnsimError, ModelError, WidthError
from esnsim.model.network import Codes
from esnsim.quantization.quantizer import QuantizedLayer, codes, quantize
from esnsim.quantization.rules import RULES
from esnsim.quantization.scheme import LEAST_STEP, Scheme
from tests.naive import midrise
from tests.networks import chain, layer, network

Array = NDArray[Any]
FLOAT_RULES = list(RULES)
WEIGHTS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=3, max_side=6),
    elements=st.floats(-9, 9, width=32),
)
NORMAL = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)


def only(weights: Array, **scheme: Any) -> QuantizedLayer:
    """The one layer of a network, quantised."""
    return quantize(chain(weights), Scheme(**scheme)).layers[0]


def bits(weights: Array, **scheme: Any) -> list[int]:
    """The widths of its filters."""
    return only(weights, **scheme).sums.width_code.tolist()


@given(WEIGHTS, st.sampled_from([0.013, 0.5, 1.0, 3.0, 20.0]))
def test_codes_are_the_pseudocode_of_appendix_a(weights: Array, delta: float) -> None:
    W = weights
    pruned = np.all(abs(W) < delta / 2, axis=tuple(range(1, W.ndim)))
    W_int = np.floor(W.astype(np.float64) / delta) + 0.5
    W_int[pruned] = 0
    assert (codes(only(W, given_steps=delta, keep_zeros=False)) == 2 * W_int).all()


@given(WEIGHTS, st.sampled_from(FLOAT_RULES), st.integers(1, 8), st.booleans())
def test_widths_are_the_bit_lengths_of_the_codes(
    weights: Array, rule: str, width: int, keep_zeros: bool
) -> None:
    assume(rule != "filter-sigma" or np.abs(weights).max() > 1e-3)
    each = only(weights, rule=rule, bits=width, keep_zeros=keep_zeros)
    q = codes(each).reshape(len(weights), -1)
    assert each.sums.width_code.tolist() == [midrise.bits(max(map(abs, m))) for m in q.tolist()]
    assert np.abs(q).max() <= 2**width - 1


def test_a_step_whose_half_float32_cannot_hold_exactly_prunes() -> None:
    least = 2 * float(np.finfo(np.float32).tiny)
    for step, width in ((least, 1), (np.nextafter(least, 0), 0)):
        weights = np.full((1, 3), step / 2)
        assert only(weights, given_steps=float(step)).sums.width_code.tolist() == [width]


@given(WEIGHTS, st.booleans())
def test_exact_zeros_are_kept_where_asked_for(weights: Array, keep_zeros: bool) -> None:
    each = only(weights, keep_zeros=keep_zeros)
    alive = np.repeat(each.sums.width_code > 0, weights[0].size).reshape(weights.shape)
    zeros = codes(each) == 0
    assert (zeros == (~alive | (weights == 0) if keep_zeros else ~alive)).all()


@given(WEIGHTS, st.integers(1, 8))
def test_filter_max_uses_all_bits_of_every_filter_and_prunes_none(
    weights: Array, width: int
) -> None:
    largest = np.abs(weights.reshape(len(weights), -1)).max(axis=1).astype(np.float64)
    alive = 2 * largest / 2**width >= LEAST_STEP
    assert bits(weights, rule="filter-max", bits=width) == (width * alive).tolist()


@given(WEIGHTS, st.floats(0.5, 8))
def test_filter_sigma_prunes_by_shape(weights: Array, alpha: float) -> None:
    filters = weights.reshape(len(weights), -1).astype(np.float64)
    largest, sigma = np.abs(filters).max(axis=1), np.sqrt((filters**2).mean(axis=1))
    assume((np.abs(largest - alpha * sigma / 2) > 1e-9 * sigma).all() and largest.min() > 1e-3)
    pruned = np.array(bits(weights, rule="filter-sigma", alpha=alpha)) == 0
    assert (pruned == (largest < alpha * sigma / 2)).all()


@pytest.mark.parametrize(("size", "few", "most"), [(576, 5.5, 8.5), (9, 2.5, 5)])
def test_under_filter_sigma_nearly_all_filters_die_together(
    size: int, few: float, most: float
) -> None:
    """3×3 filters of 64 channels near α = 7, depthwise ones near 4."""
    weights = np.random.default_rng(0).normal(size=(500, size))
    assert bits(weights, rule="filter-sigma", alpha=few).count(0) < 25
    assert bits(weights, rule="filter-sigma", alpha=most).count(0) > 475


def test_layer_max_gives_quieter_filters_fewer_bits() -> None:
    weights = 2.0 ** -np.arange(10)[:, None] * [-1, 0.75]
    assert bits(weights) == [8, 7, 6, 5, 4, 3, 2, 1, 1, 0]  # 2^-8 is Δ/2, 2^-9 below


@pytest.mark.parametrize(
    ("scheme", "rule", "nominal"),
    [
        ({}, "layer-max", 8),
        ({"bits": 3}, "layer-max", 3),
        ({"widths": 4}, "filter-max", 8),
        ({"widths": {"layer0": 4}, "bits": 5}, "filter-max", 5),
        ({"widths": 4, "rule": "mse"}, "mse", 8),
        ({"given_steps": 0.1}, "given", None),
        ({"given_steps": 0.1, "bits": 4}, "given", 4),
        ({"rule": "filter-sigma"}, "filter-sigma", None),
        ({"rule": "filter-sigma", "bits": 4}, "filter-sigma", 4),
    ],
)
def test_what_is_handed_in_implies_the_rule(
    scheme: dict[str, Any], rule: str, nominal: int | None
) -> None:
    assert Scheme(**scheme).resolved_rule == rule
    assert Scheme(**scheme).nominal_bits == nominal


def test_defaults_are_layer_max_8_bits_alpha_1_zeros_kept() -> None:
    scheme = Scheme()
    assert (scheme.resolved_rule, scheme.nominal_bits) == ("layer-max", 8)
    assert (scheme.alpha, scheme.keep_zeros) == (1, True)


@pytest.mark.parametrize(
    "scheme", [{"given_steps": 0.001}, {"rule": "filter-sigma", "alpha": 1e-3}]
)
def test_given_steps_and_filter_sigma_saturate_only_at_a_width(scheme: dict[str, Any]) -> None:
    assert min(bits(NORMAL, **scheme)) > 8
    assert bits(NORMAL, **scheme, bits=5) == [5] * 4
    assert bits(NORMAL, **scheme, widths={"layer0": [1, 2, 0, 4]}) == [1, 2, 0, 4]
    assert np.abs(codes(only(NORMAL, **scheme, bits=5))).max() == 31


def test_widths_handed_in_are_the_widths_and_0_prunes() -> None:
    each = only(NORMAL, widths={"layer0": [1, 2, 0, 16]})
    assert each.sums.width_code.tolist() == [1, 2, 0, 16]
    assert np.isnan(each.steps).tolist() == [False, False, True, False]
    assert not codes(each)[2].any()


@pytest.mark.parametrize("rule", ["layer-max", "layer-mse"])
def test_a_layer_wide_step_goes_by_the_widest_width(rule: str) -> None:
    steps = only(NORMAL, rule=rule, widths={"layer0": [1, 2, 0, 6]}).steps
    assert len(set(steps[[0, 1, 3]])) == 1
    assert np.isnan(steps[2])


def test_layers_without_a_width_of_their_own_take_the_nominal_one() -> None:
    net = chain(NORMAL, NORMAL[:, :, :1, 0].transpose(1, 0, 2))
    done = quantize(net, Scheme(bits=3, widths={"layer0": 5}))
    assert [max(each.sums.width_code) for each in done.layers] == [5, 3]


@pytest.mark.parametrize("name", ["layer0", "layer0.weight"])
def test_files_name_the_layer_or_its_weight(name: str) -> None:
    assert bits(NORMAL, widths={name: [1, 2, 3, 4]}) == [1, 2, 3, 4]


@pytest.mark.parametrize("rule", FLOAT_RULES)
def test_a_layer_of_zeros_has_width_0_and_no_step(rule: str) -> None:
    each = only(np.zeros((2, 3)), rule=rule)
    assert each.sums.width_code.tolist() == [0, 0]
    assert np.isnan(each.steps).all()


@pytest.mark.parametrize("rule", FLOAT_RULES)
@pytest.mark.parametrize("size", [1e-39, 1e-44])
def test_filters_whose_step_float32_does_not_hold_have_width_0(rule: str, size: float) -> None:
    weights = NORMAL.copy()
    weights[1] *= size
    found = only(weights, rule=rule, bits=4)
    assert (found.sums.width_code > 0).tolist() == [True, False, True, True]
    assert not codes(found)[1].any()
    alone = only(weights[1:2], rule=rule, bits=4)
    assert alone.sums.width_code.tolist() == [0]
    assert np.isnan(alone.steps).all()


def test_filters_of_zeros_need_no_step_where_steps_are_given() -> None:
    weights = np.array([[0.0, 0.0], [1.0, -1.0]])
    assert bits(weights, given_steps={"layer0": [np.nan, 1.0]}) == [0, 2]


@pytest.mark.parametrize("scheme", [{}, {"widths": 2}, {"rule": "mse", "bits": 1}])
def test_layers_that_are_quantised_keep_their_integers(scheme: dict[str, Any]) -> None:
    integers = np.array([[-128, 127, 0], [5, -3, 1]], np.int8)
    stored = Codes(8, False, False, lambda: np.array([[0.5], [0.25]]) * np.ones((2, 3)))
    done = quantize(network([layer(integers, codes=stored)]), Scheme(**scheme))
    assert (codes(done.layers[0]) == integers).all()
    assert done.layers[0].sums.squares_x4.tolist() == [4 * (128**2 + 127**2), 4 * 35]
    assert done.layers[0].steps.tolist() == [0.5, 0.25]
    assert done.layers[0].sums.noise.tolist() == [0, 0]
    told = ", and the widths and steps given do not apply to them" if scheme else ""
    assert done.notes == ("1 of 1 layers are quantised already: they keep their codes" + told,)


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_stored_midrise_codes_are_kept_signed_or_not(bits: int) -> None:
    levels = np.array([[1 - 2**bits, -1, 1, 2**bits - 1], [1, 3, 1, 2 ** (bits + 1) - 1]])
    stored = Codes(bits, True, False, lambda: np.ones((2, 4)))
    each = quantize(network([layer(levels, codes=stored)])).layers[0]
    assert each.sums.squares_x4.tolist() == (levels.astype(object) ** 2).sum(axis=1).tolist()
    assert each.sums.width_code.tolist() == [bits, bits + 1]
    assert (codes(each) == levels).all()


def test_a_scale_that_changes_within_a_filter_is_no_step() -> None:
    stored = Codes(8, False, False, lambda: np.array([[1.0, 2.0], [3.0, 3.0]]))
    each = quantize(network([layer(np.ones((2, 2), np.int8), codes=stored)])).layers[0]
    assert np.array_equal(each.steps, [np.nan, 3.0], equal_nan=True)


def test_layers_are_announced_before_they_are_quantised() -> None:
    seen: list[str] = []
    quantize(chain(NORMAL, NORMAL[:, :, 0].transpose(1, 0, 2)), watch=lambda x: seen.append(x.name))
    assert seen == ["layer0", "layer1"]


@pytest.mark.parametrize(
    "scheme", [*({"rule": rule} for rule in FLOAT_RULES), {"given_steps": 0.1}]
)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_that_are_not_finite_are_refused(
    scheme: dict[str, Any], bad: float, dtype: type[np.floating[Any]]
) -> None:
    weights = NORMAL.astype(dtype)
    weights[1, 2, 0, 1] = weights[3, 0, 0, 0] = bad
    assert_error(
        ModelError,
        f"layer 'layer0' has 2 weights that are NaN or infinite (the first: {bad}): "
        "mend the model, its outputs are not finite either",
        weights, **scheme,
    )  # fmt: skip


@pytest.mark.parametrize("rule", FLOAT_RULES)
def test_weights_whose_squares_overflow_are_refused(rule: str) -> None:
    message = "layer 'layer0' has weights whose squares overflow: scale the model's weights"
    assert_error(ModelError, message, np.full((2, 2), 1e200), rule=rule)


WHOLE = "use whole numbers from 0 (pruned) to 16"
TOO_SMALL = (
    "layer 'layer0' needs codes of more than 16 bits at its step: "
    "give a larger step or alpha, or a width to saturate at"
)
NAMES = "layer-max, filter-max, filter-sigma, mse, layer-mse, aciq, given"


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        ({"rule": "best"}, f"no step rule 'best': use one of {NAMES}"),
        ({"bits": 0}, "0 bits: widths are 1 to 16"),
        ({"bits": 17}, "17 bits: widths are 1 to 16"),
        ({"widths": -1}, "-1 bits: widths are 1 to 16"),
        ({"alpha": 0.0}, "alpha 0.0: give a positive number"),
        ({"alpha": np.nan}, "alpha nan: give a positive number"),
        ({"alpha": np.inf}, "alpha inf: give a positive number"),
        (
            {"widths": {"conv": 3}},
            "widths are given for 'conv', which no layer or weight is called: "
            "the layers are layer0",
        ),
        ({"widths": {"layer0": [1, 2]}}, "layer 'layer0' has 4 filters but 2 widths are given"),
        (
            {"widths": {"layer0": "four"}},
            "the width of layer 'layer0' is no number or list: got 'four'",
        ),
        ({"widths": {"layer0": [1, 2, 17, 3]}}, f"layer 'layer0' is given the width 17: {WHOLE}"),
        ({"widths": {"layer0": -1}}, f"layer 'layer0' is given the width -1: {WHOLE}"),
        ({"widths": {"layer0": 2.5}}, f"layer 'layer0' is given the width 2.5: {WHOLE}"),
        ({"given_steps": 0}, "layer 'layer0' is given the step 0: use positive numbers"),
        ({"given_steps": np.inf}, "layer 'layer0' is given the step inf: use positive numbers"),
        ({"rule": "given"}, "no step is given for layer 'layer0': add it, or name a rule"),
        ({"given_steps": {}}, "no step is given for layer 'layer0': add it, or name a rule"),
        (
            {"given_steps": {"layer0": [1, 1, np.nan, 1]}},
            "layer 'layer0' is given no step for a filter with weights",
        ),
        ({"given_steps": 1e-6}, TOO_SMALL),
        ({"given_steps": 1e-320}, TOO_SMALL),
        ({"rule": "filter-sigma", "alpha": 1e-6}, TOO_SMALL),
    ],
)  # fmt: skip
def test_schemes_that_do_not_fit_say_what_does(scheme: dict[str, Any], message: str) -> None:
    assert_error(WidthError, message, NORMAL, **scheme)


def test_codes_that_no_width_saturates_have_at_most_16_bits() -> None:
    assert bits(np.ones((1, 1)), given_steps=float(np.nextafter(2**-15, 1))) == [16]
    assert_error(WidthError, TOO_SMALL, np.ones((1, 1)), given_steps=2**-15)


def assert_error(kind: type[EsnsimError], message: str, weights: Array, **scheme: Any) -> None:
    """Quantising raises exactly this."""
    with pytest.raises(kind) as raised:
        only(weights, **scheme)
    assert str(raised.value) == message


@pytest.mark.parametrize("bits", [2.9, 4.0, "4", [4], np.float32(3), True])
@pytest.mark.parametrize("name", ["bits", "widths"])
def test_a_width_is_a_whole_number(name: str, bits: Any) -> None:
    with pytest.raises(WidthError, match="a width is a whole number of bits"):
        Scheme(**{name: bits})


@pytest.mark.parametrize("rest", [{}, {"rule": "mse"}, {"given_steps": 0.1}, {"widths": 3}])
def test_an_alpha_without_its_rule_is_refused(rest: dict[str, Any]) -> None:
    with pytest.raises(WidthError, match="alpha 3 is the step of filter-sigma"):
        Scheme(alpha=3, **rest)
    assert Scheme(**rest, alpha=1).alpha == 1


@pytest.mark.parametrize("bits", [4, np.int64(4), np.uint8(4)])
def test_a_whole_number_of_numpy_is_a_width(bits: Any) -> None:
    assert Scheme(bits=bits).nominal_bits == 4


def test_a_shared_weight_is_quantised_once_and_a_transposed_one_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    square = np.random.default_rng(1).normal(size=(5, 5))
    square[2] *= 1e-9  # pruned under filter-sigma of all: what reads it has dead weights
    apart = chain(square, square, square, square.T, square)
    shared = replace(
        apart,
        layers=tuple(replace(x, weight=replace(x.weight, origin="w")) for x in apart.layers),
    )
    for scheme in (Scheme("mse", bits=3), Scheme("filter-sigma"), Scheme("layer-max", bits=2)):
        for one, other in zip(
            quantize(shared, scheme).layers, quantize(apart, scheme).layers, strict=True
        ):
            np.testing.assert_array_equal(one.steps, other.steps)
            np.testing.assert_array_equal(codes(one), codes(other))
            assert one.sums.width_code.tolist() == other.sums.width_code.tolist()
            assert one.layer.name == other.layer.name
    steps, asked = RULES["mse"].steps, []
    rule = replace(RULES["mse"], steps=lambda *given: asked.append(1) or steps(*given))
    monkeypatch.setitem(RULES, "mse", rule)
    quantize(shared, Scheme("mse", bits=3))
    assert len(asked) == 2  # once as it is, once transposed
    widths = {x.name: 1 + place for place, x in enumerate(shared.layers)}
    found = quantize(shared, Scheme("mse", widths=widths)).layers
    assert [x.sums.width_code.max() for x in found] == [*widths.values()]
