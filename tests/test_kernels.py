"""Each kernel equals its naive twin in tests/naive: integers exactly, float sums closely.

The passes that have a NumPy form go through the same tests in every form.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from math import sqrt
from operator import mul
from pathlib import Path
from typing import Any

import esnsim_kernels
import numpy as np
import pytest
from esnsim_kernels import midrise as midrise_kernels
from esnsim_kernels import midtread as midtread_kernels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from esnsim.quantization import object_code
from esnsim.quantization import weight_kernels as passes
from tests.naive import magnitude, midrise, midtread
from tests.strategies import Rows, rows

Array = NDArray[Any]

#: Sums of up to 24 terms, each rounded a few times: some dozen units of 2^-53.
CLOSE = 1e-14
FORMS = ["numba", "object code", "numpy"]
every_form = pytest.mark.parametrize("form", FORMS)


@contextmanager
def passing(form: str) -> Iterator[None]:
    """`passes` in a form: Numba's where FUSED is loaded, else object code where that is."""
    with pytest.MonkeyPatch.context() as patch:
        if form != "numba":
            code = compiled() if form == "object code" else None
            patch.setattr(passes, "FUSED", "no such module")
            patch.setattr(object_code, "loaded", lambda: code)
        yield


@cache
def compiled() -> object_code.Passes:
    passes.midrise()
    code = object_code.load()
    assert code is not None
    return code


def statistics(form: str, r: Rows) -> tuple[list[list[int]], Array]:
    """Counts and energies by the chosen form."""
    counts, energies = np.full((len(r.weights), 6), -1), np.full((len(r.weights), 2), np.nan)
    with passing(form):
        passes.statistics(r.weights, r.step, r.limit, r.keep_zeros, counts, energies)
    return counts.tolist(), energies


def filters(r: Rows) -> list[tuple[list[float], float, int, bool]]:
    """The arguments of the naive twin, a filter each."""
    return [
        (w, float(s), int(n), r.keep_zeros)
        for w, s, n in zip(r.weights.tolist(), r.step, r.limit, strict=True)
    ]


@every_form
@given(r=rows())
def test_midrise_counts_are_the_naive_ones(form: str, r: Rows) -> None:
    assert statistics(form, r)[0] == [midrise.counts(*each) for each in filters(r)]


@every_form
@given(r=rows())
def test_midrise_energies_are_the_naive_ones(form: str, r: Rows) -> None:
    for each, (signal, noise) in zip(filters(r), statistics(form, r)[1], strict=True):
        s, n = midrise.energies(each[0], each[1], midrise.codes(*each))
        assert signal == pytest.approx(float(s), rel=CLOSE)
        # Rounding moves each error by a few ulps of its weight, so the norms are close.
        assert sqrt(noise) == pytest.approx(sqrt(n), rel=CLOSE, abs=CLOSE * sqrt(s))


@given(rows())
def test_midrise_codes_are_the_naive_ones(r: Rows) -> None:
    out = np.empty(r.weights.shape, np.int32)
    midrise_kernels.codes(r.weights, r.step, r.limit, r.keep_zeros, out)
    assert out.tolist() == [midrise.codes(*each) for each in filters(r)]


@given(rows())
def test_midrise_correlation_is_the_naive_one_without_pruning(r: Rows) -> None:
    factors, out = np.array([0.5, 1, 3]), np.empty((len(r.weights), 3, 2))
    midrise_kernels.correlation(r.weights, r.step, factors, r.limit, r.keep_zeros, out)
    for (weights, step, *rest), found in zip(filters(r), out, strict=True):
        for factor, (match, squares) in zip(factors.tolist(), found, strict=True):
            q = [midrise.code(w, step * factor, *rest) for w in weights]
            assert match == pytest.approx(sum(map(mul, weights, q)), rel=CLOSE)
            assert squares == sum(v * v for v in q)


@every_form
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_weight_on_a_decision_boundary_takes_the_level_above(
    form: str, dtype: type[np.floating[Any]]
) -> None:
    weights = np.arange(-3, 4, dtype=dtype)[:, None] / 4
    r = Rows(weights, np.full(7, 0.25), np.full(7, 255), False)
    out = np.empty((7, 1), np.int32)
    midrise_kernels.codes(weights, r.step, r.limit, False, out)
    assert out.ravel().tolist() == [-5, -3, -1, 0, 3, 5, 7]  # 0 alone is pruned
    assert [row[0] for row in statistics(form, r)[0]] == [5, 3, 1, 0, 3, 5, 7]


@every_form
@pytest.mark.parametrize("step", [0.25, 0.1, 2.0**-501, 1e-3 * 2.0**501])
@pytest.mark.parametrize("limit", [15, 1023, 2**18 - 1, 2**19 - 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_beside_decision_boundaries_take_their_levels(
    form: str, step: float, limit: int, dtype: type[np.floating[Any]]
) -> None:
    """On a level, a few ulps beside it and well beside, saturated, zeros: more than a chunk."""
    if dtype == np.float32:
        step = min(max(step, 2.0**-101), 1e-3 * 2.0**101)
    level = np.arange(-300, 301) * (limit / 500)
    sign = np.where(level.round() % 2, 1, -1)
    ulp, narrow = np.finfo(dtype).eps, 2.0**-23  # float32 tells levels of narrow codes apart
    beside = np.array([0, ulp / 2, 3 * ulp / 2, narrow, 2.0**-30, 2.0**-27, 0.3])[:, None]
    weights = ((level.round() * step) * (1 + sign * beside)).astype(dtype)
    weights[:, ::7] = 0
    rows = Rows(weights, np.full(7, step), np.full(7, limit), limit == 15)
    assert statistics(form, rows)[0] == [midrise.counts(*each) for each in filters(rows)]


@every_form
@pytest.mark.parametrize("half", [0.125, -0.125])
def test_a_filter_survives_with_half_a_step_and_not_below(form: str, half: float) -> None:
    weights = np.array([[half, 0], [np.nextafter(half, 0), 0]])
    r = Rows(weights, np.full(2, 0.25), np.full(2, 255), False)
    assert [row[4] for row in statistics(form, r)[0]] == [2, 0]


@every_form
@pytest.mark.parametrize("size", [1, 7, passes.EXACT_WEIGHTS, 4 * passes.EXACT_WEIGHTS + 1])
def test_sums_of_squares_are_exact_at_every_length(form: str, size: int) -> None:
    """The longest sum is an odd number above 2^55, which no float64 holds."""
    q = 2**17 - 1
    r = Rows(np.ones((1, size), np.float32), np.array([2 / q]), np.array([q]), True)
    assert statistics(form, r)[0] == [[q, size * q * q, size * 17, 0, size, size]]


@every_form
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("limit", [0, 255])
def test_weights_that_are_not_finite_show_in_the_energies(
    form: str, bad: float, limit: int
) -> None:
    weights = np.array([[1, bad, 0]], np.float32)
    r = Rows(weights, np.array([0.1]), np.array([limit]), True)
    assert not np.isfinite(statistics(form, r)[1]).all()
    assert not np.isfinite(pass_over(form, passes.largest, weights, 1)).all()
    assert not np.isfinite(pass_over(form, passes.moments, weights, 2)).all()


@every_form
@given(r=rows())
def test_largest_is_the_naive_one(form: str, r: Rows) -> None:
    out = pass_over(form, passes.largest, r.weights, 1)
    assert out[:, 0].tolist() == [magnitude.largest(row) for row in r.weights.tolist()]


@every_form
@given(r=rows())
def test_moments_are_the_naive_ones(form: str, r: Rows) -> None:
    out = pass_over(form, passes.moments, r.weights, 2)
    for row, sums in zip(r.weights.tolist(), out, strict=True):
        assert sums == pytest.approx(list(map(float, magnitude.moments(row))), rel=CLOSE)


@given(st.integers(1, 1100), st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]))
def test_all_forms_give_the_same_bits(size: int, seed: int, dtype: type[np.floating[Any]]) -> None:
    """So that what was loaded before changes no digit of a report."""
    rng = np.random.default_rng(seed)
    weights = (rng.normal(size=(3, size)) * rng.integers(0, 2, (3, size))).astype(dtype)
    r = Rows(weights, rng.uniform(0.01, 1, 3), np.array([1, 7, 255]), bool(seed % 2))
    counts, energies = zip(*(statistics(form, r) for form in FORMS), strict=True)
    assert counts[0] == counts[1] == counts[2]
    assert len({each.tobytes() for each in energies}) == 1
    assert len({pass_over(form, passes.moments, weights, 2).tobytes() for form in FORMS}) == 1
    largest = [pass_over(form, passes.largest, weights, 1) for form in FORMS]
    assert (np.array(largest) == largest[0]).all()


@given(st.integers(1, 17), st.data())
def test_midtread_statistics_are_the_naive_ones(bits: int, data: st.DataObject) -> None:
    codes = data.draw(
        arrays(
            np.int32,
            array_shapes(min_dims=2, max_dims=2),
            elements=st.integers(-(2**bits), 2**bits),
        )
    )
    counts = np.full((len(codes), 7), -1)
    midtread_kernels.statistics(codes, bits, counts)
    assert counts.tolist() == [midtread.counts(row, bits) for row in codes.tolist()]


def pass_over(form: str, work: Callable[[Array, Array], None], weights: Array, n: int) -> Array:
    """(M, n): what a pass writes in the chosen form."""
    out = np.full((len(weights), n), -1.0)
    with passing(form):
        work(weights, out[:, 0] if n == 1 else out)
    return out


def test_no_kernel_that_is_cached_is_a_closure() -> None:
    """Numba finds a closure's cache by its cells, which differ in each process: it never would."""
    sources = Path(esnsim_kernels.__file__).parent.glob("*.py")
    assert not [path.name for path in sources if re.search(r"\n +@njit\(cache", path.read_text())]
