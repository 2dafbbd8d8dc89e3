"""Noise on all weights, as large as codes leave: `esnsim.compression.allocate.injection`."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.compression.allocate.allocate import Allocation, errors_of, every_width
from esnsim.compression.allocate.injection import Injection, injection, noisy
from esnsim.compression.workspace import Workspace, prepare
from esnsim.graph.model import open_model
from esnsim.graph.substitute import Changes
from esnsim.images.sets import ImageSet
from esnsim.model.network import Layer
from esnsim.quantization.quantizer import quantize
from tests.compress.test_sensitivity import IMAGES, convolutional
from tests.execute.models import model, normal


def workspace_of(proto: object, images: ImageSet = IMAGES, **how: object) -> Workspace:
    return prepare(open_model(proto), images, images, threads=1, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return workspace_of(convolutional())


def noise_on(workspace: Workspace) -> Injection:
    return injection(workspace, errors_of(every_width(workspace.network)))


def at_width(workspace: Workspace, bits: int) -> Allocation:
    widths = {layer.name: np.full(layer.filters, bits) for layer in workspace.network.layers}
    return Allocation(
        rule="mse", metric="esn_d_tilde", budget=0, cost=0, noise=0, bound=0, widths=widths
    )


@given(data=st.data(), seed=st.integers(0, 9))
def test_every_filter_gets_the_error_of_its_width(
    workspace: Workspace, data: st.DataObject, seed: int
) -> None:
    layer = data.draw(st.sampled_from(workspace.network.layers))
    filters = layer.filters
    widths = np.array(data.draw(st.lists(st.integers(0, 3), min_size=filters, max_size=filters)))
    errors = np.random.default_rng(seed).random((filters, 3))
    gain = data.draw(st.sampled_from([None, np.linspace(-2, 2, filters)]))
    holed = layer.weight.load().copy()
    holed.reshape(filters, -1)[:, 0] = 0
    given_ = with_weight(layer, holed, gain)
    found = noisy(given_, errors, widths, np.random.default_rng(seed))
    off = (found - holed).reshape(filters, -1)
    if gain is not None:
        off *= gain[:, None]
    for m in range(filters):
        if widths[m] == 0:
            assert not found[m].any()
        elif (gain is None or gain[m]) and holed[m].any():
            assert (off[m] ** 2).sum() == pytest.approx(errors[m, widths[m] - 1])
        else:
            assert (found[m] == holed[m]).all()
    assert not found.reshape(filters, -1)[:, 0].any()


def with_weight(layer: Layer, array: np.ndarray, gain: np.ndarray | None) -> Layer:
    return replace(layer, weight=replace(layer.weight, load=lambda: array, gain=gain))


def test_wider_codes_leave_less_noise(workspace: Workspace) -> None:
    worth = [noise_on(workspace)(at_width(workspace, bits)) for bits in range(1, 9)]
    assert worth == sorted(worth)
    assert worth[-1] - worth[3] == pytest.approx(4 * 6, abs=3)  # 6 dB a bit


def test_it_tells_what_codes_come_to(workspace: Workspace) -> None:
    near = replace(workspace, rounding="nearest")
    codes = near.evaluate(quantize(near.network, at_width(workspace, 4).scheme)).sqnr_db
    assert noise_on(workspace)(at_width(workspace, 4)) == pytest.approx(codes, abs=4)


def test_the_same_noise_whenever_it_is_asked(workspace: Workspace) -> None:
    judge, given_ = noise_on(workspace), at_width(workspace, 2)
    assert judge(given_) == judge(given_) == noise_on(workspace)(given_)


def test_layers_that_share_a_weight_share_its_noise() -> None:
    """Those that read it alike: from its other side it has other filters."""
    shared = model(
        "a = MatMul(x, w) b = Relu(a) c = MatMul(b, w) d = Gemm<transB=1>(c, w) y = MatMul(d, v)",
        "float[N,5] x", w=normal(5, 5), v=normal(5, 3, seed=1),
    )  # fmt: skip
    images = ImageSet(name="rows", count=8, read=lambda a, b: normal(8, 5, seed=2)[a:b])
    judge, seen = noise_on(workspace_of(shared, images, correct=False)), list[Changes]()
    assert judge.corrector is None
    evaluator = judge.evaluator
    judge = replace(judge, evaluator=lambda x: (seen.append(x), evaluator(x))[1])  # type: ignore[arg-type]
    assert judge(at_width(judge.workspace, 8)) > 30
    first, second, other, last = (array for _, array in sorted(seen[0].items()))
    assert (first == second).all()
    assert np.abs(other - first).max() < 0.1  # the same weights, with noise of their own
    assert (other != first).any()
    assert last.shape != first.shape
