"""Which channels depend on the input, as the filters of one layer after the other are decided."""

import numpy as np

from esnsim.model.network import CONSTANT, Layer, Mask, Network


class Liveness:
    """The live channels of a network whose layers are decided in their order.

    A filter that is not live makes its output channel independent of the input, and so on
    downstream through additions and concatenations. Where it is `leaving` the network no gate
    keeps it.
    """

    def __init__(self, network: Network, leaving: bool = False) -> None:
        self._leaving = leaving
        self._live = np.ones(network.channel_ids, np.bool_)
        self._live[CONSTANT] = False
        self._merges = list(reversed(network.merges))

    def channels(self, layer: Layer) -> Mask:
        """The channels (C,) that a layer reads, once all layers before it are decided."""
        live = self._live
        while self._merges and self._merges[-1].first < layer.first_filter:
            merge = self._merges.pop()
            span = slice(merge.first, merge.first + len(merge.left))
            kept = live[merge.right] & (not (self._leaving and merge.gate))
            live[span] = live[merge.left] | kept
        found: Mask = live[layer.channels]
        return found

    def decide(self, layer: Layer, filters: Mask) -> None:
        """Say which filters (M,) of a layer are live."""
        self._live[layer.first_filter : layer.first_filter + layer.filters] = filters
