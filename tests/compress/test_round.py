"""Rounding that compensates, piece by piece: windows, moments, refits, codes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from esnsim.compression.round import codes as rounding
from esnsim.compression.round import windows as windowing
from esnsim.compression.round.codes import Problem, values
from esnsim.compression.round.moments import Moments, summed
from esnsim.compression.round.refit import factor, ridge, target
from esnsim.compression.round.windows import in_parts, places_in, sampled, windows
from esnsim.model.network import Geometry
from tests.naive import compensate as naive
from tests.naive.convolution import convolve
from tests.strategies import geometries

Array = NDArray[Any]


@st.composite
def grouped(draw: st.DrawFn) -> Geometry:
    geometry = draw(geometries())
    return replace(geometry, groups=draw(st.integers(1, 3)))


def inputs(geometry: Geometry, channels: int, seed: int = 0) -> Array:
    """Columns of integers (batch, C, *input_size), whose sums are exact."""
    shape = (geometry.batch, channels * geometry.groups, *geometry.input_size)
    return np.random.default_rng(seed).integers(-9, 9, shape).astype(np.float32)


@given(geometry=grouped(), fan_in=st.integers(1, 2), fan_out=st.integers(1, 2))
def test_windows_times_weights_are_the_layer(geometry: Geometry, fan_in: int, fan_out: int) -> None:
    x, groups = inputs(geometry, fan_in), geometry.groups
    shape = (groups * fan_out, fan_in, *geometry.kernel)
    w = np.random.default_rng(1).integers(-9, 9, shape).astype(np.float32)
    rows = windows(x, geometry, np.arange(places_in(x, geometry)))
    y = rows @ w.reshape(groups, fan_out, -1).swapaxes(1, 2)
    found = np.moveaxis(y, 1, 2).reshape(len(w), len(x), *geometry.output_size).swapaxes(0, 1)
    np.testing.assert_array_equal(found, convolve(x, w, geometry))


@given(geometry=grouped(), share=st.floats(0.1, 1))
def test_moments_are_sums_over_the_chosen_windows(geometry: Geometry, share: float) -> None:
    x, v = inputs(geometry, 2), inputs(geometry, 3, seed=1)
    places = sampled(places_in(x, geometry), max(1, int(share * places_in(x, geometry))))
    rows, others = (windows(a, geometry, places) for a in (x, v))
    size = others.shape[2]
    w = np.random.default_rng(2).integers(-9, 9, (geometry.groups * 2, size)).astype(float)
    y = others @ w.reshape(geometry.groups, 2, size).swapaxes(1, 2)
    for b, weights in ((others, w), (y, None)):
        sums = summed([(rows[:, :1], b[:, :1]), (rows[:, 1:], b[:, 1:])])
        for found, a, wanted in zip(sums.moments(weights), rows.astype(float), y, strict=True):
            assert found.count == len(places)
            for got, right in (
                (found.gram, a.T @ a), (found.pull, wanted.T @ a),
                (found.mean, a.sum(axis=0)), (found.goal, wanted.sum(axis=0)),
            ):  # fmt: skip
                np.testing.assert_allclose(got, right / len(a), rtol=1e-6, atol=1e-6)


@given(geometry=grouped())
def test_inputs_that_are_those_in_float_are_summed_once(geometry: Geometry) -> None:
    x = inputs(geometry, 2)
    rows = windows(x, geometry, np.arange(places_in(x, geometry)))
    w = np.random.default_rng(2).normal(size=(geometry.groups * 2, rows.shape[2]))
    once, twice = (summed([(rows, other)]).moments(w) for other in (None, rows))
    for found, wanted in zip(once, twice, strict=True):
        np.testing.assert_array_equal(found.pull, wanted.pull)
        np.testing.assert_array_equal(found.goal, wanted.goal)


@given(geometry=grouped(), at_once=st.integers(1, 200))
def test_windows_in_parts_are_all_windows(geometry: Geometry, at_once: int) -> None:
    x = inputs(geometry, 2)
    places = np.arange(places_in(x, geometry))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowing, "AT_ONCE", at_once)
        found = np.concatenate([part for _, part in in_parts(x, geometry, places)], axis=1)
    np.testing.assert_array_equal(found, windows(x, geometry, places))


@given(total=st.integers(1, 1000), most=st.integers(1, 100))
def test_sampled_places_are_different_ones(total: int, most: int) -> None:
    found = sampled(total, most)
    assert len(np.unique(found)) == len(found) == min(total, most)
    assert found.min() >= 0
    assert found.max() < total


def problem(seed: int, filters: int = 4, size: int = 12, bits: int = 2) -> tuple[Any, ...]:
    """Correlated inputs, weights to be met on them, and steps and limits of that many bits."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, size)) @ rng.normal(size=(size, size)) / 3
    w = rng.normal(size=(filters, size))
    kept = rng.random(w.shape) < 0.1
    w[kept] = 0
    gram = x.T @ x / len(x)
    by = factor(gram, 0.01 * np.trace(gram) / size)
    assert by is not None
    steps = 2 * np.abs(w).max(axis=1) / 2**bits
    limit = np.full(filters, 2**bits - 1)
    return Problem(target=w, pull=w @ gram, gram=gram, kept=kept, factor=by), steps, limit


@given(seed=st.integers(0, 99), bits=st.integers(1, 4), block=st.sampled_from([1, 5, 128]))
def test_codes_are_the_naive_ones(seed: int, bits: int, block: int) -> None:
    given_, steps, limit = problem(seed, bits=bits)
    limit[1] = 0
    order, upper = given_.factor.order, given_.factor.upper
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounding, "BLOCK", block)
        q = given_.compensated(steps, limit)
    for m, found in enumerate(q):
        row, kept = given_.target[m, order].tolist(), given_.kept[m, order].tolist()
        wanted = naive.columns(row, upper.tolist(), steps[m], int(limit[m]), kept)
        assert found[order].tolist() == wanted
    assert not q[given_.kept].any()
    assert (np.abs(q).max(axis=1) <= limit).all()


@given(seed=st.integers(0, 99), bits=st.integers(1, 3))
def test_descent_ends_where_no_single_code_is_better(seed: int, bits: int) -> None:
    given_, steps, limit = problem(seed, bits=bits, size=5)
    damped = (given_.gram + given_.factor.ridge * np.eye(5)).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounding, "SWEEPS", 100)
        q = given_.descended(given_.compensated(steps, limit), steps, limit)

    def error(m: int, row: list[int]) -> float:
        return naive.error(given_.target[m].tolist(), damped, steps[m], row)

    for m, k in np.argwhere(~given_.kept):
        least = error(m, q[m].tolist())
        for code in range(-limit[m], limit[m] + 1, 2):
            other = [*q[m].tolist()]
            other[k] = code
            assert error(m, other) >= least * (1 - 1e-9)


def test_compensation_lessens_the_error_at_the_output() -> None:
    errors = np.zeros(3)
    for seed in range(50):
        given_, steps, limit = problem(seed)
        near = np.clip(2 * np.floor(given_.target / steps[:, None]) + 1, -limit[0], limit[0])
        near[given_.kept] = 0
        q = given_.compensated(steps, limit)
        found = [near, q, given_.descended(q, steps, limit)]
        errors += [given_.noise(values(each, steps)).sum() for each in found]
        errors += (given_.pull * given_.target).sum()
    assert errors[1] < 0.7 * errors[0]
    assert errors[2] < 0.9 * errors[1]


@given(seed=st.integers(0, 99), size=st.integers(1, 20))
def test_the_factor_is_that_of_the_inverse(seed: int, size: int) -> None:
    x = np.random.default_rng(seed).normal(size=(7, size))
    found = factor(x.T @ x, 0.1)
    assert found is not None
    damped = x.T @ x + 0.1 * np.eye(size)
    np.testing.assert_allclose(found.solve(damped), np.eye(size), atol=1e-9)
    assert (np.diff(np.diag(x.T @ x)[found.order]) <= 0).all()
    assert (np.tril(found.upper, -1) == 0).all()


def test_a_matrix_that_is_singular_is_damped_until_it_is_not() -> None:
    found = factor(np.ones((3, 3)), 1e-20)
    assert found is not None
    assert found.ridge > 1e-20
    assert factor(np.zeros((3, 3)), 1.0) is None
    assert factor(np.full((3, 3), np.nan), 1.0) is None


def moments(x: Array, v: Array, w: Array) -> Moments:
    [found] = summed([(x[None], None if v is x else v[None])]).moments(w)
    return found


@given(seed=st.integers(0, 99), windows=st.integers(1, 30))
def test_weights_whose_inputs_are_the_same_stay_to_the_bit(seed: int, windows: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(windows, 9)), rng.normal(size=(3, 9))
    found = moments(x, x, w)
    by = factor(found.gram, ridge(found))
    assert by is not None
    np.testing.assert_array_equal(target(w, found, by), w)


def test_a_refit_meets_the_float_model_where_it_can() -> None:
    rng = np.random.default_rng(0)
    v = rng.normal(size=(5000, 6)) + 3
    v[:, 5] = v[:, 0] - v[:, 1] + 2  # the input that goes follows from those that stay, and a bias
    w = rng.normal(size=(4, 6))
    found = moments(v[:, :5], v, w)
    by = factor(found.centred.gram, 1e-9)
    assert by is not None
    refitted = target(w[:, :5], found.centred, by)
    bias = found.goal - refitted @ found.mean
    y = v[:, :5] @ refitted.T + bias
    np.testing.assert_allclose(y, v @ w.T, atol=1e-6)


def test_damping_grows_where_windows_are_few() -> None:
    x = np.random.default_rng(0).normal(size=(1000, 4))
    energy = float(np.mean(x**2))
    assert ridge(moments(x, x, x[:1])) == pytest.approx(0.01 * energy)
    few = moments(x[:2], x[:2], x[:1])
    assert ridge(few) == pytest.approx(0.3 * 2 * float(np.mean(x[:2] ** 2)))
    assert ridge(few, pruned=True) > ridge(few)
