"""Gains of each filter's noise to the output."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from esnsim.compression.allocate import sensitivity as module
from esnsim.compression.allocate.sensitivity import sensitivity
from esnsim.compression.allocate.stages import Stage
from esnsim.evaluate.evaluator import Evaluator
from esnsim.graph.model import Model, open_model
from esnsim.graph.sites import sites
from esnsim.images.sets import DataError, ImageSet
from esnsim.progress import listening
from tests.execute.models import model, normal

COUNT = 8  # images
IMAGES = ImageSet(name="normal", count=COUNT, read=lambda a, b: normal(COUNT, 4, 6, 5, seed=5)[a:b])


def convolutional(batch: str = "N") -> ModelProto:
    """A residual network: grouped and transposed convolutions, BatchNormalization, products from
    both sides.
    """
    return model(
        "a = Conv<pads=[1,0,1,1], group=2>(x, w, b) c = BatchNormalization(a, s, t, m, q) "
        "d = Relu(c) e = Conv<pads=[0,1,1,0]>(d, v) f = Add(e, d) "
        "g = ConvTranspose<strides=[1,2], group=2>(f, u) h = Tanh(g) "
        "i = MatMul(l, h) j = MatMul(i, r) k = Flatten(j) y = Gemm<transB=1>(k, z, o)",
        f"float[{batch},4,6,5] x", w=normal(6, 2, 3, 2), b=normal(6), s=normal(6),
        t=normal(6, seed=1), m=normal(6, seed=2), q=np.abs(normal(6, seed=3)) + np.float32(0.5),
        v=normal(6, 6, 2, 2, seed=6), u=normal(6, 2, 2, 1, seed=7), l=normal(3, 7, seed=8),
        r=normal(9, 2, seed=9), z=normal(5, 24, seed=4), o=normal(5),
    )  # fmt: skip


def removal(graph: Model) -> list[NDArray[np.float64]]:
    """‖change of the output‖² for each filter set to 0 in turn, as a share, by ‖filter‖²."""
    evaluator = Evaluator(graph, IMAGES, threads=1)
    found = [np.zeros(layer.filters) for layer in graph.network.layers]
    for site in sites(graph):
        weights = site.layer.weight.load()
        for m in range(site.layer.filters):
            without = weights.copy()
            without[m] = 0
            outputs = evaluator.outputs({site.slot: site.to_operand(without)})
            change = ((outputs - evaluator.reference) ** 2).sum()
            energy = (evaluator.reference**2).sum() * (weights[m].astype(np.float64) ** 2).sum()
            found[site.index][m] = change / energy
    return found


@pytest.mark.parametrize("batch", ["N", "1", "2"])
def test_removal_is_that_of_each_filter_alone(batch: str) -> None:
    """Every filter on every image, whatever the batch; products from the left too."""
    graph = open_model(convolutional(batch))
    told: list[str] = []
    with listening(told.append):
        found = sensitivity(graph, IMAGES, probes=COUNT, threads=1, centred=False, trust=1)
    runs = len(graph.network.layers) * -(-COUNT // (COUNT if batch == "N" else int(batch)))
    assert told == [f"measuring gains, {turn + 1} of {runs}" for turn in range(runs)]
    for layer, gains, expected in zip(graph.network.layers, found, removal(graph), strict=True):
        assert gains.shape == (layer.filters, 2)
        assert gains[:, 0] == pytest.approx(expected, rel=2e-3), layer.name


def test_the_gain_of_white_noise_is_that_of_a_linear_network() -> None:
    """y = B·(W * x): a filter's noise σ² a weight gives σ²·‖B_m‖²·Σ ‖patch‖² of the output."""
    w, b = normal(3, 4, 2, 3), normal(2, 3, 1, 1, seed=2)
    graph = open_model(model("a = Conv(x, w) y = Conv(a, b)", "float[N,4,6,5] x", w=w, b=b))
    found = sensitivity(graph, IMAGES, probes=4000, threads=1, centred=False, trust=1)
    x = IMAGES.read(0, COUNT).astype(np.float64)
    patches = np.lib.stride_tricks.sliding_window_view(x, (2, 3), (2, 3))
    signal = np.einsum("nchwij,mcij->nmhw", patches, w.astype(np.float64))
    output = np.einsum("nmhw,pm->nphw", signal, b[:, :, 0, 0])
    energy = (output**2).sum()
    first = (patches**2).sum() / (4 * 2 * 3) * (b.astype(np.float64) ** 2).sum(axis=(0, 2, 3))
    second = np.full(2, (signal**2).sum() / 3)
    assert found[0][:, 1] == pytest.approx(first / energy, rel=0.15)
    assert found[1][:, 1] == pytest.approx(second / energy, rel=0.15)


def test_centred_gains_leave_out_what_only_moves_a_mean() -> None:
    """The filter that reads a constant channel makes a constant, which correction takes out."""
    w = np.zeros((2, 4, 1, 1), np.float32)
    w[0, 0], w[1, 1] = 1, 1
    constant = ImageSet(name="constant", count=COUNT, read=lambda a, b: _with_constant(a, b))
    graph = open_model(model("y = Conv(x, w)", "float[N,4,6,5] x", w=w))
    (gains,) = sensitivity(graph, constant, threads=1)
    (plain,) = sensitivity(graph, constant, threads=1, centred=False, trust=1)
    assert gains[1] == pytest.approx([0, 0], abs=1e-9)
    assert gains[0, 0] > 0
    assert plain[1, 0] > 0


def _with_constant(start: int, stop: int) -> NDArray[np.float32]:
    x = IMAGES.read(start, stop).copy()
    x[:, 1] = 3
    return x


def test_filters_share_probes_where_there_are_too_many() -> None:
    """With no effort allowed one group a layer is left, whose gain is the mean by energy."""
    graph = open_model(convolutional())
    options = {"probes": COUNT, "threads": 1, "centred": False, "trust": 1}
    found = sensitivity(graph, IMAGES, effort=0, **options)
    alone = sensitivity(graph, IMAGES, **options)
    last = graph.network.layers[-1]  # filters that do not meet again: their energies add up
    energies = (last.weight.load().astype(np.float64) ** 2).sum(axis=1)
    mean = (alone[-1][:, 0] * energies).sum() / energies.sum()
    assert found[-1][:, 0] == pytest.approx(np.full(last.filters, mean), rel=2e-3)
    gain = graph.network.layers[0].batchnorm
    assert gain is not None
    ratio = found[0][:, 0] / np.square(gain.gain)
    assert ratio == pytest.approx(np.full(6, ratio[0]))
    assert all(np.isfinite(gains).all() for gains in found)


@pytest.mark.parametrize(("probes", "joined"), [(1, 3.0), (COUNT, 5.0)])
def test_probes_of_the_layer_count_beside_a_filters_own(probes: int, joined: float) -> None:
    graph = open_model(convolutional())
    options = {"probes": probes, "threads": 1, "trust": 1}
    alone = sensitivity(graph, IMAGES, **options)[-1]
    mean = sensitivity(graph, IMAGES, **options, joined=1e12)[-1]
    found = sensitivity(graph, IMAGES, **options, joined=joined)[-1]
    assert np.ptp(mean, axis=0) == pytest.approx(0, abs=1e-9 * mean.max())
    share = (found - mean) / (alone - mean)
    most = max(probes, COUNT) / (max(probes, COUNT) + joined)  # a run probes at least once an image
    assert (share >= probes / (probes + joined) - 1e-6).all()
    assert (share <= most + 1e-6).all()


def test_layers_that_stay_as_they_are_get_the_mean_share_of_noise() -> None:
    graph = open_model(
        model(
            "a = Conv(x, w) b = GlobalAveragePool(a) c = Flatten(b) "
            'y = Einsum<equation="nc,dc->nd">(c, v)',
            "float[N,4,6,5] x",
            w=normal(3, 4, 2, 3),
            v=normal(2, 3),
        )
    )
    conv, einsum = sensitivity(graph, IMAGES, threads=1, trust=1)
    energies = [
        (layer.weight.load().reshape(layer.filters, -1) ** 2).sum(axis=1)
        for layer in graph.network.layers
    ]
    mean = (conv * energies[0][:, None]).mean(axis=0)
    assert einsum * energies[1][:, None] == pytest.approx(np.tile(mean, (2, 1)), rel=1e-5)


def test_a_seed_gives_the_same_gains() -> None:
    graph = open_model(convolutional())
    one, same, other = (sensitivity(graph, IMAGES, seed=seed, threads=1) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_trust_draws_gains_to_their_median_and_leaves_removal_beside_them() -> None:
    graph = open_model(convolutional())
    full, half, none = (
        np.concatenate(sensitivity(graph, IMAGES, threads=1, trust=trust)) for trust in (1, 0.5, 0)
    )
    some = full[:, 1] > 0
    full, half, none = full[some], half[some], none[some]
    middle = np.median(full[:, 1])
    assert half[:, 1] == pytest.approx(np.sqrt(full[:, 1] * middle))
    assert none[:, 1] == pytest.approx(np.full(len(full), middle))
    assert half[:, 0] / half[:, 1] == pytest.approx(full[:, 0] / full[:, 1])


def test_images_of_another_shape_are_refused() -> None:
    graph = open_model(convolutional())
    with pytest.raises(DataError, match="4×6×4"):
        sensitivity(graph, ImageSet(name="x", count=2, read=lambda a, b: normal(b - a, 4, 6, 4)))


def test_uses_of_one_weight_share_its_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a weight, not once a use; a gain is the mean of what the uses have apart."""
    w, found, runs = normal(6, 6, seed=3) / np.float32(2), [], list[int]()
    images = ImageSet(name="normal", count=COUNT, read=lambda a, b: normal(COUNT, 6, seed=5)[a:b])
    probe = module._probe

    def noted(stage: Stage, groups: module.Groups, batch: int, turns: range, *rest: Any) -> float:
        runs.extend(turns)
        return probe(stage, groups, batch, turns, *rest)

    monkeypatch.setattr(module, "_probe", noted)
    for names in ("wwww", "abcd"):
        nodes = (f"m{n + 1} = MatMul(m{n}, {name})" for n, name in enumerate(names))
        nodes = f"m0 = Identity(x) {' '.join(nodes)} y = Identity(m4)"
        proto = model(nodes, "float[N,6] x", **dict.fromkeys(names, w))
        found.append(sensitivity(open_model(proto), images, probes=320, trust=1.0))
        uses = 1 if names == "wwww" else 4
        assert runs == [*range(240)] * uses  # 8 images a run, 6 filters on 320 images each
        runs.clear()
    shared, apart = found
    assert all((each == shared[0]).all() for each in shared)
    np.testing.assert_allclose(shared[0], np.mean(apart, axis=0), rtol=0.2)
