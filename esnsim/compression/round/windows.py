"""What each output of a layer reads: windows of its input, as a matrix product takes them."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from esnsim.model.network import Array, Geometry
from esnsim.quantization.filter_sums import Ints


def windows(x: Array, geometry: Geometry) -> Array:
    """A layer's columns x (batch, C, *input_size) as a view (batch, *output_size, C, *kernel).

    The output at a place is the sum of its window times a filter, in the order of the layer's
    weights. A transposed convolution is one of x with zeros between its elements, the kernel
    turned round. Batch and sizes are those of x, not of the geometry.
    """
    rank = len(geometry.kernel)
    strides = (1,) * rank if geometry.transposed else geometry.strides
    padded = _stuffed(x, geometry) if geometry.transposed else _padded(x, geometry.pads)
    extents = tuple(
        d * (k - 1) + 1 for d, k in zip(geometry.dilations, geometry.kernel, strict=True)
    )
    view = sliding_window_view(padded, extents, axis=tuple(range(2, 2 + rank)))
    places = tuple(slice(None, None, step) for step in strides)
    taps = tuple(slice(None, None, step) for step in geometry.dilations)
    view = view[(slice(None), slice(None), *places, *taps)]
    if geometry.transposed:
        view = np.flip(view, tuple(range(2 + rank, 2 + 2 * rank)))
    return np.moveaxis(view, 1, 1 + rank)


def sampled(total: int, most: int, seed: int = 0) -> Ints:
    """The places of at most so many windows of all: one in each of as many equal parts."""
    if total <= most:
        return np.arange(total)
    bounds = np.arange(most + 1) * total // most
    shares = np.random.default_rng(seed).random(most)
    return bounds[:-1] + (shares * np.diff(bounds)).astype(np.int64)


def _padded(x: Array, pads: tuple[tuple[int, int], ...]) -> Array:
    """x with zeros around it, or without what a negative pad cuts off."""
    if not any(map(any, pads)):
        return x
    around = [(max(before, 0), max(after, 0)) for before, after in pads]
    wide = np.pad(x, [(0, 0), (0, 0), *around])
    cuts = [slice(max(-before, 0), -max(-after, 0) or None) for before, after in pads]
    return wide[(slice(None), slice(None), *cuts)]


def _stuffed(x: Array, geometry: Geometry) -> Array:
    """x with stride − 1 zeros between its elements, padded for a kernel that is turned round."""
    sizes = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], geometry.strides, strict=True)]
    stuffed = np.zeros((*x.shape[:2], *sizes), x.dtype)
    steps = tuple(slice(None, None, step) for step in geometry.strides)
    stuffed[(slice(None), slice(None), *steps)] = x
    more = geometry.output_padding or (0,) * len(sizes)
    reach = [d * (k - 1) for d, k in zip(geometry.dilations, geometry.kernel, strict=True)]
    pads = tuple(
        (r - before, r - after + extra)
        for r, (before, after), extra in zip(reach, geometry.pads, more, strict=True)
    )
    return _padded(stuffed, pads)
