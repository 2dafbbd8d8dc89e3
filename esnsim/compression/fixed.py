"""Layers whose weights can't be exchanged, as if they were quantised already."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from esnsim.model.network import Array, Codes, Layer, Network
from esnsim.quantization.quantizer import codes, quantize
from esnsim.quantization.scheme import DEFAULT_BITS


def with_fixed_codes(network: Network, layers: Iterable[Layer]) -> Network:
    """The network whose given layers keep the codes that `esnsim cost` counts them by.

    No width or step that is handed in changes them: they stay float where the model runs.
    """
    stay = {layer.first_filter for layer in layers if layer.weight.codes is None}
    if not stay:
        return network
    fixed = [
        _coded(each.layer, codes(each), each.steps)
        if each.layer.first_filter in stay
        else each.layer
        for each in quantize(network).layers
    ]
    return replace(network, layers=tuple(fixed))


def _coded(layer: Layer, q: Array, steps: Array) -> Layer:
    scale = np.broadcast_to(steps.reshape(-1, *[1] * (q.ndim - 1)), q.shape)
    stored = Codes(DEFAULT_BITS, True, False, lambda: scale)
    return replace(layer, weight=replace(layer.weight, load=lambda: q, codes=stored))
