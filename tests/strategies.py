"""Hypothesis strategies, of which every law draws.

- `rows`: filters as a matrix with a step, a limit and kept zeros or not, rich in what goes wrong:
  weights on and beside decision boundaries, exact zeros of both signs, subnormals, huge steps.
- `geometries`: convolutions of rank 0 (a matrix product) to 3: non-square inputs, kernels and
  strides, asymmetric pads, dilation, transposed or not. Groups are left at 1.
- `networks`: a few small layers as `Network`, with groups 1, g and C, concatenated and added
  channels, filters that any step prunes, shared weights and Loop bodies.
- `quantized_layers`: a layer of a random network, in midrise codes of 1 to 8 bits.
- `steps`: a step for each filter of a network, by layer: some prune, some make wide codes.
- `protos`: models as files hold them, with tensors on both sides of the size from which the scanner
  leaves them out, in every field that can hold them, at every place that a tensor can have.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from esnsim.model.network import LIVE, Geometry, Layer, Merge, Network
from esnsim.quantization.quantizer import QuantizedLayer, quantize
from esnsim.quantization.scheme import Scheme
from tests.networks import layer, network

#: Far enough from the ends of float64 that squares neither overflow nor vanish.
MAGNITUDES = st.sampled_from([1e-30, 1e-3, 0.7, 1.0, 3.0, 1e20])
LIMITS = st.sampled_from([0, 1, 3, 7, 15, 255, 65535])


@dataclass(frozen=True, slots=True)
class Rows:
    """Arguments of the midrise kernels: weights (M, K), step (M,), limit (M,), kept zeros."""

    weights: NDArray[np.floating[Any]]
    step: NDArray[np.float64]
    limit: NDArray[np.int64]
    keep_zeros: bool


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    """Up to 4 filters of up to 24 weights, float32 or float64."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    count, size = draw(st.integers(1, 4)), draw(st.integers(1, 24))
    step = [draw(MAGNITUDES) * draw(st.floats(0.5, 1)) for _ in range(count)]
    if draw(st.booleans()):
        step = step[:1] * count
    weights = [draw(st.lists(_near(s), min_size=size, max_size=size)) for s in step]
    limit = draw(st.lists(LIMITS, min_size=count, max_size=count))
    return Rows(np.array(weights, dtype), np.array(step), np.array(limit), draw(st.booleans()))


def _near(step: float) -> st.SearchStrategy[float]:
    """Weights within some thousand steps, half of them at a decision boundary or next to it."""
    boundary = st.integers(-2000, 2000).map(lambda k: k * step / 2)
    return st.one_of(
        boundary,
        boundary.map(lambda w: float(np.nextafter(w, np.inf))),
        boundary.map(lambda w: float(np.nextafter(w, -np.inf))),
        boundary.map(lambda w: float(np.nextafter(np.float32(w), np.float32(1e38)))),
        st.floats(-2, 2).map(lambda w: w * step),
        st.floats(-70_000, 70_000).map(lambda w: w * step),
        st.sampled_from([0.0, -0.0, 1e-45, -1e-45, 5e-324, -5e-324, 1e30, -1e30]),
    )


@st.composite
def geometries(draw: st.DrawFn, min_rank: int = 0) -> Geometry:
    """Small, and asymmetric in every way that code could confuse."""
    rank = draw(st.integers(min_rank, 3))
    largest = (1, 6, 4, 3)[rank]

    def sizes(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, strides, dilations = sizes(1, 3), sizes(1, 3), sizes(1, 2)
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank))
    extents = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    transposed = rank > 0 and draw(st.booleans())
    # The least input whose output has one element on every axis.
    least = [
        max(1, 1 + -(-(1 + sum(p) - e) // s)) if transposed else max(1, e - sum(p))
        for e, s, p in zip(extents, strides, pads, strict=True)
    ]
    return Geometry(
        batch=draw(st.integers(1, 2 if rank else 5)),
        input_size=tuple(n + draw(st.integers(0, largest)) for n in least),
        kernel=kernel, strides=strides, dilations=dilations, pads=pads, transposed=transposed,
        output_padding=sizes(0, 1) if transposed else (),
    )  # fmt: skip


@st.composite
def networks(draw: st.DrawFn, plain: bool = False) -> Network:
    """1 to 4 layers; if `plain` without groups and shared weights."""
    used = 2  # ids 0 and 1 are no filter's
    values = [np.full(draw(st.integers(1, 4)), LIVE, np.int32)]
    layers: list[Layer] = []
    merges: list[Merge] = []
    for index in range(draw(st.integers(1, 4))):
        channels = _read(draw, values)
        twin = draw(st.sampled_from([None, None, *layers])) if layers and not plain else None
        if twin is None:
            groups = 1 if plain else _groups(draw, len(channels))
            geometry = replace(draw(geometries()), groups=groups)
            shape = groups * draw(st.integers(1, 3)), len(channels) // groups, *geometry.kernel
            array = _weights(draw, shape)
        else:  # the same weights elsewhere
            channels = np.resize(channels, len(twin.channels))
            size = tuple(n + draw(st.integers(0, 2)) for n in twin.geometry.input_size)
            geometry = replace(twin.geometry, input_size=size)
            shape, array = twin.weight.shape, twin.weight.load()
        repeats = draw(st.sampled_from([1, 1, 3]))
        made = layer(array, geometry, f"layer{index}", channels, used, repeats)
        layers.append(made if twin is None else replace(made, weight=twin.weight))
        values.append(np.arange(used, used + shape[0], dtype=np.int32))
        used += shape[0]
        same = [v for v in values[:-1] if len(v) == shape[0]]
        if same and draw(st.booleans()):
            merges.append(Merge(used, draw(st.sampled_from(same)), values[-1]))
            values.append(np.arange(used, used + shape[0], dtype=np.int32))
            used += shape[0]
    return network(layers, merges, used)


def _read(draw: st.DrawFn, values: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """The channels of the latest value, perhaps with those of another; some twice, as Flatten."""
    channels = values[-1]
    if draw(st.booleans()):
        channels = np.concatenate([channels, draw(st.sampled_from(values))])
    return np.repeat(channels, 2) if draw(st.booleans()) and len(channels) < 4 else channels


def _groups(draw: st.DrawFn, channels: int) -> int:
    divisors = [g for g in range(1, channels + 1) if channels % g == 0]
    return draw(st.sampled_from([1, channels, *divisors]))


def _weights(draw: st.DrawFn, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Normal weights with exact zeros, whose filters differ a thousandfold; some are all zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = rng.normal(size=shape) * (rng.random(shape) < draw(st.sampled_from([0.3, 1.0])))
    gains = st.sampled_from([0.0, 1e-3, 0.1, 1.0, 2.0])
    scale = np.array([draw(gains) for _ in range(shape[0])])
    return (weights * scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32)


@st.composite
def steps(draw: st.DrawFn, network: Network) -> dict[str, list[float]]:
    """For each layer by its name, a step a filter."""
    one = st.sampled_from([0.013, 0.1, 0.45, 1.0, 4.0])
    return {
        each.name: draw(st.lists(one, min_size=each.filters, max_size=each.filters))
        for each in network.layers
    }


@st.composite
def tensors(draw: st.DrawFn) -> TensorProto:
    """A tensor of up to 3 kB in one of the fields of TensorProto."""
    size = draw(st.sampled_from([0, 1, 3, 127, 128, 255, 256, 300]))
    values = draw(st.lists(st.integers(-9, 9), min_size=1, max_size=4)) * size
    kind, raw = draw(st.sampled_from([(1, True), (1, False), (11, False), (7, True), (6, False)]))
    array = np.array(values[:size], helper.tensor_dtype_to_np_dtype(kind))
    name = draw(st.sampled_from(["", "w", "ß×"]))
    if raw:
        return helper.make_tensor(name, kind, [size], array.tobytes(), raw=True)
    return helper.make_tensor(name, kind, [size], array)


@st.composite
def _graphs(draw: st.DrawFn, depth: int) -> GraphProto:
    graph = GraphProto(name="g", initializer=draw(st.lists(tensors(), max_size=3)))
    for _ in range(draw(st.integers(0, 2))):
        pair = {"values": draw(tensors()), "indices": draw(tensors()), "dims": [4]}
        graph.sparse_initializer.add(**pair)
    graph.node.extend(draw(st.lists(_nodes(depth), max_size=3)))
    return graph


@st.composite
def _nodes(draw: st.DrawFn, depth: int) -> NodeProto:
    node = NodeProto(op_type="Conv", input=["x", "w"], output=["y"])
    node.attribute.add(name="strides", type=AttributeProto.INTS, ints=[2, 1])
    place = draw(st.sampled_from(["t", "tensors", "sparse_tensor", "g", "graphs", "none"]))
    attribute = node.attribute.add(name="value")
    if place == "t":
        attribute.t.CopyFrom(draw(tensors()))
    elif place == "tensors":
        attribute.tensors.extend(draw(st.lists(tensors(), max_size=2)))
    elif place == "sparse_tensor":
        attribute.sparse_tensor.values.CopyFrom(draw(tensors()))
    elif place == "g" and depth:
        attribute.g.CopyFrom(draw(_graphs(depth - 1)))
    elif place == "graphs" and depth:
        attribute.graphs.extend(draw(st.lists(_graphs(depth - 1), max_size=2)))
    return node


@st.composite
def protos(draw: st.DrawFn) -> ModelProto:
    """A model of graphs up to three deep, and of functions."""
    model = ModelProto(ir_version=10, producer_name="tests", graph=draw(_graphs(2)))
    for _ in range(draw(st.integers(0, 2))):
        function = model.functions.add(name="f", node=draw(st.lists(_nodes(1), max_size=2)))
        function.attribute_proto.add(name="a").t.CopyFrom(draw(tensors()))
    return model


@st.composite
def quantized_layers(draw: st.DrawFn) -> QuantizedLayer:
    """Filters of different widths, some pruned, with dead channels, and zeros kept or not."""
    scheme = Scheme(
        draw(st.sampled_from(["layer-max", "filter-max"])), draw(st.integers(1, 8)),
        keep_zeros=draw(st.booleans()),
    )  # fmt: skip
    return draw(st.sampled_from(quantize(draw(networks()), scheme).layers))
