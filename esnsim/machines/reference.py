"""Integer convolution by NumPy: what the kernels must give, without any of their ideas."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.model.network import Geometry
from esnsim.quantization.quantizer import QuantizedLayer, codes


def integer_convolution(layer: QuantizedLayer, x: NDArray[Any]) -> NDArray[np.int64]:
    """Σ codes · x (batch, M, *output_size) of all channels, in exact integers."""
    q = codes(layer).astype(np.int64)
    q = np.where((layer.sums.width_code > 0).reshape(-1, *[1] * (q.ndim - 1)), q, 0)
    return convolve(x.astype(np.int64), q, layer.layer.geometry)


def convolve(
    x: NDArray[np.int64], weights: NDArray[np.int64], geometry: Geometry
) -> NDArray[np.int64]:
    """x (N, C, *input) by weights (M, C/g, *kernel): a product of matrices for each kernel tap."""
    groups, (filters, fan_in) = geometry.groups, weights.shape[:2]
    matrices = weights.reshape(groups, filters // groups, fan_in, -1)
    image = x.reshape(len(x), groups, fan_in, *geometry.input_size)
    inner = geometry.output_size if geometry.transposed else geometry.input_size
    outer = tuple(
        n + before + after for n, (before, after) in zip(inner, geometry.pads, strict=True)
    )
    inside = tuple(
        slice(before, before + n) for n, (before, _) in zip(inner, geometry.pads, strict=True)
    )
    size = geometry.input_size if geometry.transposed else geometry.output_size
    padded = np.zeros((len(x), groups, fan_in, *outer), np.int64)
    spread = np.zeros((len(x), groups, filters // groups, *outer), np.int64)
    total = np.zeros((len(x), groups, filters // groups, *size), np.int64)
    if not geometry.transposed:
        padded[:, :, :, *inside] = image
    for tap, at in enumerate(np.ndindex(*geometry.kernel)):
        place = tuple(
            slice(i * d, i * d + (n - 1) * s + 1, s)
            for i, d, n, s in zip(at, geometry.dilations, size, geometry.strides, strict=True)
        )
        seen = image if geometry.transposed else padded[:, :, :, *place]
        part = np.einsum("gmc,ngc...->ngm...", matrices[:, :, :, tap], seen)
        if geometry.transposed:
            spread[:, :, :, *place] += part
        else:
            total += part
    y = spread[:, :, :, *inside] if geometry.transposed else total
    return np.ascontiguousarray(y.reshape(len(x), filters, *geometry.output_size))
