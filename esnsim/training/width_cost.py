"""MAC×bit of a network whose filters have widths, which need not be whole: differentiable."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esnsim.model.liveness import Liveness
from esnsim.model.network import CONSTANT, Layer, Network
from esnsim.training.units import unit_of_channels

#: Whole widths (M,) of the filters of each weight, by its name.
Widths = Mapping[str, NDArray[np.int64]]


class _Reader(NamedTuple):
    """A layer as its cost is computed: what its filters are and which channels it reads, as units.

    `macs` are those of a filter and one of its channels; `reads` (C,) and `gives` (M,) are units.
    """

    weight: str
    macs: int
    groups: int
    reads: Tensor
    gives: Tensor


class WidthCost:
    """The ESNd~ of a network, by the widths (M,) of the filters of each weight."""

    def __init__(self, network: Network) -> None:
        channels = unit_of_channels(network)
        self._network, self._units = network, int(channels.max(initial=-1)) + 1
        self._readers = [_reader(layer, channels) for layer in network.layers]
        self._given = torch.cat([reader.gives for reader in self._readers])
        self._fed = torch.ones(self._units).index_fill(0, self._given, 0)  # no filter gives them
        self._fed[CONSTANT] = 0

    def fractions(self, bits: Mapping[str, Tensor]) -> Tensor:
        """MAC×bit of widths that may lie between whole ones.

        A channel whose filters have less than a bit takes part by so much.
        """
        share = torch.cat([bits[reader.weight].clamp(0, 1) for reader in self._readers])
        live = torch.zeros(self._units)
        live = live.scatter_reduce(0, self._given, share, "amax", include_self=False) + self._fed
        total = torch.zeros(())
        for reader in self._readers:
            inputs = live[reader.reads].reshape(reader.groups, -1).sum(1)
            width = bits[reader.weight].reshape(reader.groups, -1).sum(1)
            total = total + reader.macs * (inputs * width).sum()
        return total

    def whole(self, widths: Widths) -> int:
        """MAC×bit of whole widths."""
        liveness, total = Liveness(self._network), 0
        for layer, reader in zip(self._network.layers, self._readers, strict=True):
            inputs = liveness.channels(layer).reshape(reader.groups, -1).sum(1)
            bits = widths[reader.weight]
            total += reader.macs * int(inputs @ bits.reshape(reader.groups, -1).sum(1))
            liveness.decide(layer, bits > 0)
        return total


def _reader(layer: Layer, channels: NDArray[np.int64]) -> _Reader:
    taps = layer.weight.size // (layer.weight.shape[0] * layer.weight.shape[1])
    gives = channels[layer.first_filter : layer.first_filter + layer.filters]
    return _Reader(
        weight=layer.weight.name, macs=layer.macs_per_weight * taps, groups=layer.geometry.groups,
        reads=torch.from_numpy(channels[layer.channels]), gives=torch.from_numpy(gives),
    )  # fmt: skip
