"""Closed forms and machines on networks small enough to count by hand."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from esnsim.costs.cost import cost, estimate
from esnsim.costs.equations import esn_a_from_sn, signal_to_noise, step_from_noise
from esnsim.costs.fig1 import Machines, cpu_cost, gpu_cost, int8_array_cost, word
from esnsim.costs.figures import Quotients, Weightings, ratio
from esnsim.errors import WidthError
from esnsim.model.network import Codes, Geometry, Product
from esnsim.quantization.quantizer import QuantizedLayer, quantize
from esnsim.quantization.scheme import Scheme
from tests.naive import midtread
from tests.networks import chain, layer, network

#: Two filters over 6 windows: W_int = (½, −3½, 0) and (1½, 0, 0) at a step of 1.
CONV = layer(
    np.array([[[0.2, -3.4, 0.0]], [[1.1, 0.0, 0.0]]]),
    Geometry(2, (5,), (3,), (1,), (1,), ((0, 0),)),
)  # fmt: skip
ONE = quantize(network([CONV]), Scheme(given_steps=1.0))


def stored(values: list[list[int]], bits: int) -> QuantizedLayer:
    """A layer of integer codes."""
    codes = Codes(bits, False, False, lambda: np.ones((len(values), len(values[0]))))
    return quantize(network([layer(np.array(values, np.int32), codes=codes)])).layers[0]


def test_every_metric_of_a_layer_counted_by_hand() -> None:
    m = cost(ONE).layers[0].metrics
    assert (m.filters, m.pruned_filters) == (2, 0)
    assert (m.weights, m.live_weights, m.nonzero_weights) == (6, 6, 3)
    assert (m.macs, m.live_macs) == (36, 36)
    assert m.esn_a_x4 == Weightings(1 + 49 + 9, 6 * 59)
    assert m.esn_d == Weightings(1 + 3 + 2, 6 * 6)
    assert m.esn_d_tilde == Weightings(3 * 3 + 3 * 2, 6 * 15)
    assert m.mac_bits_layerwise == 6 * 6 * 3
    assert m.class_a_filter_x4 == Weightings(2 * 49 + 9, 6 * 107)
    assert m.class_a_layer_x4 == m.class_a_network_x4 == Weightings(3 * 49, 6 * 147)
    assert m.other_esn_d == Weightings(0 + 3 + 2, 6 * 5)
    assert m.other_esn_d_tilde == m.esn_d_tilde


def test_the_machines_of_a_layer_counted_by_hand() -> None:
    """The widest code has 3 bits, so a word of 8: 18 MACs are not zero of 36."""
    assert cost(ONE).machines == Machines(
        cpu=18 * 8, gpu=36 * 8, int8_array=36 * 8, ideal_digital=90, ideal_analog=6 * 59 / 4
    )


@pytest.mark.parametrize(
    ("bits", "expected"), [(0, 1), (1, 1), (2, 8), (8, 8), (9, 16), (16, 16), (17, 32), (33, 64)]
)
def test_a_word_is_the_narrowest_that_holds_the_bits(bits: int, expected: int) -> None:
    assert word(bits) == expected
    assert cpu_cost(10, bits) == gpu_cost(10, bits) == 10 * expected


@pytest.mark.parametrize(
    ("bits", "expected"), [(0, 8), (1, 8), (8, 8), (9, 16), (16, 16), (17, 24)]
)
def test_every_width_up_to_8_costs_8_on_an_int8_array(bits: int, expected: int) -> None:
    assert int8_array_cost(10, bits) == 10 * expected


def test_a_network_of_zeros_costs_nothing_but_dense_macs() -> None:
    result = cost(quantize(chain(np.zeros((2, 3)), np.zeros((4, 2)))))
    assert result.total.macs == 14
    assert result.total.live_macs == 0
    assert result.machines == Machines(
        cpu=0, gpu=14, int8_array=8 * 14, ideal_digital=0, ideal_analog=0.0
    )
    assert result.histogram == {0: 6}


def test_weights_that_read_a_pruned_filter_are_dead() -> None:
    result = cost(quantize(chain([[1.0], [0.0]], [[1.0, 1.0]])))
    assert [row.metrics.live_macs for row in result.layers] == [1, 1]
    assert [row.metrics.macs for row in result.layers] == [2, 2]


def test_a_filter_is_pruned_if_its_live_weights_are() -> None:
    net = chain([[1.0], [0.0]], [[0.4, 9.0]], [[1.0]])
    result = cost(quantize(net, Scheme(given_steps=1.0)))
    assert [row.metrics.pruned_filters for row in result.layers] == [1, 1, 1]


def test_s_n_is_that_of_the_live_weights_and_none_where_codes_are_exact() -> None:
    row = cost(quantize(chain([[1.0], [0.0]], [[0.7, 5.0]]), Scheme(given_steps=1.0))).layers[1]
    assert row.sn == pytest.approx(0.7**2 / 0.2**2)
    assert row.esn_a_from_sn == pytest.approx(row.sn / 12)
    assert cost(quantize(chain([[0.5, -1.5]]), Scheme(given_steps=1.0))).layers[0].sn is None


def test_s_n_counts_pruned_weights_as_noise() -> None:
    each = quantize(chain([[3.5], [0.3]]), Scheme(given_steps=1.0)).layers[0]
    assert signal_to_noise(each.sums) == pytest.approx((3.5**2 + 0.3**2) / 0.3**2)


@pytest.mark.parametrize(("noise", "exact"), [(1.0, True), (1 + 2.0**-50, False)])
def test_noise_of_float64s_own_rounding_is_none(noise: float, exact: bool) -> None:
    """A weight of float64 is within 2^-53 of itself of what it stands for."""
    sums = quantize(chain([[3.5], [0.3]]), Scheme(given_steps=1.0)).layers[0].sums
    signal = np.array([6.0, 10.0])
    rounded = replace(sums, signal=signal, noise=signal * 2.0**-106 * noise)
    assert (signal_to_noise(rounded) is None) == exact


def test_quotients_of_a_layer_by_hand() -> None:
    m = cost(ONE).total
    assert (m.esn_a.weights, m.esn_a.macs) == (59 / 4, 6 * 59 / 4)
    assert m.esn_a_class_a.filter == Quotients(107 / 4, 6 * 107 / 4)
    assert m.esn_a_class_a.layer == m.esn_a_class_a.network == Quotients(147 / 4, 6 * 147 / 4)
    assert (m.mean_width_by_macs, m.mean_width_by_weights) == (15 / 6, 15 / 6)
    none = cost(quantize(chain(np.zeros((2, 3))))).total
    assert (none.mean_width_by_macs, none.mean_width_by_weights) == (0, 0)
    # Two layers of one width each: means by MACs and by weights are not the same.
    two = cost(quantize(network([CONV, layer([[5.5]], name="b", first_filter=4)]),
                        Scheme(given_steps=1.0))).total  # fmt: skip
    assert two.mean_width_by_macs == (90 + 4) / (36 + 1)
    assert two.mean_width_by_weights == (15 + 4) / (6 + 1)


def test_the_estimate_of_a_network_is_the_sum_of_its_layers() -> None:
    rows = cost(quantize(chain([[0.7, 1.2]], [[0.9]]), Scheme(given_steps=1.0))).layers
    first, second = (row.esn_a_from_sn for row in rows)
    assert first is not None
    assert second is not None
    assert estimate(rows) == Quotients(first + second, first + second)
    assert estimate([replace(rows[0], esn_a_from_sn=None), rows[1]]) == Quotients(None, None)
    thrice = replace(rows[0].layer, repeats=3)
    shared = replace(rows[0], quantized=replace(rows[0].quantized, layer=thrice))
    assert estimate([rows[0], shared]) == Quotients(first, 4 * first)
    less = replace(shared, esn_a_from_sn=first / 2)  # the same tensor, less of it live
    assert estimate([rows[0], less]) == Quotients(first, first + 3 * (first / 2))
    assert ratio(Quotients(6.0, 8.0), Quotients(3.0, 2.0)) == Quotients(2, 4)
    assert ratio(Quotients(6.0, None), Quotients(0.0, 2.0)) == Quotients(None, None)


def test_eq_4_and_eq_10_by_hand() -> None:
    assert esn_a_from_sn(16.0, 9) == 12
    assert step_from_noise(3.0, 4) == 3
    assert step_from_noise(0.0, 0) == 0


@pytest.mark.parametrize("bits", range(1, 9))
def test_both_widths_of_every_integer_code(bits: int) -> None:
    """One code a filter, signed and unsigned and with any zero point: −2^b … +2^b."""
    codes = [[v] for v in range(-(2**bits), 2**bits + 1)]
    sums = stored(codes, bits).sums
    assert sums.width_code.tolist() == [midtread.bits(v, bits) for v in codes]
    assert sums.width_paper.tolist() == [midtread.paper_bits(v) for v in codes]
    assert (sums.bits_code == sums.width_code).all()
    assert (sums.bits_paper == sums.width_paper).all()


@pytest.mark.parametrize("bits", range(1, 5))
def test_both_widths_of_every_range_of_integer_codes(bits: int) -> None:
    ranges = [[a, b] for a, b in product(range(-(2**bits), 2**bits + 1), repeat=2)]
    sums = stored(ranges, bits).sums
    assert sums.width_code.tolist() == [midtread.bits(pair, bits) for pair in ranges]
    assert sums.width_paper.tolist() == [midtread.paper_bits(pair) for pair in ranges]
    assert sums.width_code.max() <= bits


@pytest.mark.parametrize(
    ("code", "streamed", "literal"), [(0, 0, 0), (1, 2, 1), (-1, 1, 1), (4, 4, 3), (-4, 3, 3)]
)
def test_widths_of_integer_codes_differ_at_powers_of_two(
    code: int, streamed: int, literal: int
) -> None:
    sums = stored([[code]], 8).sums
    assert (sums.width_code[0], sums.width_paper[0]) == (streamed, literal)


def test_class_a_takes_the_largest_amplitude_of_the_layers_included() -> None:
    net = chain([[1.5]], [[7.5]])
    done = quantize(net, Scheme(given_steps=1.0))
    assert cost(done).layers[0].metrics.class_a_network_x4.weights == 15**2
    alone = cost(done, include=lambda each: each.name == "layer0")
    assert [row.layer.name for row in alone.layers] == ["layer0"]
    assert alone.total.class_a_network_x4.weights == 3**2


def test_shared_weights_count_once_as_parameters_and_twice_as_computations() -> None:
    first = layer(np.eye(3) + 1, name="a")
    second = replace(first, name="b", first_filter=5)
    one, both = cost(quantize(network([first]))).total, cost(quantize(network([first, second])))
    assert both.total.weights == one.weights
    assert both.total.esn_a_x4 == Weightings(one.esn_a_x4.weights, 2 * one.esn_a_x4.macs)
    assert both.total.macs == 2 * one.macs
    assert both.total.filters == 6


def test_the_histogram_is_of_filters_by_width() -> None:
    assert cost(quantize(chain([[-1.0], [0.1], [0.001]]), Scheme(bits=4))).histogram == {
        0: 1, 1: 1, 4: 1,
    }  # fmt: skip


def test_products_of_activations_are_in_no_other_number() -> None:
    net = chain([[1.0]])
    with_product = replace(net, products=(Product("scores", "MatMul", 99),))
    assert cost(quantize(with_product)).product_macs == 99
    assert cost(quantize(with_product)).total == cost(quantize(net)).total


def test_an_unknown_width_rule_is_refused() -> None:
    with pytest.raises(WidthError) as raised:
        cost(ONE, "narrow")
    assert str(raised.value) == "no width rule 'narrow': use one of code, paper"
