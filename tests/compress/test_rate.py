"""Costs from sorted weights and prefix sums are the direct ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.compression.allocate.rate import Rates, largest_step, rates, sort_layer
from esnsim.errors import UsageError, WidthError
from esnsim.model.network import Codes, Network
from esnsim.quantization.quantizer import QuantizedLayer, quantize
from esnsim.quantization.scheme import Scheme
from tests.naive import midrise
from tests.networks import chain, layer
from tests.strategies import Rows, networks, rows

BITS = st.sampled_from([None, 1, 2, 3, 5, 8])
STEPS = st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=4)


def numbers(found: Rates, index: int) -> list[int]:
    """The integers of one step."""
    columns = found.esn_a_x4, found.esn_d, found.esn_d_tilde, found.pruned_filters
    return [int(column[index]) for column in columns]


def direct(q: QuantizedLayer) -> list[int]:
    """The same from the sums of the quantiser."""
    s = q.sums
    return [
        int(s.squares_x4.sum()),
        int(s.bits_code.sum()),
        int((s.weights * s.width_code).sum()),
        int((s.width_code == 0).sum()),
    ]


@given(rows(), BITS)
def test_sums_are_the_naive_ones(r: Rows, bits: int | None) -> None:
    """Weights on and beside decision boundaries, of both signs, zeros kept or not."""
    step, limit = float(r.step[0]), 2 ** (bits or 16) - 1
    if bits is None and np.abs(r.weights).max() / step >= 2**15:
        return
    found = rates(sort_layer(layer(r.weights)), [step], bits, r.keep_zeros)
    each = [midrise.counts(w, step, limit, r.keep_zeros) for w in r.weights.tolist()]
    widths = [midrise.bits(counts[0]) for counts in each]
    assert numbers(found, 0) == [
        sum(counts[1] for counts in each),
        sum(counts[2] for counts in each),
        sum(widths) * r.weights.shape[1],
        widths.count(0),
    ]
    assert found.widths[0].tolist() == widths


@given(
    st.lists(
        st.tuples(st.integers(-300, 300), st.sampled_from([-1, 0, 1])), min_size=1, max_size=4
    ),
    st.sampled_from([0.25, 0.3, 1e-3]),
    st.sampled_from([None, 6]),
)
def test_few_weights_at_many_levels_too(
    places: list[tuple[int, int]], step: float, bits: int | None
) -> None:
    """On boundaries t·Δ, and a float beside them: more levels than weights, which are passed."""
    on = np.float32([step * level for level, _ in places])
    weights = np.where([side for _, side in places], np.nextafter(on, np.float32(1e9)), on)[None]
    weights[0, [side < 0 for _, side in places]] *= -1
    found = rates(sort_layer(layer(weights)), [step], bits)
    _, squares, exponents, *_ = midrise.counts(
        weights[0].tolist(), step, 2 ** (bits or 16) - 1, True
    )
    assert numbers(found, 0)[:2] == [squares, exponents]


@given(networks(), STEPS, BITS, st.booleans())
def test_costs_are_those_of_the_quantiser(
    network: Network, steps: list[float], bits: int | None, keep_zeros: bool
) -> None:
    """Layer by layer, dead channels left out; the error closely."""
    for step in steps:
        scheme = Scheme(bits=bits or 16, keep_zeros=keep_zeros, given_steps=step)
        for q in quantize(network, scheme).layers:
            found = rates(sort_layer(q.layer, q.live), steps, bits or 16, keep_zeros)
            index = steps.index(step)
            assert numbers(found, index) == direct(q)
            assert found.widths[index].tolist() == q.sums.width_code.tolist()
            signal = q.sums.signal.sum()
            assert found.noise[index] == pytest.approx(q.sums.noise.sum(), 1e-9, 1e-11 * signal)


@given(networks(), STEPS)
def test_a_larger_step_costs_no_more(network: Network, steps: list[float]) -> None:
    for each in network.layers:
        found = rates(sort_layer(each), sorted(steps), 16)
        for column in (found.esn_a_x4, found.esn_d, found.esn_d_tilde):
            assert (np.diff(column) <= 0).all()


def test_the_largest_step_is_exact() -> None:
    assert largest_step(lambda x: 0.7 - x, 1e-9, 1e9) == 0.7
    assert largest_step(lambda x: 0.7 - x, 0.1, np.nextafter(0.7, 1)) == 0.7


def test_a_quantised_layer_has_no_other_step() -> None:
    stored = Codes(4, False, False, lambda: np.ones((2, 3)))
    with pytest.raises(UsageError, match="quantised already"):
        sort_layer(layer(np.ones((2, 3), np.int8), codes=stored))


@pytest.mark.parametrize(
    ("steps", "bits", "message"),
    [([0.0], None, "positive"), ([np.nan], 4, "positive"), ([1e-9], None, "16 bits"),
     ([1.0], 17, "1 to 16")],
)  # fmt: skip
def test_steps_out_of_range_are_refused(steps: list[float], bits: int | None, message: str) -> None:
    with pytest.raises(WidthError, match=message):
        rates(sort_layer(layer(np.array([[1.0, -2.0]]))), steps, bits)


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(Exception, match="NaN or infinite"):
        sort_layer(layer(np.array([[1.0, np.nan]])))


def test_dead_channels_do_not_count() -> None:
    network = chain(np.array([[0.0], [1.0]]), np.array([[5.0, 1.0]]))
    live = np.array([False, True])
    found = rates(sort_layer(network.layers[1], live), [1.0])
    assert numbers(found, 0) == [9, 2, 2, 0]
    assert numbers(rates(sort_layer(replace(network.layers[1])), [1.0]), 0)[0] == 9 + 121
