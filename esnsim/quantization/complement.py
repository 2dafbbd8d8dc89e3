"""Codes in two's complement of their filters' widths, whose bits machines stream."""

import numpy as np
from numpy.typing import NDArray

from esnsim.model.network import Layer, Mask
from esnsim.quantization.filter_sums import Ints
from esnsim.quantization.quantizer import QuantizedLayer, codes


def is_midrise(layer: Layer) -> bool:
    """Whether codes are odd, q = 2·W_int, and so outputs in units of half a step."""
    return layer.weight.codes is None or layer.weight.codes.midrise


def ones(quantized: QuantizedLayer) -> int:
    """Bits that are 1, of live weights: of k = floor(W/Δ) where codes are midrise, without the ½
    that all have.
    """
    widths, groups = quantized.sums.width_code, quantized.layer.geometry.groups
    q = codes(quantized).reshape(*quantized.layer.weight.shape[:2], -1)
    live = quantized.live.reshape(groups, -1)
    k = q >> 1 if is_midrise(quantized.layer) else q - centre(q, widths, live)[:, None, None]
    bits = np.bitwise_count(k & ((1 << widths) - 1)[:, None, None]).sum(axis=2, dtype=np.int64)
    return int(bits[np.repeat(live, quantized.layer.filters // groups, axis=0)].sum())


def centre(q: NDArray[np.int32], widths: Ints, live: Mask) -> Ints:
    """What to take off codes (M, C/g, taps) that overflow their width (M,) in two's complement: a
    zero point (M,); `live` (G, C/g) are the channels that count.
    """
    seen = np.repeat(live, len(q) // len(live), axis=0)[:, :, None]
    shown = q if live.all() else np.where(seen, q, 0)
    low, high = shown.min(axis=(1, 2)).astype(np.int64), shown.max(axis=(1, 2)).astype(np.int64)
    half = np.int64(1) << np.maximum(widths - 1, 0)
    return np.where((low < -half) | (high >= half), low + half, 0)
