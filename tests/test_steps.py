"""Step rules."""

from collections.abc import Callable
from math import erf, pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from esnsim.model.network import Weight
from esnsim.quantization import rules as steps
from esnsim.quantization.scheme import Scheme
from tests.networks import weight

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Clip = Callable[[int], float]

BITS = [1, 2, 3, 4, 6, 8]
DENSE = np.geomspace(2**-6, 2, 2001)  # of the step that holds the largest weight


def found(rule: str, weights: Weight, bits: Ints) -> Floats:
    """The steps of a rule, its options as they are by default."""
    return steps.RULES[rule].steps(weights, bits, Scheme())


def sample(source: str, *shape: int) -> Floats:
    """Weights of a distribution, always the same ones."""
    rng = np.random.default_rng(0)
    draw = {"normal": rng.normal, "laplace": rng.laplace, "uniform": rng.uniform}[source]
    return np.asarray(draw(-1 if source == "uniform" else 0, 1, shape))


def squared_error(weights: Floats, step: Floats | float, bits: Ints | list[int]) -> Floats:
    """‖W − Δ·W_int‖² of each filter at b-bit codes, unpruned; Δ 0 stands for no code."""
    delta = np.broadcast_to(step, len(weights))[:, None]
    top = 2.0 ** (np.broadcast_to(bits, len(weights))[:, None] - 1)
    level = np.clip(np.floor(weights / np.where(delta > 0, delta, 1)), -top, top - 1) + 0.5
    return ((weights - delta * np.where(weights == 0, 0, level)) ** 2).sum(axis=1)


def test_layer_max_divides_the_range_of_the_layer_by_the_widest_width() -> None:
    weights = np.array([[0.5, -1.0], [0.25, 0.1]])
    assert steps.layer_max(weight(weights), np.array([3, 2])).tolist() == [0.25, 0.25]


def test_filter_max_divides_the_range_of_each_filter_by_its_own_width() -> None:
    weights = np.array([[0.5, -1.0], [0.25, 0.1]])
    assert steps.filter_max(weight(weights), np.array([3, 2])).tolist() == [0.25, 0.125]


def test_filter_sigma_is_a_multiple_of_the_root_mean_square() -> None:
    weights = np.array([[3.0, -4.0], [1.0, 1.0]])
    assert steps.filter_sigma(weight(weights), 2) == pytest.approx([2 * sqrt(12.5), 2])


def test_the_largest_weight_of_each_rule_by_range_takes_the_outermost_level() -> None:
    weights, bits = sample("normal", 5, 40), np.array([1, 2, 4, 8, 16])
    step = steps.filter_max(weight(weights), bits)
    ratio = np.abs(weights).max(axis=1) / step
    assert (ratio == 2.0 ** (bits - 1)).all()  # Δ is that number's largest divisor exactly


@pytest.mark.parametrize("rule", steps.RULES)
def test_zeros_have_no_step(rule: str) -> None:
    assert found(rule, weight(np.array([[0.0, -0.0]] * 2)), np.array([4, 4])).tolist() == [0, 0]


@pytest.mark.parametrize("rule", steps.RULES)
@pytest.mark.parametrize("scale", [1e-30, 3.0, 1e20])
def test_steps_scale_with_the_weights(rule: str, scale: float) -> None:
    weights, bits = sample("normal", 4, 20), np.array([4, 3, 2, 4])
    assert found(rule, weight(weights * scale), bits) == pytest.approx(
        found(rule, weight(weights), bits) * scale, rel=1e-9
    )


@pytest.mark.parametrize("source", ["normal", "laplace", "uniform"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [9, 144, 576])
def test_mse_is_close_to_the_best_of_a_dense_grid(source: str, bits: int, size: int) -> None:
    """Of 2,001 steps. At 8 bits minima are many and narrow, and the search may miss the least."""
    weights = sample(source, 8, size)
    widths = np.full(8, bits)
    found = squared_error(weights, steps.filter_mse(weight(weights), widths, True), bits)
    start = steps.filter_max(weight(weights), widths)
    best = np.min([squared_error(weights, start * f, bits) for f in DENSE], axis=0)
    assert (found <= 1.2 * best).all()
    assert found.sum() <= 1.02 * best.sum()


@pytest.mark.parametrize("source", ["normal", "laplace", "uniform"])
@pytest.mark.parametrize("bits", [[4] * 8, [1, 2, 3, 4, 4, 3, 2, 1], [8] * 8, [0, 5] * 4])
def test_layer_mse_is_close_to_the_best_of_a_dense_grid(source: str, bits: list[int]) -> None:
    weights = sample(source, 8, 50)
    step = steps.layer_mse(weight(weights), np.array(bits), True)
    start = steps.layer_max(weight(weights), np.array(bits))
    best = min(squared_error(weights, start * f, bits).sum() for f in DENSE)
    assert len(set(step)) == 1
    assert squared_error(weights, step, bits).sum() <= 1.01 * best


@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-9, 9, width=32)),
    st.sampled_from(BITS),
)
def test_mse_is_never_worse_than_the_largest_weight(weights: Floats, bits: int) -> None:
    tensor, widths = weight(weights), np.full(len(weights), bits)
    ours = squared_error(weights, steps.filter_mse(tensor, widths, True), bits)
    theirs = squared_error(weights, steps.filter_max(tensor, widths), bits)
    assert (ours <= theirs * (1 + 1e-9)).all()  # they may be the same codes


@pytest.mark.parametrize(
    ("clip", "published"),
    [(steps.laplace_clip, [2.83, 3.89, 5.03]), (steps.gauss_clip, [1.71, 2.15, 2.55])],
)
def test_aciq_clips_where_banner_et_al_publish(clip: Clip, published: list[float]) -> None:
    """arXiv:1810.05723, section 3.1, for 2, 3 and 4 bits; two decimals there."""
    assert [clip(bits) for bits in (2, 3, 4)] == pytest.approx(published, abs=0.01)


def laplace_error(a: Floats, bits: int) -> Floats:
    """Banner et al., expected squared error of clipping at a·b and quantising, for b = 1."""
    return 2 * np.exp(-a) + a**2 / (3 * 4.0**bits)


def gauss_error(a: Floats, bits: int) -> Floats:
    """The same for a normal distribution of σ = 1."""
    tail = np.array([(x**2 + 1) * (1 - erf(x / sqrt(2))) for x in a])
    return tail - sqrt(2 / pi) * a * np.exp(-(a**2) / 2) + a**2 / (3 * 4.0**bits)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize(
    ("clip", "error"), [(steps.laplace_clip, laplace_error), (steps.gauss_clip, gauss_error)]
)
def test_aciq_clips_where_the_expected_error_is_least(
    clip: Clip, error: Callable[[Floats, int], Floats], bits: int
) -> None:
    grid = np.arange(0.5, 20, 0.001)
    assert clip(bits) == pytest.approx(grid[error(grid, bits).argmin()], abs=0.001)


@pytest.mark.parametrize(
    ("source", "clip", "power"),
    [("laplace", steps.laplace_clip, 1), ("normal", steps.gauss_clip, 2)],
)
@pytest.mark.parametrize("bits", [2, 4])
def test_aciq_takes_the_distribution_that_fits(
    source: str, clip: Clip, power: int, bits: int
) -> None:
    weights = sample(source, 3, 10_000)
    scale = (np.abs(weights) ** power).mean(axis=1) ** (1 / power)
    step = steps.aciq(weight(weights), np.full(3, bits))
    assert step == pytest.approx(2 * clip(bits) * scale / 2**bits)


@pytest.mark.parametrize("centre", [0.0, 1.0, 100.0])
def test_aciq_never_clips_beyond_the_largest_weight(centre: float) -> None:
    weights = centre + sample("normal", 4, 9)
    for bits in BITS:
        widths = np.full(4, bits)
        assert (
            steps.aciq(weight(weights), widths) <= steps.filter_max(weight(weights), widths)
        ).all()


def test_aciq_keeps_filters_whose_weights_are_all_one_value() -> None:
    weights = np.full((1, 9), np.float32(0.1))
    widths = np.array([4])
    assert steps.aciq(weight(weights), widths) == steps.filter_max(weight(weights), widths)
