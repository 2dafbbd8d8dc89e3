"""A layer programmed into crossbars: weight slices in columns, columns in arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from esnsim_kernels import crossbar as kernel
from numpy.typing import NDArray

from esnsim.machines.crossbar import amplitude
from esnsim.machines.crossbar.device import Device
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.machines.lowering import Lowered, codes_of, lower
from esnsim.quantization.filter_sums import bit_length
from esnsim.quantization.quantizer import QuantizedLayer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

QUAD = 4  # columns that the kernel takes at once


@dataclass(frozen=True, slots=True)
class Stored:
    """What the cells of each filter (M',) hold, before it is cut into slices.

    Outputs are Σ values·unit·x + shared·Σ x; `values` (M', C/g, taps) have `bits` (M',) without
    their sign.
    """

    values: NDArray[Any]
    bits: Ints
    unit: Ints
    shared: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Columns in order (P,): which filter owns each, and which of its slices it holds.

    The columns of tile t begin at tile_starts[t], the tiles of group g at group_tiles[g]. Four
    columns make a quad, of which tile t has those from tile_quads[t] on; `slots` (P,) are the
    places of the columns in quads.
    """

    owner: Ints
    place: Ints
    slots: Ints
    tile_groups: Ints
    tile_starts: Ints
    tile_quads: Ints
    group_tiles: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossbar:
    """A layer in cells, columns over the reduction; `channels` are the live ones of each group.

    `amplitude` is Σ |2·W|^p of each array, by column tile and row tile; None without an exponent.
    `lossless` are the bits of the least converter that tells all sums of its columns apart.
    """

    lowered: Lowered
    channels: tuple[Ints, ...]
    device: Device
    layout: Layout
    columns: kernel.Columns
    amplitude: list[list[float]] | None
    lossless: int

    @property
    def rows(self) -> Ints:
        """Rows in use of the array at column tile t and row tile r: (T, R)."""
        lengths = self.lowered.values.shape[2] * np.array([len(chosen) for chosen in self.channels])
        starts = np.arange(0, self.columns.cells.shape[2], self.device.spec.rows)
        left = lengths[self.layout.tile_groups][:, None] - starts
        return np.asarray(np.clip(left, 0, self.device.spec.rows))

    @property
    def most_rows(self) -> int:
        """Rows of an array that the layer can use."""
        return max(1, min(self.device.spec.rows, int(self.columns.cells.shape[2])))

    @property
    def limit(self) -> float:
        """The largest sum of an array, in steps of a cell at an input of 1."""
        return self.most_rows * self.device.product


def stored(layer: QuantizedLayer, lowered: Lowered, sign: str) -> Stored:
    """Magnitudes and signs of codes for pairs of cells, or codes with an offset that has no sign.

    With an offset midrise codes q = 2k + 1 are stored as k + 2^(b−1). Where some are kept zeros
    they are q + 2^b instead, which takes a bit more.
    """
    one = np.ones_like(lowered.widths)
    if sign == "differential":
        bits = bit_length(layer.sums.largest_x2 >> 1 - lowered.shift)
        return Stored(codes_of(lowered), np.repeat(bits, _parts(layer, lowered)), one, 0 * one)
    bits = lowered.widths + lowered.masked
    half = (one << bits) >> 1
    unit = np.where(lowered.masked, 1, 1 << lowered.shift)
    values = lowered.values.astype(np.int32)
    if lowered.masked.any():
        values[lowered.masked] = codes_of(lowered)[lowered.masked]
    values += half[:, None, None].astype(np.int32)
    return Stored(values, bits, unit, lowered.sums - unit * half)


def _parts(layer: QuantizedLayer, lowered: Lowered) -> int:
    """Into how many filters, one a tap, each filter of a transposed convolution was cut."""
    return len(lowered.values) // layer.layer.filters


def lay_out(slices: Ints, groups: int, per_array: int) -> Layout:
    """The slices of each filter (M',) side by side, each group in arrays of its own."""
    owner = np.repeat(np.arange(len(slices)), slices)
    place = np.arange(len(owner)) - np.repeat(_starts(slices)[:-1], slices)
    per_group = slices.reshape(groups, -1).sum(axis=1)
    group_tiles = _starts(-(-per_group // per_array))
    tile_groups = np.repeat(np.arange(groups), np.diff(group_tiles))
    before = np.arange(len(tile_groups)) - group_tiles[tile_groups]
    columns = np.minimum(per_array, per_group[tile_groups] - before * per_array)
    tile_starts, tile_quads = _starts(columns), _starts(-(-columns // QUAD))
    slots = np.repeat(QUAD * tile_quads[:-1] - tile_starts[:-1], columns) + np.arange(len(owner))
    return Layout(
        owner=owner,
        place=place,
        slots=slots,
        tile_groups=tile_groups,
        tile_starts=tile_starts,
        tile_quads=tile_quads,
        group_tiles=group_tiles,
    )


def program(layer: QuantizedLayer, spec: CrossbarSpec, rng: np.random.Generator) -> Crossbar:
    """Cut a layer's weights into slices, lay them out over arrays, and write them with errors."""
    lowered = lower(layer)
    what = stored(layer, lowered, spec.sign)
    device = Device(spec, spec.bits_per_cell or max(1, int(what.bits.max(initial=0))))
    slices = -(-what.bits // device.bits)
    layout = lay_out(slices, len(lowered.live), spec.columns // spec.cells_per_weight)
    channels = tuple(np.flatnonzero(mask) for mask in lowered.live)
    longest = lowered.values.shape[2] * max(map(len, channels))
    size = QUAD * layout.tile_quads[-1]
    cells = np.zeros((size, longest), device.dtype)
    flipped = np.zeros((size, -(-longest // spec.rows)), np.bool_)
    tops, powers, most = np.zeros(len(layout.owner), np.int64), [], 0
    for tile, group in enumerate(layout.tile_groups):
        here = slice(*layout.tile_starts[tile : tile + 2])
        flat = what.values[layout.owner[here]][:, channels[group]].swapaxes(1, 2)
        digits = _digits(flat.reshape(len(flat), -1), layout.place[here], device.bits)
        if spec.flip:
            digits, turned = flip(digits, spec.rows, device.full)
            flipped[layout.slots[here], : turned.shape[1]] = turned
        cells[layout.slots[here], : digits.shape[1]] = device.write(digits, rng)
        tops[here] = np.abs(digits).max(axis=1)
        most = max(most, _largest_sum(digits, spec.rows))
        if spec.exponent is not None:
            powers.append(amplitude.powers(digits, spec))
    priced = None
    if spec.exponent is not None:
        units = (2 >> lowered.shift) * what.unit[layout.owner]
        scope = layout.owner // _parts(layer, lowered)
        priced = amplitude.of_arrays(powers, tops, units, scope, spec)
    columns = _columns(cells, flipped, what, layout, device)
    return Crossbar(
        lowered=lowered,
        channels=channels,
        device=device,
        layout=layout,
        columns=columns,
        amplitude=priced,
        lossless=_lossless_bits(most * ((1 << spec.input_bits) - 1), spec),
    )


def flip(cells: NDArray[Any], rows: int, full: int) -> tuple[NDArray[Any], Mask]:
    """Cells (…, K) as they are written, and which columns of each array (…, arrays) are inverted:
    those that sum to more than half of what `full` cells would.
    """
    arrays = _arrays(cells, rows)
    used = np.minimum(rows, cells.shape[-1] - rows * np.arange(arrays.shape[-2]))
    inverted = 2 * arrays.sum(axis=-1, dtype=np.int64) > full * used
    written = np.where(inverted[..., None], full - arrays, arrays)
    return written.reshape(*cells.shape[:-1], -1)[..., : cells.shape[-1]], inverted


def _arrays(cells: NDArray[Any], rows: int) -> NDArray[Any]:
    """Cells (…, K) by array (…, arrays, rows), zeros where the last is not full."""
    fill = [(0, 0)] * (cells.ndim - 1) + [(0, -cells.shape[-1] % rows)]
    return np.pad(cells, fill).reshape(*cells.shape[:-1], -1, rows)


def _largest_sum(cells: NDArray[Any], rows: int) -> int:
    """The largest sum of the cells of either sign in a column of an array, of cells (…, K)."""
    arrays = _arrays(cells, rows)
    signs = (np.maximum(sign * arrays, 0).sum(axis=-1, dtype=np.int64) for sign in (1, -1))
    return max(int(sums.max(initial=0)) for sums in signs)


def _lossless_bits(most: int, spec: CrossbarSpec) -> int:
    """Bits of the codes from 0, or of pairs from −most, to most; 1 at least."""
    return max(1, most.bit_length() + (spec.sign == "differential"))


def _digits(values: NDArray[np.int32], place: Ints, bits: int) -> NDArray[np.int32]:
    """Slice `place` (P,) of each row's magnitudes, `bits` bits wide, with the sign of the value."""
    shift = (bits * place).astype(np.int32)[:, None]
    out: NDArray[np.int32] = np.sign(values) * (np.abs(values) >> shift & (1 << bits) - 1)
    return out


def _columns(
    cells: NDArray[Any], flipped: Mask, what: Stored, layout: Layout, device: Device
) -> kernel.Columns:
    """Columns of cells with what they add to which filters."""
    size, full = len(cells), device.full + 0.0
    filters, scales, shared = np.full(size, -1), np.zeros(size), np.zeros(size)
    filters[layout.slots] = layout.owner
    scales[layout.slots] = what.unit[layout.owner] * np.exp2(device.bits * layout.place)
    shared[layout.slots] = np.where(layout.place == 0, what.shared[layout.owner], 0)
    if device.leaks:
        shared -= device.residual * scales
        full += 2 * device.residual  # which an inverted column adds, and does not take away
    *roles, turned = (
        each.reshape(size // QUAD, QUAD, *each.shape[1:])
        for each in (cells, filters, scales, shared, flipped)
    )
    return kernel.Columns(*roles, layout.group_tiles, layout.tile_quads, turned, full)


def _starts(counts: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)])
