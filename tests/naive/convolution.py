"""A convolution of any rank from its definition: one multiplication for each place and tap."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from esnsim.model.network import Geometry

Array = NDArray[np.generic]


def convolve(x: Array, weights: Array, geometry: Geometry) -> Array:
    """x (N, C, *input), weights (M, C/g, *kernel) -> (N, M, *output).

    Output place p and input place i meet under tap t where i = p·stride + t·dilation − padding;
    in a transposed convolution p and i change roles.
    """
    g = geometry
    y = np.zeros((len(x), len(weights), *g.output_size), np.result_type(x, weights))
    fan_in, fan_out = weights.shape[1], len(weights) // g.groups
    for place in np.ndindex(*(g.input_size if g.transposed else g.output_size)):
        for tap in np.ndindex(*g.kernel):
            axes = zip(place, g.strides, tap, g.dilations, g.pads, strict=True)
            there = tuple(p * s + t * d - before for p, s, t, d, (before, _) in axes)
            source, target = (place, there) if g.transposed else (there, place)
            if not (_inside(source, g.input_size) and _inside(target, g.output_size)):
                continue
            for group in range(g.groups):
                filters = slice(group * fan_out, (group + 1) * fan_out)
                channels = slice(group * fan_in, (group + 1) * fan_in)
                taken = x[(slice(None), channels, *source)]
                y[(slice(None), filters, *target)] += taken @ weights[(filters, ..., *tap)].T
    return y


def multiplications(weights: Array, geometry: Geometry, batch: int) -> int:
    """How often each weight meets an element of the input or of its padding, all together."""
    places = geometry.input_size if geometry.transposed else geometry.output_size
    return batch * prod(places) * weights.size


def _inside(place: tuple[int, ...], size: tuple[int, ...]) -> bool:
    return all(0 <= p < n for p, n in zip(place, size, strict=True))
