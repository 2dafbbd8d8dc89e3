"""Layers without a file, for benchmarks and self-tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.model.network import Codes, Geometry, Layer, Network, Source, Weight
from esnsim.quantization.quantizer import QuantizedLayer, quantize
from esnsim.quantization.scheme import Scheme

NOWHERE = Source(
    path=None, size_bytes=0, ir_version=0, opsets=(), producer="", inputs=(), batchnorms=0
)


def random_layer(
    filters: int, channels: int, geometry: Geometry, scheme: Scheme, rng: np.random.Generator
) -> QuantizedLayer:
    """A layer of normal weights (filters, channels/groups, *kernel), quantised."""
    shape = (filters, channels // geometry.groups, *geometry.kernel)
    values = rng.standard_normal(shape).astype(np.float32)
    weight = Weight(
        name="random", origin="random", shape=shape, dtype="float32", load=lambda: values
    )
    layer = Layer("random", "Conv", weight, geometry, np.zeros(channels, np.int32), 2)
    network = Network(NOWHERE, (layer,), (), 2 + filters, (), (), ())
    return quantize(network, scheme).layers[0]


def matrix_layer(
    filters: int, reduction: int, bits: int, rng: np.random.Generator
) -> QuantizedLayer:
    """A matrix product whose filters all have codes of `bits` bits."""
    return random_layer(filters, reduction, Geometry(), Scheme("filter-max", bits), rng)


def stored_layer(values: NDArray[Any], geometry: Geometry, stored: Codes) -> QuantizedLayer:
    """A layer of given integers (M, C/g, *kernel) that is quantised already."""
    integers = values.astype(np.int32)
    weight = Weight(
        name="stored",
        origin="stored",
        shape=integers.shape,
        dtype="int8",
        load=lambda: integers,
        codes=stored,
    )
    channels = np.zeros(integers.shape[1] * geometry.groups, np.int32)
    layer = Layer("stored", "Conv", weight, geometry, channels, 2)
    network = Network(NOWHERE, (layer,), (), 2 + len(integers), (), (), ())
    return quantize(network).layers[0]
