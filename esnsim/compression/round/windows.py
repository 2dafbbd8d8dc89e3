"""What each output of a layer reads: windows of its input, as a matrix product takes them."""

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from esnsim.model.network import Array, Geometry
from esnsim.quantization.filter_sums import Ints

AT_ONCE = 1 << 22  # elements of windows


def places_in(x: Array, geometry: Geometry) -> int:
    """How many windows columns x (batch, C, *input_size) have."""
    return len(x) * prod(_sized(geometry, x).output_size)


def windows(x: Array, geometry: Geometry, places: Ints) -> Array:
    """The windows of a layer's columns x (batch, C, *input_size) at some places (n,) of batch and
    output, as (groups, n, K) in float32 or wider.

    The output at a place is the sum of its window times a filter, in the order of the layer's
    weights. Batch and sizes are those of x, not of the geometry.
    """
    from esnsim_kernels.gather import gather

    images, taps = _taps(_sized(geometry, x), places)
    kind = np.float64 if x.dtype == np.float64 else np.float32
    size = x.shape[1] // geometry.groups * taps.shape[1]
    out = np.empty((geometry.groups, len(places), size), kind)
    gather(np.ascontiguousarray(x.reshape(*x.shape[:2], -1), kind), images, taps, out)
    return out


def in_parts(x: Array, geometry: Geometry, places: Ints) -> Iterator[tuple[slice, Array]]:
    """The windows at all places, as many at a time as memory should hold, and which ones."""
    rows = max(1, AT_ONCE // (x.shape[1] * prod(geometry.kernel)))
    for start in range(0, len(places), rows):
        part = slice(start, start + rows)
        yield part, windows(x, geometry, places[part])


def sampled(total: int, most: int) -> Ints:
    """The places of at most `most` of `total` windows: one drawn in each of as many equal parts."""
    if total <= most:
        return np.arange(total)
    bounds = np.arange(most + 1) * total // most
    shares = np.random.default_rng(0).random(most)
    return bounds[:-1] + (shares * np.diff(bounds)).astype(np.int64)


def _sized(geometry: Geometry, x: Array) -> Geometry:
    return replace(geometry, input_size=x.shape[2:])


def _taps(geometry: Geometry, places: Ints) -> tuple[Ints, Ints]:
    """Of each place the image, and where in its input the taps (n, T) lie; −1 outside of it.

    Output o of a transposed convolution reads input i where o + pad = i·stride + tap·dilation.
    """
    sizes = geometry.output_size
    images, *outputs = np.unravel_index(places, (1 + places.max(initial=0), *sizes))
    found, inside = np.zeros((len(places), 1), np.int64), np.ones((len(places), 1), np.bool_)
    for axis, (output, size) in enumerate(zip(outputs, geometry.input_size, strict=True)):
        tap = np.arange(geometry.kernel[axis]) * geometry.dilations[axis]
        stride, pad = geometry.strides[axis], geometry.pads[axis][0]
        if geometry.transposed:
            at, between = np.divmod(output[:, None] + pad - tap, stride)
        else:
            at = output[:, None] * stride - pad + tap
            between = np.zeros_like(at)
        good = (at >= 0) & (at < size) & (between == 0)
        inside = (inside[:, :, None] & good[:, None, :]).reshape(len(places), -1)
        found = (found[:, :, None] * size + at[:, None, :]).reshape(len(places), -1)
    return images, np.where(inside, found, -1)
