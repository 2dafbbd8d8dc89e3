"""Activations as the engines read them: integers in range, and where each window finds its own."""

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

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
    geometry: Geometry,
    x: NDArray[Any],
    zero_point: int,
    channels: tuple[Ints, ...],
    dtype: DTypeLike = np.int32,
) -> NDArray[Any]:
    """(G, C, pixels): padded live channels of each group, C filled up to whole octets of zeros."""
    size, crop, place = [], [], []
    for n, (before, after) in zip(geometry.input_size, geometry.pads, strict=True):
        start = max(0, -before)  # negative pads may remove the whole input
        size.append(n + before + after)
        crop.append(slice(start, max(start, n + min(0, after))))
        place.append(slice(start + before, crop[-1].stop + before))
    grouped = x.swapaxes(0, 1).reshape(len(channels), -1, len(x), *x.shape[2:])[:, :, :, *crop]
    widest = max(map(len, channels), default=0) or 1
    out = np.zeros((len(channels), -(-widest // 8) * 8, len(x), *size), dtype)
    padding = zero_point if any(max(pad) > 0 for pad in geometry.pads) else 0
    if all(len(chosen) == grouped.shape[1] for chosen in channels):
        if padding:
            out[:, :widest] = padding
        out[:, :widest, :, *place] = grouped
    else:
        for mine, theirs, chosen in zip(out, grouped, channels, strict=True):
            mine[: len(chosen)] = padding
            mine[: len(chosen), :, *place] = theirs[chosen]
    return out.reshape(*out.shape[:2], -1)
