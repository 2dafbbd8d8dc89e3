"""Laws of the whole: quantiser, liveness and closed forms together.

1. The closed forms equal a loop over every multiply; the machines of Fig. 1 too.
2. Totals are sums of the rows; weights that layers share count once where parameters count.
3. Iterations of a Loop multiply what MACs weigh, and nothing else.
4. Live never exceeds dense; filter-wise widths never exceed layer-wise ones; class A never lies
   below class B, and grows with its scope.
5. Zeroing a filter, steps held fixed, raises nothing.
6. Permuting the filters of a layer, and the channels of its readers, permutes rows.
7. Inside the range the error is at most Δ/2; quantising once more changes nothing.
8. The widths `code` and `paper` of midrise codes differ at ±½ only.
9. The passes in NumPy and in Numba give the same cost.
10. Eq. 6; Eq. 4 and 10 for a uniform source.
"""

from dataclasses import asdict, astuple, fields, replace
from math import ceil, log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.costs.cost import Cost, cost
from esnsim.costs.equations import step_from_noise
from esnsim.costs.figures import Metrics, Weightings
from esnsim.model.network import Codes, Layer
from esnsim.quantization import weight_kernels as passes
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork, codes, quantize
from esnsim.quantization.scheme import Scheme
from tests.naive import metrics as twin
from tests.networks import chain, layer, network
from tests.strategies import networks, steps

BITS = st.sampled_from([None, 1, 2, 5])
WIDTHS = st.sampled_from(["code", "paper"])
GROW = {"filters", "pruned_filters"}  # counts that a zeroed filter may raise


@st.composite
def quantized(draw: st.DrawFn, plain: bool = False) -> QuantizedNetwork:
    """A network under given steps."""
    drawn = draw(networks(plain))
    return quantize(
        drawn,
        Scheme(bits=draw(BITS), keep_zeros=draw(st.booleans()), given_steps=draw(steps(drawn))),
    )


def requantize(old: QuantizedNetwork, layers: list[Layer], **changes: Any) -> QuantizedNetwork:
    """The same scheme for other layers."""
    return quantize(replace(old.network, layers=tuple(layers), **changes), old.scheme)


def values(metrics: Metrics, *without: str) -> dict[str, Any]:
    """The metrics as plain numbers and pairs, by name."""
    return {
        field.name: astuple(value) if isinstance(value, Weightings) else value
        for field in fields(Metrics)
        if field.name not in without
        for value in [getattr(metrics, field.name)]
    }


def numbers(result: Cost, *without: str) -> dict[str, list[int]]:
    """Every number of the rows, the totals and the machines, by name."""
    found: dict[str, list[int]] = {"machines": list(asdict(result.machines).values())}
    for metrics in [*(row.metrics for row in result.layers), result.total]:
        for name, value in values(metrics, *without).items():
            found.setdefault(name, []).extend(value if isinstance(value, tuple) else [value])
    return found


def with_weights(old: Layer, array: np.ndarray) -> Layer:
    """The layer with other weights."""
    return replace(old, weight=replace(old.weight, load=lambda: array))


@given(quantized(), WIDTHS)
def test_closed_forms_are_a_loop_over_every_multiply(q: QuantizedNetwork, width: str) -> None:
    limit = 65535 if q.scheme.bits is None else 2**q.scheme.bits - 1
    coded = twin.encode(q.network, q.scheme.given_steps, limit, q.scheme.keep_zeros)
    top = max(top for one in coded for top in one.tops())
    result = cost(q, width)
    assert [values(row.metrics) for row in result.layers] == [
        twin.price(one, width, top) for one in coded
    ]
    assert asdict(result.machines) == twin.machines(coded, width)


@given(quantized())
def test_totals_are_sums_of_rows_and_shared_weights_count_once(q: QuantizedNetwork) -> None:
    result = cost(q)
    rows = [values(row.metrics) for row in result.layers]
    origins = [row.layer.weight.origin for row in result.layers]
    for name, total in values(result.total).items():
        column = [row[name] for row in rows]
        if isinstance(total, tuple):
            assert total == (once(origins, [w for w, _ in column]), sum(m for _, m in column))
        elif "weights" in name or name == "stored_bits":
            assert total == once(origins, column)
        else:
            assert total == sum(column)


def once(origins: list[str], column: list[int]) -> int:
    """The sum over tensors of the most that a layer needs of each."""
    return sum(
        max(value for other, value in zip(origins, column, strict=True) if other == origin)
        for origin in set(origins)
    )


@given(quantized(), st.integers(2, 5))
def test_iterations_of_a_loop_multiply_what_macs_weigh(q: QuantizedNetwork, times: int) -> None:
    looped = [replace(each, repeats=each.repeats * times) for each in q.network.layers]
    for before, after in zip(cost(q).layers, cost(requantize(q, looped)).layers, strict=True):
        for name, value in values(before.metrics).items():
            by_macs = "mac" in name
            expected = (value[0], value[1] * times) if isinstance(value, tuple) else value
            assert values(after.metrics)[name] == (value * times if by_macs else expected)


@given(quantized(), WIDTHS)
def test_costs_are_ordered(q: QuantizedNetwork, width: str) -> None:
    result = cost(q, width)
    for m in [*(row.metrics for row in result.layers), result.total]:
        assert m.nonzero_weights <= m.live_weights <= m.weights
        assert m.live_macs <= m.macs
        assert m.esn_d.macs <= m.esn_d_tilde.macs <= m.mac_bits_layerwise
        classes = m.esn_a_x4, m.class_a_filter_x4, m.class_a_layer_x4, m.class_a_network_x4
        assert sorted(c.macs for c in classes) == [c.macs for c in classes]
        assert sorted(c.weights for c in classes) == [c.weights for c in classes]
    assert result.machines.cpu <= result.machines.gpu
    assert result.machines.ideal_digital <= result.machines.int8_array


@given(quantized(), WIDTHS, st.data())
def test_zeroing_a_filter_raises_nothing(
    q: QuantizedNetwork, width: str, data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from(q.network.layers))
    zeroed = chosen.weight.load().copy()
    zeroed[data.draw(st.integers(0, chosen.filters - 1))] = 0
    layers = [
        with_weights(each, zeroed) if each.weight.origin == chosen.weight.origin else each
        for each in q.network.layers
    ]
    before = numbers(cost(q, width), *GROW)
    after = numbers(cost(requantize(q, layers), width), *GROW)
    for name in before:
        assert all(a <= b for a, b in zip(after[name], before[name], strict=True)), name


@given(quantized(plain=True), WIDTHS, st.data())
def test_permuting_filters_permutes_rows(
    q: QuantizedNetwork, width: str, data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from(q.network.layers))
    order = np.array(data.draw(st.permutations(range(chosen.filters))))
    ids = np.arange(q.network.channel_ids, dtype=np.int32)
    ids[chosen.first_filter + order] = chosen.first_filter + np.arange(chosen.filters)
    layers = []
    for each in q.network.layers:
        array = each.weight.load()[order] if each is chosen else each.weight.load()
        channels = np.array(data.draw(st.permutations(range(len(each.channels)))))
        moved = replace(each, channels=ids[each.channels][channels])
        layers.append(with_weights(moved, array[:, channels]))
    merges = [replace(m, left=ids[m.left], right=ids[m.right]) for m in q.network.merges]
    given_steps = dict(q.scheme.given_steps)
    given_steps[chosen.name] = [given_steps[chosen.name][m] for m in order]
    scheme = replace(q.scheme, given_steps=given_steps)
    before, after = (
        cost(q, width),
        cost(
            quantize(replace(q.network, layers=tuple(layers), merges=tuple(merges)), scheme), width
        ),
    )
    assert numbers(after) == numbers(before)
    for old, new in zip(before.layers, after.layers, strict=True):
        assert list(new.bits) == list(old.bits[order] if old.layer is chosen else old.bits)


@given(quantized())
def test_inside_the_range_the_error_is_at_most_half_a_step(q: QuantizedNetwork) -> None:
    for each in q.layers:
        weights, step = each.layer.weight.load(), per_filter(each, each.steps)
        inside = np.abs(weights) <= step * (per_filter(each, each.limit) + 1) / 2
        error = np.abs(weights - dequantized(each))
        assert (error <= step / 2 * (1 + 1e-12))[inside].all()  # W/Δ is rounded to float64


@given(quantized())
def test_quantising_once_more_changes_nothing(q: QuantizedNetwork) -> None:
    again = requantize(q, [with_weights(each.layer, dequantized(each)) for each in q.layers])
    assert numbers(cost(again)) == numbers(cost(q))
    for old, new in zip(q.layers, again.layers, strict=True):
        assert np.array_equal(codes(new), codes(old))


def per_filter(each: QuantizedLayer, column: np.ndarray) -> np.ndarray:
    """A value a filter in the shape of the weights."""
    return column.reshape(-1, *[1] * (len(each.layer.weight.shape) - 1))


def dequantized(each: QuantizedLayer) -> np.ndarray:
    """Δ·W_int; 0 where there is no step."""
    return np.nan_to_num(per_filter(each, each.steps)) * codes(each) / 2


@given(quantized())
def test_code_and_paper_widths_differ_at_one_half_only(q: QuantizedNetwork) -> None:
    for each, code, paper in zip(q.layers, cost(q).layers, cost(q, "paper").layers, strict=True):
        halves = code.bits == 1
        assert (code.bits - paper.bits == halves).all()
        ones = each.sums.bits_code - each.sums.bits_paper
        assert (ones <= each.sums.coded).all()
        assert (ones[halves] == each.sums.coded[halves]).all()


@given(quantized())
def test_the_passes_in_numpy_and_in_numba_give_the_same_cost(q: QuantizedNetwork) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "FUSED", "no such module")
        numpy = quantize(q.network, q.scheme)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "PAYS", 0)
        numba = quantize(q.network, q.scheme)
    assert numbers(cost(numpy)) == numbers(cost(numba))


@given(st.integers(1, 1000), st.integers(1, 9), st.integers(1, 9))
def test_eq_6_integers(v: int, filters: int, fan_in: int) -> None:
    values = np.full((filters, fan_in), v) * np.resize([1, -1], (filters, fan_in))
    stored = layer(values, codes=Codes(16, False, False, lambda: np.ones(values.shape)))
    total = cost(quantize(network([stored])), "paper").total
    assert total.esn_a_x4.weights == 4 * v**2 * filters * fan_in
    assert total.esn_d.weights == ceil(log2(v) + 1) * filters * fan_in


@given(st.integers(1, 1000), st.integers(1, 9), st.floats(1e-3, 1e3))
def test_eq_6_half_integers(k: int, size: int, step: float) -> None:
    v = k + 0.5
    weights = v * step * np.resize([1.0, -1.0], (1, size))
    total = cost(quantize(chain(weights), Scheme(given_steps=step))).total
    assert total.esn_a_x4.weights == 4 * v**2 * size
    assert total.esn_d.weights == ceil(log2(v) + 1) * size


@pytest.mark.parametrize(("bits", "ratio"), [(1, 0.75), (2, 0.94), (4, 0.996)])
def test_eq_4_for_a_uniform_source(bits: int, ratio: float) -> None:
    """ESNa over its estimate is 1 − 1/(s/n): 1 − 4^−b. Both have a spread of 0.2 % here."""
    weights = np.random.default_rng(0).uniform(-1, 1, (64, 4096))
    row = cost(quantize(chain(weights), Scheme(bits=bits))).layers[0]
    assert row.sn is not None
    assert row.esn_a_from_sn is not None
    measured = row.metrics.esn_a_x4.weights / 4 / row.esn_a_from_sn
    assert measured == pytest.approx(ratio, rel=0.01)
    assert measured == pytest.approx(1 - 1 / row.sn, rel=0.01)


@pytest.mark.parametrize("bits", [3, 8])
def test_eq_10_gives_the_step_back_for_uniform_noise(bits: int) -> None:
    weights = np.random.default_rng(0).uniform(-1, 1, (64, 4096))
    each = quantize(chain(weights), Scheme(bits=bits)).layers[0]
    step = step_from_noise(float(each.sums.noise.sum()), int(each.sums.nonzero.sum()))
    assert step == pytest.approx(each.steps[0], rel=0.01)
