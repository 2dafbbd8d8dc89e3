"""Which filters are chosen: by norm, in units, to a ratio or a budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto

from esnsim import read_onnx
from esnsim.compression.prune.prune import Kept, choose, live_macs
from esnsim.compression.prune.shrink import masked, shrunk
from esnsim.compression.prune.units import units, unprunable_layers
from esnsim.costs.cost import cost
from esnsim.errors import UsageError
from esnsim.graph.model import Model, open_model
from esnsim.model.network import Network
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme
from tests.compress.prunable import prunable
from tests.compress.prune_cases import CASES, net
from tests.compress.pruning import FINE, filters
from tests.compress.whole_cases import WHOLE
from tests.execute.models import normal
from tests.importer.models import model
from tests.naive.pruning import smallest

SCOPES = st.sampled_from(["layer", "network"])


def chain() -> ModelProto:
    """Convolutions without ties, filters and layers of norms that differ, BatchNormalization."""
    gains = np.array([3, 1, 4, 0.5, 2, 6], np.float32).reshape(-1, 1, 1, 1)
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) n = BatchNormalization(a, g, b, b, q) r = Relu(n) "
        "z = Conv(r, v)",
        5, w=normal(6, 3, 3, 2) * gains, v=9 * normal(5, 6, 1, 1), b=normal(6),
        g=np.array([0.3, -2, 0.1, 1, -0.2, 5], np.float32), q=np.abs(normal(6, seed=1)),
    )  # fmt: skip


def plain() -> tuple[Model, Network]:
    return open_model(chain())


@pytest.mark.parametrize("criterion", ["norm", "l1"])
@pytest.mark.parametrize("ratio", [0, 0.2, 0.4, 0.75])
def test_filters_go_in_the_order_of_their_norm(criterion: str, ratio: float) -> None:
    graph = plain()
    kept = choose(graph, ratio, criterion=criterion)
    for layer, mask in zip(graph.network.layers[:-1], kept, strict=False):
        gone = smallest(layer.weight.load().tolist(), ratio, 2 if criterion == "norm" else 1)
        assert np.flatnonzero(~mask).tolist() == gone


def test_filters_go_in_the_order_of_their_batchnorm_scale() -> None:
    kept = choose(plain(), 0.5, criterion="batchnorm")
    assert np.flatnonzero(~kept[0]).tolist() == [0, 2, 4]  # |γ| of 0.3, 0.1, 0.2
    assert kept[1].all()  # no BatchNormalization reads the second convolution


def test_over_the_network_filters_compete_by_their_share_of_the_mean_norm() -> None:
    graph = plain()
    kept = choose(graph, 0.4, scope="network")
    squares = [
        (layer.weight.load() ** 2).reshape(layer.filters, -1).sum(1)
        for layer in graph.network.layers
    ]
    relative = [s / s.mean() for s in squares[:2]]
    last = np.sort(np.concatenate(relative))[4]  # of 11
    assert [(r >= last).tolist() for r in relative] == [k.tolist() for k in kept[:2]]


def test_filters_that_are_added_are_pruned_together_by_the_sum_of_their_norms() -> None:
    w, v = normal(4, 3, 1, 1), normal(4, 3, 1, 1, seed=1)
    graph = open_model(net("a = Conv(x, w) b = Conv(x, v) z = Add(a, b)", 4, w=w, v=v))
    kept = choose(graph, 0.5)
    both = np.concatenate([w, v], axis=1)
    assert np.flatnonzero(~kept[0]).tolist() == smallest(both.tolist(), 0.5, 2)
    np.testing.assert_array_equal(kept[0], kept[1])


@pytest.mark.parametrize("name", CASES)
def test_half_of_what_can_go_goes(name: str) -> None:
    make, stay = CASES[name]
    graph = open_model(make())
    assert filters(choose(graph, 0.5)) == stay
    assert [layer for layer, _ in unprunable_layers(graph)] == [graph.network.layers[-1]]
    given = {unit.stays for unit in units(graph)}
    assert given == {"", "the network gives what they make"}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_not_understood_stays_whole_and_says_why(name: str) -> None:
    make, stay, reason = WHOLE[name]
    graph = open_model(make())
    assert filters(choose(graph, 0.5)) == stay
    assert any(reason in why for _, why in unprunable_layers(graph))


@given(prunable(), st.floats(0, 0.99), SCOPES)
def test_units_stay_whole_and_no_layer_is_left_empty(
    proto: ModelProto, ratio: float, scope: str
) -> None:
    graph = open_model(proto)
    found, kept = units(graph), choose(graph, ratio, scope=scope)
    assert sorted(f for unit in found for f in unit.filters) == [
        (i, m) for i, layer in enumerate(graph.network.layers) for m in range(layer.filters)
    ]
    for unit in found:
        stays = {bool(kept[layer][m]) for layer, m in unit.filters}
        assert stays == {True} if unit.stays else len(stays) == 1
    assert all(mask.any() for mask in kept)


@given(prunable(), st.floats(0, 1), SCOPES, st.booleans())
def test_a_budget_is_never_exceeded_and_no_cut_is_larger_than_it_needs(
    proto: ModelProto, share: float, scope: str, wide: bool
) -> None:
    graph = open_model(proto)
    bits = [np.full(layer.filters, 3 if wide else 1) for layer in graph.network.layers]

    def price(kept: Kept) -> int:
        return live_macs(graph.network, kept, bits)

    dense = price(choose(graph, 0.0))
    least = price(choose(graph, 1 - 1e-9, scope=scope))
    budget = least + int(share * (dense - least))
    kept = choose(graph, budget=budget, scope=scope, price=price)
    assert price(kept) <= budget
    small = cost(quantize(read_onnx(shrunk(graph, kept)), FINE)).total
    assert price(kept) == small.live_macs * (3 if wide else 1)
    gone = sum(int((~k).sum()) for k in kept)
    for ratio in np.linspace(0, 1 - 1e-9, 9):
        other = choose(graph, ratio, scope=scope)
        if sum(int((~k).sum()) for k in other) < gone:
            assert price(other) > budget


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.8])
def test_a_budget_that_a_cut_meets_exactly_gives_that_cut(ratio: float) -> None:
    graph = plain()
    wanted = choose(graph, ratio)
    kept = choose(graph, budget=live_macs(graph.network, wanted))
    assert filters(kept) == filters(wanted)


def test_a_budget_of_live_bits_of_the_masked_model_is_met() -> None:
    graph = open_model("builtin:resnet8")
    scheme = Scheme(rule="filter-max", bits=3)

    def price(kept: Kept) -> int:
        return cost(quantize(read_onnx(masked(graph, kept)), scheme)).total.esn_d_tilde.macs

    kept = choose(graph, budget=9_000_000, price=price)
    assert 8_500_000 < price(kept) <= 9_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give a ratio or a budget"),
        ({"ratio": 0.5, "budget": 9}, "not both"),
        ({"ratio": 1.0}, "share of 1.0: give one from 0 to below 1"),
        ({"ratio": float("nan")}, "share of nan"),
        ({"budget": 10}, "a budget of 10 is below the least that pruning can reach"),
        ({"ratio": 0.5, "criterion": "l3"}, "criterion 'l3'"),
        ({"ratio": 0.5, "scope": "block"}, "layer or network"),
    ],
)
def test_what_cannot_be_met_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(plain(), **options)  # type: ignore[arg-type]


def test_the_batchnorm_criterion_needs_batchnorm() -> None:
    proto = net("a = Conv(x, w) z = Relu(a)", 4, w=normal(4, 3, 1, 1))
    with pytest.raises(UsageError, match="use the criterion 'norm' or 'l1'"):
        choose(open_model(proto), 0.5, criterion="batchnorm")


def test_masks_that_tear_units_apart_are_refused() -> None:
    graph = open_model(CASES["padded shortcut"][0]())
    kept = choose(graph, 0.0)
    torn = (np.array([True, False, True, True]), *kept[1:])
    for make in (masked, shrunk):
        with pytest.raises(
            UsageError, match=r"filters of layer 'a' can't go alone \(others stay\)"
        ):
            make(graph, torn)
        with pytest.raises(UsageError, match="1 masks for 3 layers"):
            make(graph, kept[:1])
        with pytest.raises(UsageError, match="layer 'a' has 4 filters but its mask is"):
            make(graph, (kept[0][1:], *kept[1:]))
    none = tuple(np.zeros_like(k) if i < 2 else k for i, k in enumerate(kept))
    with pytest.raises(UsageError, match="keep at least one"):
        shrunk(graph, none)


def test_what_mixes_channels_is_named_and_not_what_joins_them() -> None:
    proto = model(
        """[first] a = MatMul(x, u) [next] f = MatMul(a, w)
        [norm] b = LayerNormalization<axis=-1>(f, s, t) c = Sigmoid(b)
        [join] d = Add(a, c) y = MatMul(d, v)""",
        "float[1,5,4] x", opset=17,
        u=normal(4, 6), w=normal(6, 6), s=normal(6), t=normal(6), v=normal(6, 3),
    )  # fmt: skip
    reasons = {layer.name: reason for layer, reason in unprunable_layers(open_model(proto))}
    assert "LayerNormalization 'norm'" in reasons["first"]
    assert "LayerNormalization 'norm'" in reasons["next"]


def test_queries_behind_many_sums_of_themselves_are_looked_at_once() -> None:
    """Each sum reads its value by two ways: asked anew at each, 60 would take 2^60 steps."""
    sums = " ".join(f"r{i} = Relu(q{i}) q{i + 1} = Add(q{i}, r{i})" for i in range(60))
    proto = model(
        f"q0 = MatMul(x, w) k = MatMul(x, u) {sums} t = Transpose<perm=[0, 2, 1]>(k) "
        "a = MatMul(q60, t) y = MatMul(a, v)",
        "float[1,5,4] x", w=normal(4, 6), u=normal(4, 6), v=normal(5, 3),
    )  # fmt: skip
    free = [unit.filters for unit in units(open_model(proto)) if not unit.stays]
    assert sorted(free) == [((0, place), (1, place)) for place in range(6)]
