"""A layer on an array: the planes that its passes stream, and what they take."""

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from esnsim_kernels import bitserial, planes
from numpy.typing import NDArray

from esnsim.machines.array.counts import Counts, count
from esnsim.machines.array.schedule import Passes, schedule
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.lowering import Lowered, lower, weight_sums
from esnsim.model.network import Geometry
from esnsim.quantization.quantizer import QuantizedLayer

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

WASTE = 1.25  # how many times more words channel-wise packing may need than patch-wise
WORD = 64  # bits
CHUNK = 255  # planes whose 1 bits a byte can count


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A layer scheduled on an array, a row holding as many planes as its units multiply at once.

    `channels` are the live channels of each group; `packed` says whether words hold the channels of
    one pixel, or a patch of (tap, channel). `ones` (G, T, W) are the bit planes of how many weight
    bits of a group are 1 at each place, and `one_bits` how many in all. `weight_sums` (M',) are of
    codes, in units of the output, and `largest` is at least an output of activations of magnitude
    1. `counts` are those of an image.
    """

    geometry: Geometry
    channels: tuple[Ints, ...]
    packed: bool
    filters: bitserial.Filters
    ones: Words
    one_bits: int
    weight_sums: Ints
    largest: int
    counts: Counts


def program_of(layer: QuantizedLayer, spec: ArraySpec) -> Program:
    """Schedule a layer and pack its planes."""
    lowered = lower(layer, spec.width_step)
    channels = tuple(np.flatnonzero(mask) for mask in lowered.live)
    taps, widest = lowered.values.shape[2], max(map(len, channels), default=0) or 1
    packed = taps * -(-widest // WORD) <= WASTE * -(-taps * widest // WORD)
    parts = _schedules(lowered, spec)
    filters, bits = _streamed(parts, lowered.filters_per_group, spec.width_step)
    words = _plane_words(lowered, channels, packed, filters, bits)
    groups = np.arange(len(lowered.values)) // lowered.filters_per_group
    reductions = [taps * len(chosen) for chosen in channels]
    sizes = zip(parts, reductions, strict=True)
    counts = (count(part, spec, length, lowered.geometry.windows) for part, length in sizes)
    most = layer.sums.weights * (layer.sums.largest_x2 >> 1 - lowered.shift)
    return Program(
        geometry=lowered.geometry,
        channels=channels,
        packed=packed,
        ones=count_ones(words, groups[filters], len(channels)),
        one_bits=int(np.bitwise_count(words).sum()),
        weight_sums=weight_sums(lowered),
        filters=_offset(lowered, words, filters, bits, groups),
        largest=int(most.max(initial=0)),
        counts=reduce(add, counts),
    )


def _schedules(lowered: Lowered, spec: ArraySpec) -> list[Passes]:
    """The passes of each group, whose filters are counted from 0."""
    widths = (lowered.widths // spec.width_step).reshape(len(lowered.live), -1)
    masked = lowered.masked.reshape(len(lowered.live), -1)
    return [
        schedule(spec.schedule, *group, spec.rows) for group in zip(widths, masked, strict=True)
    ]


def _streamed(parts: list[Passes], size: int, unit_bits: int) -> tuple[Ints, Ints]:
    """Filters and bits of all planes that passes stream, a mask being bit −1, filter by filter.

    Sums do not depend on the order in which planes come, and so a filter's stand side by side.
    """
    filters = np.concatenate([part.filters + g * size for g, part in enumerate(parts)])
    slices = np.concatenate([part.bits for part in parts])
    copies = np.where(slices < 0, 1, unit_bits)
    offsets = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    first = np.where(slices < 0, -1, slices * unit_bits)
    filters, bits = np.repeat(filters, copies), np.repeat(first, copies) + offsets
    order = np.lexsort((bits, filters))
    return filters[order], bits[order]


def _offset(
    lowered: Lowered, words: Words, filters: Ints, bits: Ints, groups: Ints
) -> bitserial.Filters:
    """Planes that all add: without their top bits, values of b bits are 2^(b−1) more.

    A mask is the plane below those of a midrise code.
    """
    top = bits == lowered.widths[filters] - 1
    words[top] ^= ~np.uint64(0)  # bits where no activation is count for nothing
    starts = np.searchsorted(filters, np.arange(len(lowered.values) + 1))
    first = np.where(lowered.masked, 0, lowered.shift)
    half = np.where(lowered.widths, 1 << lowered.shift + lowered.widths >> 1, 0)
    return bitserial.Filters(words, starts, first, lowered.sums - half, groups)


def count_ones(words: Words, groups: Ints, number: int) -> Words:
    """Bit planes (G, T, W) of how many words (P, W) of a group have a 1 at each place."""
    sums = np.zeros((number, words.shape[1] * WORD), np.int64)
    for g in range(number):
        mine = words[groups == g].view(np.uint8)
        for start in range(0, len(mine), CHUNK):
            bits = np.unpackbits(mine[start : start + CHUNK], axis=1, bitorder="little")
            sums[g] += bits.sum(axis=0, dtype=np.uint8)
    cut = sums[:, None] >> np.arange(int(sums.max(initial=0)).bit_length())[:, None] & 1
    return np.packbits(cut, axis=2, bitorder="little").view(np.uint64)


def _plane_words(
    lowered: Lowered, channels: tuple[Ints, ...], packed: bool, filters: Ints, bits: Ints
) -> Words:
    """Words (P, W) of each plane: bit `bits` of a filter, or its mask where that is −1."""
    all_planes = _bit_planes(_flat(lowered, lowered.values, channels, packed))
    words = all_planes[filters, np.maximum(bits, 0)]
    mask = bits < 0
    if lowered.nonzero is not None:
        ones = _bit_planes(_flat(lowered, lowered.nonzero.view(np.int8), channels, packed))
        words[mask] = ones[filters[mask], 0]
    words[filters < 0] = 0
    return words


def _flat(
    lowered: Lowered, values: NDArray[Any], channels: tuple[Ints, ...], packed: bool
) -> NDArray[Any]:
    """(M', bits of the words): values of live channels by (tap, channel), zeros between."""
    filters, fan_in, taps = values.shape
    widest = max(map(len, channels), default=0) or 1
    slots = -(-widest // WORD) * WORD if packed else widest
    out = np.zeros((filters, -(-taps * slots // WORD) * WORD), values.dtype)
    table = out[:, : taps * slots].reshape(filters, taps, slots)
    if all(len(chosen) == fan_in for chosen in channels):
        table[:, :, :fan_in] = values.transpose(0, 2, 1)
        return out
    size = lowered.filters_per_group
    for group, chosen in enumerate(channels):
        rows = slice(group * size, (group + 1) * size)
        table[rows, :, : len(chosen)] = values[rows][:, chosen].transpose(0, 2, 1)
    return out


def _bit_planes(flat: NDArray[Any]) -> Words:
    """(M', bits, words) of integers (M', K) of 8, 16 or 32 bits."""
    filters = len(flat)
    octets = flat.view(np.uint8).reshape(filters, -1, flat.itemsize)
    parts = []
    for byte in range(flat.itemsize):
        rows = np.ascontiguousarray(octets[:, :, byte]).view(np.uint64)
        out = np.empty((filters, 8, rows.shape[1]), np.uint8)
        planes.pack_rows(rows, out)
        parts.append(out.view(np.uint64))
    return np.concatenate(parts, axis=1)
