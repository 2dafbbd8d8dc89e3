"""Engines in a cut graph.

- operators on integers give ONNX Runtime's integers, exactly
- so does a graph of quantise and dequantise nodes whose scales are powers of two: float32 then
  loses nothing
- float operators give the convolution of dequantised activations by dequantised weights, with the
  weights that read dead channels, which the array leaves out
"""

from collections.abc import Mapping

import numpy as np
import pytest
from onnx import ModelProto

from esnsim import Scheme, fold_batchnorm, quantize, read_onnx
from esnsim.errors import UsageError
from esnsim.graph.model import open_model
from esnsim.machines.activations import ActivationScale
from esnsim.machines.activations import quantize as quantize_activation
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar.engine import AnalogEngine, AnalogRun
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork, codes
from esnsim.run import (
    Compute,
    MacNode,
    activation_scales,
    cut,
    quantized_compute,
)
from tests.execute.cases import INTEGER, LINEAR, quantised
from tests.execute.models import (
    Array,
    Feeds,
    assert_bit_identical,
    cut_model,
    feeds_of,
    integers,
    model,
    normal,
    whole,
)
from tests.naive.convolution import convolve

ENGINE = DigitalEngine(ArraySpec(rows=8, lanes=4, windows=2))
TO_INTEGERS = [
    "convinteger", "matmulinteger", "matmulinteger of a constant", "dynamically quantised matmul",
    "qlinearconv", "qlinearconv with channels last", "qlinearmatmul",
    "qlinearmatmul of a constant", "qgemm",
]  # fmt: skip
PRUNING = Scheme(bits=4)  # layer-max: filters a hundred times smaller than the largest die


def faint(*shape: int, filters: tuple[int, ...], axis: int = 0) -> Array:
    """Weights of which some filters are faint."""
    weights = normal(*shape)
    index = (slice(None),) * axis
    for each in filters:
        weights[(*index, each)] *= 0.001
    return weights


def constant_bn(channels: int) -> dict[str, Array]:
    """A BatchNormalization that makes nothing zero."""
    return {
        "g": np.abs(normal(channels)) + 0.5, "o": np.abs(normal(channels, seed=1)) + 0.5,
        "m": normal(channels, seed=2), "v": np.abs(normal(channels, seed=3)) + 0.5,
    }  # fmt: skip


DEAD = {
    "convolution at its padding": lambda: model(
        """h = Conv(x, w) n = BatchNormalization(h, g, o, m, v) r = Relu(n)
           y = Conv<pads=[1,2,0,1], strides=[2,1]>(r, u, b)""",
        w=faint(4, 3, 1, 1, filters=(1, 2)), u=normal(5, 4, 3, 2), b=normal(5), **constant_bn(4),
    ),
    "grouped convolution, one group dead": lambda: model(
        "h = Conv(x, w) n = BatchNormalization(h, g, o, m, v) y = Conv<group=2>(n, u)",
        w=faint(4, 3, 1, 1, filters=(0, 1)), u=normal(6, 2, 3, 2), **constant_bn(4),
    ),
    "transposed convolution": lambda: model(
        "h = Conv(x, w) s = Sigmoid(h) y = ConvTranspose<strides=[2,1], pads=[1,0,0,1]>(s, u)",
        w=faint(4, 3, 1, 1, filters=(3,)), u=normal(4, 2, 2, 3),
    ),
    "rows that differ": lambda: model(
        "h = MatMul(x, w) a = Add(h, c) y = MatMul(a, u)", "float[N,3,7] x",
        w=faint(7, 5, filters=(0, 4), axis=1), u=normal(5, 4), c=normal(3, 5),
    ),
    "filters that read dead channels alone": lambda: model(
        "h = Conv(x, w) s = Sigmoid(h) y = Conv<group=3, pads=[1,1,1,1]>(s, u)",
        w=faint(3, 3, 1, 1, filters=(1,)), u=normal(3, 1, 3, 3),
    ),
}  # fmt: skip


def engine_output(proto: ModelProto, feeds: Feeds, scheme: Scheme | None = None) -> Feeds:
    network = read_onnx(proto)
    graph = cut(open_model(proto))
    scales = activation_scales(graph, [feeds])
    return graph.run(feeds, quantized_compute(quantize(network, scheme), ENGINE.run, scales))


def by_definition(network: QuantizedNetwork, scales: Mapping[int, ActivationScale]) -> Compute:
    """Activations and weights quantised and dequantised, all of them, convolved in float64."""

    def compute(mac: MacNode, activation: Array, others: Mapping[int, Array]) -> Array:
        layer, scale = network.layers[mac.index], scales[mac.index]
        ints = quantize_activation(activation, scale).astype(float)
        x = mac.layout.to_columns((ints - scale.zero_point) * scale.scale)
        unit = 0.5 if layer.layer.weight.codes is None else 1.0
        steps = np.nan_to_num(layer.steps).reshape(-1, *[1] * (len(layer.layer.weight.shape) - 1))
        y = convolve(x, codes(layer) * (unit * steps), layer.layer.geometry)
        out = mac.alpha * mac.layout.from_outputs(y, activation.shape)
        return np.asarray(out if mac.bias is None else out + mac.bias).astype(activation.dtype)

    return compute


def check_by_definition(
    proto: ModelProto, scheme: Scheme, signed: bool = False
) -> QuantizedNetwork:
    network, feeds = quantize(read_onnx(proto), scheme), feeds_of(proto, batch=3)
    graph = cut(open_model(proto))
    scales = activation_scales(graph, [feeds], signed=signed)
    got = graph.run(feeds, quantized_compute(network, ENGINE.run, scales))["y"]
    wanted = graph.run(feeds, by_definition(network, scales))["y"]
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    return network


@pytest.mark.parametrize("name", TO_INTEGERS)
def test_operators_on_integers_give_onnx_runtimes_integers(name: str) -> None:
    proto = INTEGER[name]()
    feeds = feeds_of(proto)
    np.testing.assert_array_equal(engine_output(proto, feeds)["y"], whole(proto, feeds)["y"])


@pytest.mark.parametrize("name", sorted(INTEGER.keys() - set(TO_INTEGERS)))
def test_operators_from_integers_to_float_are_onnx_runtimes_to_rounding(name: str) -> None:
    proto = INTEGER[name]()
    feeds = feeds_of(proto)
    got, wanted = engine_output(proto, feeds)["y"], whole(proto, feeds)["y"]
    np.testing.assert_allclose(got, wanted, rtol=1e-5, strict=True)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", LINEAR)
def test_float_operators_are_convolutions_of_what_was_quantised(name: str, signed: bool) -> None:
    check_by_definition(LINEAR[name](), Scheme(bits=5), signed)


@pytest.mark.parametrize("name", DEAD)
def test_weights_that_read_dead_channels_are_added_exactly(name: str) -> None:
    network = check_by_definition(DEAD[name](), PRUNING)
    assert not network.layers[-1].live.all()


@pytest.mark.parametrize("name", DEAD)
def test_ideal_crossbar_gives_what_the_digital_array_gives(name: str) -> None:
    proto = DEAD[name]()
    network, feeds = quantize(read_onnx(proto), PRUNING), feeds_of(proto)
    graph = cut(open_model(proto))
    scales = activation_scales(graph, [feeds])

    def analog(layer: QuantizedLayer, x: Array, zero_point: int, signed: bool) -> AnalogRun:
        return AnalogEngine().run(layer, x, np.random.default_rng(0), zero_point, signed)

    outputs = [
        graph.run(feeds, quantized_compute(network, run, scales))["y"]
        for run in (analog, ENGINE.run)
    ]
    np.testing.assert_array_equal(*outputs)


def test_scales_that_are_powers_of_two_give_onnx_runtimes_result_exactly() -> None:
    proto = model(
        """q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
           w = DequantizeLinear<axis=0>(wi, sw) b = DequantizeLinear<axis=0>(bi, sb)
           h = Conv<pads=[1,0,2,1]>(d, w, b) r = Relu(h)
           p = QuantizeLinear(r, t, z) e = DequantizeLinear(p, t, z)
           m = MaxPool<kernel_shape=[2,2]>(e) f = Flatten<axis=2>(m)
           u = DequantizeLinear(ui, s) g = MatMul(f, u)
           o = QuantizeLinear(g, t, z) y = DequantizeLinear(o, t, z)""",
        **quantised(
            s=np.float32(2**-5), t=np.float32(2**-3), z=np.uint8(100), wi=integers(4, 3, 2, 3),
            sw=np.float32([2**-4, 2**-3, 2**-5, 2**-4]), bi=integers(4, dtype=np.int32, bits=10),
            sb=np.float32([2**-9, 2**-8, 2**-10, 2**-9]), ui=integers(21, 5),
        ),
    )  # fmt: skip
    feeds = feeds_of(proto)
    assert_bit_identical(proto)
    np.testing.assert_array_equal(engine_output(proto, feeds)["y"], whole(proto, feeds)["y"])


def test_model_keeps_its_own_scales() -> None:
    scale = ActivationScale(0.5, 7, 8, False)
    moved = model(
        """q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) c = Conv(d, w)
           f = Flatten(d) t = Transpose(f) a = MatMul(v, t)
           r = Sigmoid(d) b = Conv(r, w) e = DequantizeLinear<axis=1>(q, sa) o = Conv(e, w)
           dq, ds, dz = DynamicQuantizeLinear(x) df = DequantizeLinear(dq, ds, dz)
           y = Conv(df, w)""",
        outputs="c a b o y", s=np.float32(0.5), z=np.uint8(7), w=normal(3, 3, 1, 1),
        v=normal(2, 90), sa=np.float32([1, 2, 3]),
    )  # fmt: skip
    own = {mac.result: mac.own for mac in cut_model(moved).macs}
    assert own == {"c": scale, "a": scale, "b": None, "o": None, "y": None}


def test_dynamic_scale_is_that_of_the_run() -> None:
    proto = INTEGER["dynamically quantised matmul in one operator"]()
    (mac,) = cut_model(proto).macs
    others = {2: np.float32(0.25), 4: np.array([9], np.uint8)}
    assert mac.scale(others) == ActivationScale(0.25, 9, 8, False)


def test_folded_batchnorm_is_taken_out_again() -> None:
    proto = DEAD["convolution at its padding"]()
    network, feeds = read_onnx(proto), feeds_of(proto)
    graph = cut(open_model(proto))
    folded = quantize(fold_batchnorm(network), Scheme("filter-max", bits=15))
    scales = activation_scales(graph, [feeds], bits=15)
    engine = DigitalEngine(ArraySpec(activation_bits=15))
    got = graph.run(feeds, quantized_compute(folded, engine.run, scales))["y"]
    np.testing.assert_allclose(got, whole(proto, feeds)["y"], rtol=1e-2, atol=1e-2)


def test_layer_without_a_scale_is_refused() -> None:
    proto = LINEAR["conv"]()
    network = read_onnx(proto)
    graph = cut(open_model(proto))
    compute = quantized_compute(quantize(network), ENGINE.run, {})
    with pytest.raises(UsageError) as error:
        graph.run(feeds_of(proto), compute)
    assert str(error.value) == "layer 'y' has no activation scale: calibrate it first"
