"""A layer scheduled on an array: its bit planes in the order in which they are used."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from esnsim_kernels import bitserial, planes
from numpy.typing import NDArray

from esnsim.machines.array.schedule import Passes, schedule
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.lowering import Lowered

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

WASTE = 1.25  # how many times more words channel-wise packing may need than patch-wise
WORD = 64  # bits
QUAD = 4  # planes that the kernel takes at once


@dataclass(frozen=True, slots=True)
class Program:
    """A layer scheduled on an array, a row holding as many planes as its units multiply at once.

    `channels` are the live channels of each group; `packed` says whether words hold the channels of
    one pixel, or a patch of (tap, channel).
    """

    lowered: Lowered
    channels: tuple[Ints, ...]
    packed: bool
    schedule: bitserial.Schedule


def program_of(lowered: Lowered, spec: ArraySpec) -> Program:
    """Schedule a layer and pack its planes."""
    channels = tuple(np.flatnonzero(mask) for mask in lowered.live)
    taps, widest = lowered.values.shape[2], max(map(len, channels), default=0) or 1
    packed = taps * -(-widest // WORD) <= WASTE * -(-taps * widest // WORD)
    size = lowered.filters_per_group
    parts: list[Passes] = []
    for group in range(len(channels)):
        rows = slice(group * size, (group + 1) * size)
        slices = lowered.widths[rows] // spec.width_step
        parts.append(schedule(spec.schedule, slices, lowered.masked[rows], spec.rows))
    used = np.concatenate([part.used for part in parts])
    mask_passes = np.concatenate([part.mask for part in parts])
    real_planes = np.where(mask_passes, used, used * spec.width_step)
    starts = np.concatenate([[0], np.cumsum(-(-real_planes // QUAD) * QUAD)])
    places = np.arange(real_planes.sum())
    places += np.repeat(starts[:-1] - (np.cumsum(real_planes) - real_planes), real_planes)
    filters, bits = np.full(starts[-1], -1), np.zeros(starts[-1], np.int64)
    taken, taken_bits = _planes(
        np.concatenate([p.filters + g * size for g, p in enumerate(parts)]),
        np.concatenate([p.bits for p in parts]),
        spec.width_step,
    )
    order = _quads_first(taken, np.repeat(np.arange(len(used)), real_planes))
    filters[places], bits[places] = taken[order], taken_bits[order]
    real, mask, top = filters >= 0, bits < 0, bits == lowered.widths[filters] - 1
    planned = bitserial.Schedule(
        words=_plane_words(lowered, channels, packed, filters, bits),
        filters=filters,
        scales=np.left_shift(np.where(top, -1, 1), np.where(mask, 0, bits + lowered.shift)),
        shared=np.where(real & (bits == 0), lowered.sums[filters], 0),
        starts=starts,
        used=used,
        assigned=np.concatenate([part.assigned for part in parts]),
        mask=mask_passes,
        groups=np.repeat(np.arange(len(parts)), [len(part.used) for part in parts]),
    )
    return Program(lowered, channels, packed, planned)


def _planes(filters: Ints, slices: Ints, unit_bits: int) -> tuple[Ints, Ints]:
    """The bit planes of slices of `unit_bits`, masks (−1) being one plane."""
    copies = np.where(slices < 0, 1, unit_bits)
    offset = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    first = np.where(slices < 0, -1, slices * unit_bits)
    return np.repeat(filters, copies), np.repeat(first, copies) + offset


def _quads_first(filters: Ints, passes: Ints) -> Ints:
    """Order of planes that puts four of one filter before what is left over, in each pass."""
    changes = np.diff(filters, prepend=-1).astype(bool) | np.diff(passes, prepend=-1).astype(bool)
    starts = np.flatnonzero(changes)
    lengths = np.diff(np.append(starts, len(filters)))
    rank = np.arange(len(filters)) - np.repeat(starts, lengths)
    left_over = rank >= np.repeat(lengths // QUAD * QUAD, lengths)
    return np.argsort(2 * passes + left_over, kind="stable")


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
    """(M', bits, words) of integers (M', K) of 8 or 16 bits."""
    filters = len(flat)
    octets = flat.view(np.uint8).reshape(filters, -1, flat.itemsize)
    parts = []
    for byte in range(flat.itemsize):
        rows = np.ascontiguousarray(octets[:, :, byte]).view(np.uint64)
        out = np.empty((filters, 8, rows.shape[1]), np.uint8)
        planes.pack_rows(rows, out)
        parts.append(out.view(np.uint64))
    return np.concatenate(parts, axis=1)
