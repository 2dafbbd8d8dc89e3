"""Networks in a few words, without a file."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from esnsim.model.network import LIVE, Codes, Geometry, Layer, Merge, Network, Source, Weight

SOURCE = Source(
    path=None,
    size_bytes=0,
    ir_version=10,
    opsets=(("", 21),),
    producer="tests",
    inputs=(),
    batchnorms=0,
)


def weight(values: ArrayLike, name: str = "w", codes: Codes | None = None) -> Weight:
    """A weight tensor in memory, filters first."""
    array = np.asarray(values)
    return Weight(
        name=name,
        origin=name,
        shape=array.shape,
        dtype=array.dtype.name,
        load=lambda: array,
        codes=codes,
    )


def layer(
    values: ArrayLike,
    geometry: Geometry | None = None,
    name: str = "layer",
    channels: ArrayLike | None = None,
    first_filter: int = 2,
    repeats: int = 1,
    codes: Codes | None = None,
) -> Layer:
    """A layer of weights (M, C/g, *kernel) that reads live channels at one place, unless told."""
    tensor = weight(values, f"{name}.weight", codes)
    geometry = geometry or _one_window(tensor.shape[2:])
    if channels is None:
        channels = np.full(tensor.shape[1] * geometry.groups, LIVE)
    ids = np.asarray(channels, np.int32)
    return Layer(name, "Conv", tensor, geometry, ids, first_filter, repeats)


def network(layers: Sequence[Layer], merges: Sequence[Merge] = (), ids: int = 0) -> Network:
    """A network of layers in graph order."""
    ids = ids or max(each.first_filter + each.filters for each in layers)
    return Network(SOURCE, tuple(layers), tuple(merges), ids, (), (), ())


def chain(*values: ArrayLike) -> Network:
    """Layers, each of which reads all filters of the one before."""
    layers: list[Layer] = []
    first, channels = 2, None
    for index, value in enumerate(values):
        layers.append(layer(value, name=f"layer{index}", channels=channels, first_filter=first))
        channels = np.arange(first, first + layers[-1].filters)
        first += layers[-1].filters
    return network(layers)


def _one_window(kernel: tuple[int, ...]) -> Geometry:
    ones, rank = (1,) * len(kernel), len(kernel)
    return Geometry(1, kernel, kernel, ones, ones, ((0, 0),) * rank)
