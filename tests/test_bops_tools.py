"""BOPs of tools that are installed beside esnsim, each by its own hand, on ten files.

qonnx's are in test_bops.py. HGQ2 brings Keras, MCT a solver, so that elsewhere these are skipped;
docs/testing.md says which versions were run.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import esnsim
from tests.importer.models import model
from tests.samples import saved

Ints = np.ndarray[Any, Any]
#: Filters, channels, kernel, strides, bits of activations; images are of 7×6 pixels.
SHAPES = [
    (4, 3, (3, 2), (1, 1), 4), (6, 3, (1, 1), (2, 1), 8), (2, 5, (2, 2), (1, 2), 3),
    (5, 1, (1, 3), (1, 1), 6), (3, 2, (3, 3), (2, 2), 5),
]  # fmt: skip


def codes(shape: tuple[int, ...], seed: int, sparse: bool) -> Ints:
    rng = np.random.default_rng(seed)
    found = rng.integers(-100, 101, shape).astype(np.int8)
    if sparse:
        found[rng.random(shape) < 0.5] = 0
    found.reshape(len(found), -1)[:, 0] = 1  # no filter is pruned: b_a of a dead channel is 0 there
    return found


def own_bits(layer: Any, weights: Ints) -> None:
    """Give a layer of HGQ2 its weights, and each the bits that it has, as training learns them."""
    magnitude = np.abs(weights.astype(np.int64))
    some = np.where(magnitude > 0, magnitude, 1)
    top, low = np.floor(np.log2(some)) + 1, np.log2(some & -some)
    layer._kernel.assign(weights.astype(np.float32))
    quantizer = layer.kq.quantizer
    quantizer._k.assign(np.ones_like(weights))
    quantizer._b.assign(np.where(magnitude > 0, top - low, 0))
    quantizer._i.assign(np.where(magnitude > 0, top, 0))
    assert (layer.qkernel.detach().numpy() == weights).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("place", range(len(SHAPES)))
def test_hgq2_counts_the_same_ebops(place: int, sparse: bool, tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    layers = pytest.importorskip("hgq.layers")
    config = pytest.importorskip("hgq.config").QuantizerConfig
    filters, channels, kernel, strides, bits = SHAPES[place]
    rows, columns = (7 - kernel[0]) // strides[0] + 1, (6 - kernel[1]) // strides[1] + 1
    first = codes((filters, channels, *kernel), place, sparse)
    second = codes((filters * rows * columns, 3), place + 50, sparse)
    given = {
        "use_bias": False, "enable_ebops": True,
        "kq_conf": config("kbi", "weight", br=None, ir=None),
        "iq_conf": config("kbi", "datalane", k0=0, b0=bits, i0=bits),
    }  # fmt: skip
    conv = layers.QConv2D(filters, kernel, strides=strides, **given)
    dense = layers.QDense(3, **given)
    theirs = 0.0
    for layer, shape, weights in (
        (conv, (1, 7, 6, channels), first.transpose(2, 3, 1, 0)), (dense, (1, len(second)), second)
    ):  # fmt: skip
        layer.build(shape)
        own_bits(layer, weights)
        theirs += layer._compute_ebops(shape).item()
    proto = model(
        f"p = DequantizeLinear(c, s) h = Conv<strides=[{strides[0]},{strides[1]}]>(x, p) "
        "f = Flatten(h) q = DequantizeLinear(d, s) y = MatMul(f, q)",
        f"float[1,{channels},7,6] x", c=first, d=second, s=np.float32(1),
    )  # fmt: skip
    path = saved(proto, tmp_path)
    assert esnsim.cost(path, activation_bits=bits, bops=["ebops"]).bops["ebops"] == theirs > 0


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("place", range(len(SHAPES)))
def test_mct_counts_the_same_bops(place: int, groups: int) -> None:
    """Of weights and activations of 8 bits, which its target platform has where nobody chooses."""
    mct = pytest.importorskip("model_compression_toolkit")
    torch = pytest.importorskip("torch")
    filters, channels, kernel, strides, _ = SHAPES[place]
    columns = (6 - kernel[1]) // strides[1] + 1
    torch.manual_seed(place)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(channels * groups, filters * groups, kernel, strides, groups=groups),
        torch.nn.ReLU(),
        torch.nn.Linear(columns, 5),  # no Flatten before: that has 32 bits there
    ).eval()
    example = torch.randn(1, channels * groups, 7, 6)

    def images() -> Any:
        yield [example.numpy()]

    theirs = mct.core.pytorch_resource_utilization_data(net, images).bops
    cost = esnsim.cost(net, example=example, activation_bits=8, bops=["mct"])
    assert {int(row.bits.max()) for row in cost.layers} == {8}
    assert cost.bops["mct"] == theirs > 0
