"""BatchNormalization: noted with the layer that it alone reads, and folded into its weights."""

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto

from esnsim import fold_batchnorm
from esnsim.model.network import Layer, Network
from tests import architectures
from tests.importer.models import Array, model, ramp, read_whole
from tests.naive.convolution import convolve

RNG = np.random.default_rng(3)
X = "float[1,3,6,5] x"
CONV, NORM = "c = Conv(x, w)", "BatchNormalization<epsilon=0.01>(c, gamma, beta, mean, variance)"


def parameters(filters: int) -> dict[str, Array]:
    """γ of both signs and other parameters of a BatchNormalization."""
    return {
        "gamma": RNG.normal(size=filters).astype(np.float32),
        "beta": RNG.normal(size=filters).astype(np.float32),
        "mean": RNG.normal(size=filters).astype(np.float32),
        "variance": RNG.uniform(0.1, 2, filters).astype(np.float32),
    }


def gain(p: dict[str, Array]) -> Array:
    return p["gamma"].astype(np.float64) / np.sqrt(p["variance"].astype(np.float64) + 0.01)


def run(proto: ModelProto, x: Array) -> Array:
    copy = ModelProto()
    copy.CopyFrom(proto)
    del copy.opset_import[1:]
    session = ort.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]  # type: ignore[no-any-return]


def folded_weights(layer: Layer) -> Array:
    """Weights (M, …) times the gain of their filter."""
    assert layer.weight.gain is not None
    weights = layer.weight.load().astype(np.float64)
    return weights * layer.weight.gain.reshape(-1, *[1] * (weights.ndim - 1))


@pytest.mark.parametrize(
    ("conv", "shape", "filters"),
    [
        ("c = Conv(x, w)", (4, 3, 3, 2), 4),
        ("c = Conv<group=3>(x, w)", (6, 1, 3, 2), 6),
        ("c = Conv(x, w, bias)", (4, 3, 3, 2), 4),
        ("c = ConvTranspose<group=3, strides=[2,1]>(x, w)", (3, 2, 3, 2), 6),
        ("f = Flatten(x) c = Gemm<transB=1>(f, w)", (4, 90), 4),
        ("f = Flatten(x) c = MatMul(f, w)", (90, 4), 4),
    ],
)
def test_folding_is_the_layer_followed_by_batchnormalization(
    conv: str, shape: tuple[int, ...], filters: int
) -> None:
    p, w = parameters(filters), RNG.normal(size=shape).astype(np.float32)
    bias = RNG.normal(size=filters).astype(np.float32)
    proto = model(f"{conv} y = {NORM}", X, w=w, bias=bias, **p)
    network = fold_batchnorm(read_whole(proto))
    (layer,) = network.layers
    assert layer.batchnorm is None
    np.testing.assert_allclose(layer.weight.gain, gain(p))
    x = RNG.normal(size=(1, 3, 6, 5)).astype(np.float32)
    zero = np.zeros_like(x)  # the difference to zero input leaves out bias, mean and β
    wanted = run(proto, x) - run(proto, zero)
    flat = x.reshape(1, -1) if "Flatten" in conv else x
    found = convolve(flat.astype(np.float64), folded_weights(layer), layer.geometry)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert network.notes == ("1 of 1 BatchNormalizations are folded into weights",)


def test_a_batchnormalization_is_noted_with_the_layer_that_feeds_it() -> None:
    p = parameters(4)
    proto = model(f"{CONV} y = {NORM}", X, w=ramp(4, 3, 3, 3), **p)
    proto.graph.node[1].name = "norm"
    network = read_whole(proto)
    noted = network.layers[0].batchnorm
    assert noted is not None
    assert noted.name == "norm"
    np.testing.assert_allclose(noted.gain, gain(p))
    assert network.source.batchnorms == 1
    assert network.layers[0].weight.gain is None


UNNOTED = {
    "an activation between them": f"b = Conv(x, w) c = Relu(b) y = {NORM}",
    "another reader of the convolution": f"{CONV} n = {NORM} y = Add(n, c)",
    "the convolution is an output too": f"{CONV} y = {NORM}",
    "statistics of the batch": f"{CONV} y = {NORM.replace('epsilon', 'training_mode=1, epsilon')}",
    "parameters that depend on the input": f"{CONV} y = {NORM.replace('gamma', 'g')}",
    "no layer before": "c = Pad(x, padding) y = " + NORM,
    "a branch that another branch shares": f"""{CONV} y = If(flag) <
        then_branch = t () => (float[] a) {{ a = {NORM} }},
        else_branch = e () => (float[] b) {{ b = Identity(c) }}>""",
}


@pytest.mark.parametrize("why", UNNOTED)
def test_a_batchnormalization_is_not_noted_where_folding_would_be_wrong(why: str) -> None:
    proto = model(
        f"{UNNOTED[why]} z = Conv(x, w)", f"{X}, float[4] g, bool flag", w=ramp(4, 3, 1, 1),
        padding=np.array([0, 0, 0, 0, 0, 1, 0, 0]), **parameters(4),
    )  # fmt: skip
    if "output" in why:
        proto.graph.output.append(onnx.helper.make_tensor_value_info("c", 1, None))
    network = read_whole(proto)
    assert [layer.batchnorm for layer in network.layers] == [None] * len(network.layers)
    assert network.source.batchnorms == 1
    assert all(layer.weight.gain is None for layer in fold_batchnorm(network).layers)


def test_a_batchnormalization_over_another_axis_than_the_filters_is_not_noted() -> None:
    """MatMul has its filters last, BatchNormalization its channels second: here both are 4."""
    nodes = f"c = MatMul(x, w) y = {NORM}"
    network = read_whole(model(nodes, "float[2,4,3] x", w=ramp(3, 4), **parameters(4)))
    assert network.layers[0].batchnorm is None


def test_a_batchnormalization_inside_a_function_is_noted() -> None:
    function = f"""<domain: "local", opset_import: ["": 21]>
      f (x, w, gamma, beta, mean, variance) => (y) {{ {CONV} y = {NORM} }}"""
    nodes = "y = local.f(x, w, gamma, beta, mean, variance)"
    network = read_whole(model(nodes, X, function, w=ramp(4, 3, 3, 3), **parameters(4)))
    assert network.layers[0].batchnorm is not None


def test_quantised_layers_keep_their_integers() -> None:
    nodes = f"w = DequantizeLinear(q, s) {CONV} y = {NORM}"
    q = ramp(4, 3, 1, 1, dtype=np.int8)
    network = fold_batchnorm(read_whole(model(nodes, X, q=q, s=np.float32(1), **parameters(4))))
    assert network.layers[0].weight.gain is None
    assert network.layers[0].batchnorm is not None
    assert network.notes == ("0 of 1 BatchNormalizations are folded into weights",)


@pytest.mark.parametrize(
    ("network", "norms", "noted"),
    [
        (lambda: architectures.resnet(3, 4, 6, 3), 53, 53),
        (architectures.cifar_resnet20, 22, 22),
        # DenseNet normalises concatenations; only the first and the bottlenecks follow a layer.
        (architectures.densenet121, 121, 59),
    ],
)
def test_batchnormalizations_of_known_networks_are_noted(
    network: Any, norms: int, noted: int
) -> None:
    found: Network = read_whole(network())
    assert found.source.batchnorms == norms
    assert sum(layer.batchnorm is not None for layer in found.layers) == noted


def test_folding_leaves_the_given_network_as_it_is() -> None:
    network = read_whole(architectures.cifar_resnet20())
    fold_batchnorm(network)
    assert all(layer.weight.gain is None for layer in network.layers)
