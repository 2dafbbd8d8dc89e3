"""Activations as the engines read them: integers in range, and where each window finds its own."""

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError
from esnsim.model.network import Geometry
from esnsim.quantization.quantizer import QuantizedLayer

Ints = NDArray[np.int64]


def check_activations(
    layer: QuantizedLayer, x: NDArray[Any], bits: int, signed: bool, zero_point: int
) -> None:
    """Raise UsageError unless x is (batch, C, *input_size) of integers of `bits` bits.

    Its batch is a multiple of the layer's, which is that of one image.
    """
    shape = (len(layer.layer.channels), *layer.layer.geometry.input_size)
    if x.shape[1:] != shape or not len(x):
        raise UsageError(
            f"layer '{layer.layer.name}' needs activations of shape (batch, "
            f"{', '.join(map(str, shape))}), but got {x.shape}"
        )
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if x.dtype.kind not in "iu" or x.min() < low or x.max() > high:
        raise UsageError(
            f"layer '{layer.layer.name}' needs integer activations from {low} to {high}: "
            "quantise them first"
        )
    if not low <= zero_point <= high:
        raise UsageError(
            f"layer '{layer.layer.name}' has zero point {zero_point}: it must lie from {low} to "
            f"{high}, as its activations do"
        )
    if len(x) % layer.layer.geometry.rows:
        raise UsageError(
            f"layer '{layer.layer.name}' takes {layer.layer.geometry.rows} rows an image, but got "
            f"{len(x)}: give --input-shape the sizes that the model runs on"
        )


@lru_cache(maxsize=32)
def addresses(geometry: Geometry, batch: int) -> tuple[Ints, Ints]:
    """Pixel of each window's first tap (windows,), and the distance to each tap (taps,).

    The arrays are shared between calls: not to be written to.
    """
    size = [
        n + before + after
        for n, (before, after) in zip(geometry.input_size, geometry.pads, strict=True)
    ]
    pitch = [prod(size[axis + 1 :]) for axis in range(len(size))]
    base = np.arange(batch, dtype=np.int64) * prod(size)
    for n, stride, step in zip(geometry.output_size, geometry.strides, pitch, strict=True):
        base = base[..., None] + np.arange(n) * stride * step
    offsets = np.zeros(1, np.int64)
    for k, dilation, step in zip(geometry.kernel, geometry.dilations, pitch, strict=True):
        offsets = (offsets[:, None] + np.arange(k) * dilation * step).ravel()
    return base.ravel(), offsets


def padded_pixels(
    geometry: Geometry, x: NDArray[Any], zero_point: int, channels: tuple[Ints, ...]
) -> NDArray[np.int32]:
    """(G, C, pixels): padded live channels of each group, C filled up to whole octets of zeros."""
    pads = [(max(0, before), max(0, after)) for before, after in geometry.pads]
    padded = x
    if any(map(any, pads)):
        padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=zero_point)
    crop = [
        slice(max(0, -before), n - max(0, -after))
        for n, (before, after) in zip(padded.shape[2:], geometry.pads, strict=True)
    ]
    inside = padded[:, :, *crop].swapaxes(0, 1)
    grouped = inside.reshape(len(channels), -1, len(x), prod(inside.shape[2:]))
    widest = max(map(len, channels), default=0) or 1
    out = np.zeros((len(channels), -(-widest // 8) * 8, *grouped.shape[2:]), np.int32)
    if all(len(chosen) == grouped.shape[1] for chosen in channels):
        out[:, :widest] = grouped
    else:
        for group, chosen in enumerate(channels):
            out[group, : len(chosen)] = grouped[group, chosen]
    return out.reshape(*out.shape[:2], -1)
