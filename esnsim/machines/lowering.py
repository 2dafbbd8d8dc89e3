"""A layer as the array streams it: filters over windows, codes in two's complement."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.model.network import Geometry, Mask
from esnsim.quantization.complement import centre, is_midrise
from esnsim.quantization.quantizer import QuantizedLayer, codes

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """Filters (M', C/g, taps) whose outputs are Σ values·2^shift·x + sums·Σ x over live channels.

    `values` are two's complement of `widths` (M',) bits; `sums` (M',) is what every activation
    adds (the ½ of midrise codes, a zero point). Where `masked` (M',), the activations are summed
    over codes that are not zero, which `nonzero` marks. `live` (G, C/g) are the live channels. A
    transposed convolution has a filter a tap, on the pixels of its input.
    """

    geometry: Geometry
    values: NDArray[Any]
    widths: Ints
    shift: int
    sums: Ints
    masked: Mask
    nonzero: Mask | None
    live: Mask

    @property
    def filters_per_group(self) -> int:
        """Filters of one convolution group."""
        return len(self.values) // self.geometry.groups


def lower(quantized: QuantizedLayer, width_step: int = 1) -> Lowered:
    """The layer's codes as two's complement planes and one shared sum of activations.

    Widths are rounded up to multiples of `width_step`, by copies of the sign.
    """
    layer, sums = quantized.layer, quantized.sums
    q = codes(quantized).reshape(*layer.weight.shape[:2], -1)
    geometry, widths = layer.geometry, -(-sums.width_code // width_step) * width_step
    midrise, masked = is_midrise(layer), needs_mask(quantized)
    if geometry.transposed:
        taps = q.shape[2]
        q = q.transpose(0, 2, 1).reshape(-1, q.shape[1], 1)
        widths, masked = np.repeat(widths, taps), np.repeat(masked, taps)
        geometry = _pointwise(geometry)
    live = quantized.live.reshape(geometry.groups, -1)
    dtype = np.min_scalar_type(-1 << max(int(widths.max(initial=0)) - 1, 0))
    if midrise:  # q = 2k + 1 where it is not 0
        nonzero = (q != 0) if masked.any() else None
        values, constant = q >> 1, np.where((widths > 0) & ~masked, 1, 0)
    else:
        nonzero, constant = None, centre(q, widths, live)
        values = q - constant[:, None, None]
    return Lowered(
        geometry=geometry, values=values.astype(dtype), widths=widths, shift=int(midrise),
        sums=constant, masked=masked, nonzero=nonzero, live=live,
    )  # fmt: skip


def needs_mask(quantized: QuantizedLayer) -> Mask:
    """Filters (M,) with kept zeros, whose codes have no zero: a plane says where they are."""
    sums = quantized.sums
    return (sums.width_code > 0) & (sums.coded < sums.weights) & is_midrise(quantized.layer)


def raise_outputs(quantized: QuantizedLayer, outputs: NDArray[Any]) -> NDArray[Any]:
    """(batch, M', windows) in the layer's output shape; a transposed convolution adds its taps."""
    geometry, filters = quantized.layer.geometry, quantized.layer.filters
    batch = len(outputs)
    if not geometry.transposed:
        return outputs.reshape(batch, filters, *geometry.output_size)
    parts = outputs.reshape(batch, filters, prod(geometry.kernel), *geometry.input_size)
    pads = [(max(0, before), max(0, after)) for before, after in geometry.pads]
    full = [n + a + b for n, (a, b) in zip(geometry.output_size, pads, strict=True)]
    out = np.zeros((batch, filters, *full), outputs.dtype)
    for tap, at in enumerate(np.ndindex(*geometry.kernel)):
        place = tuple(
            slice(i * d + max(0, -p), i * d + max(0, -p) + (n - 1) * s + 1, s)
            for i, d, n, s, (p, _) in zip(
                at,
                geometry.dilations,
                geometry.input_size,
                geometry.strides,
                geometry.pads,
                strict=True,
            )
        )
        out[:, :, *place] += parts[:, :, tap]
    crop = tuple(slice(a, a + n) for n, (a, _) in zip(geometry.output_size, pads, strict=True))
    return np.ascontiguousarray(out[:, :, *crop])


def codes_of(lowered: Lowered) -> NDArray[np.int32]:
    """The codes (M', C/g, taps) again, in units of the output; of live channels only."""
    codes = lowered.values.astype(np.int32) << lowered.shift
    codes += lowered.sums[:, None, None].astype(np.int32)
    if lowered.nonzero is not None:
        codes += lowered.nonzero & lowered.masked[:, None, None]
    return codes


def ones_of(lowered: Lowered) -> NDArray[np.uint8]:
    """How many of the bits that stand for a weight are 1 (M', C/g, taps), its mask among them."""
    bits = lowered.values.view(np.dtype(f"u{lowered.values.itemsize}"))
    ones: NDArray[np.uint8] = np.bitwise_count(
        bits & ((1 << lowered.widths) - 1).astype(bits.dtype)[:, None, None]
    )
    if lowered.nonzero is not None:
        ones += lowered.nonzero & lowered.masked[:, None, None]
    return ones


def live_rows(lowered: Lowered, values: NDArray[Any], channels: tuple[Ints, ...]) -> NDArray[Any]:
    """(M', taps, C): values (M', C/g, taps) of a group's live `channels`, zeros up to the most."""
    filters, fan_in, taps = values.shape
    if all(len(chosen) == fan_in for chosen in channels):
        return values.transpose(0, 2, 1)
    size = lowered.filters_per_group
    out = np.zeros((filters, taps, max(map(len, channels)) or 1), values.dtype)
    for group, chosen in enumerate(channels):
        rows = slice(group * size, (group + 1) * size)
        out[rows, :, : len(chosen)] = values[rows][:, chosen].transpose(0, 2, 1)
    return out


def ones_by_row(lowered: Lowered, channels: tuple[Ints, ...]) -> Ints:
    """How many bits of a group's weights are 1 at each live row (G, taps, C)."""
    ones = live_rows(lowered, ones_of(lowered), channels)
    grouped = ones.reshape(len(channels), -1, *ones.shape[1:])
    return np.asarray(grouped.sum(axis=1, dtype=np.int64))


def weight_sums(lowered: Lowered) -> Ints:
    """Σ of each filter's codes (M',) over live channels, in units of the output."""
    seen = np.repeat(lowered.live, lowered.filters_per_group, axis=0)[:, :, None]
    return np.asarray(codes_of(lowered).sum(axis=(1, 2), dtype=np.int64, where=seen))


def _pointwise(geometry: Geometry) -> Geometry:
    rank = len(geometry.input_size)
    ones, none = (1,) * rank, ((0, 0),) * rank
    size = geometry.input_size
    return Geometry(geometry.rows, size, ones, ones, ones, none, geometry.groups)
