"""BatchNormalization folded into the weights that feed it."""

from dataclasses import replace

import numpy as np

from esnsim.model.network import Layer, Network


def fold_batchnorm(network: Network) -> Network:
    """The network with the gain γ/√(variance + ε) of BatchNormalization in its weights.

    Only where a BatchNormalization alone reads a layer; layers that are quantised already keep
    their integers, since a gain would leave the grid.
    """
    layers = tuple(_folded(layer) for layer in network.layers)
    count = sum(new is not old for new, old in zip(layers, network.layers, strict=True))
    note = f"{count} of {network.source.batchnorms} BatchNormalizations are folded into weights"
    return replace(network, layers=layers, notes=(*network.notes, note))


def _folded(layer: Layer) -> Layer:
    if layer.batchnorm is None or layer.weight.codes is not None:
        return layer
    gain = layer.batchnorm.gain
    if layer.weight.gain is not None:
        gain = gain * layer.weight.gain
    gain = np.ascontiguousarray(gain)
    return replace(layer, weight=replace(layer.weight, gain=gain), batchnorm=None)
