"""The analog crossbar: partial sums of arrays of cells, converted, shifted and added.

The walk goes over the arrays that hold a layer: row tiles of the reduction, column tiles of the
weight slices. All input slices of a block of windows stand side by side as lanes. The loop that
sums up an array also counts its reads. Whole numbers are summed up in words of two rows, what has
errors in floats. Sums of indices are unsigned, as in planes.py.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, uint64
from numba.extending import overload
from numpy.typing import NDArray

from esnsim_kernels import vectors
from esnsim_kernels.vectors import PANEL, QUAD

__all__ = ["Columns", "Inputs", "Memory", "walk"]

NOTHING = np.zeros(QUAD, np.int32)
OPTIONS = {"nogil": True, "error_model": "numpy"}


class Inputs(NamedTuple):
    """Activations, the first channels[g] of values (G, C, pixels) int32, not negative.

    `base` (windows,) and `offsets` (taps,) find a window's pixels; an activation is driven in
    `slices` of `bits`.
    """

    values: NDArray[np.int32]
    channels: NDArray[np.int64]
    base: NDArray[np.int64]
    offsets: NDArray[np.int64]
    slices: int
    bits: int


class Columns(NamedTuple):
    """Columns in quads, cells (Q, 4, K), and what they add to which filters: all (Q, 4).

    Those of filter −1 are no columns. Tile t has the quads from tile_quads[t] to tile_quads[t + 1],
    group g the tiles from group_tiles[g] to group_tiles[g + 1]. A column `flipped` (Q, 4, row
    tiles) in an array holds there `full` less what it stands for.
    """

    cells: NDArray[Any]
    filters: NDArray[np.int64]
    scales: NDArray[np.float64]
    shared: NDArray[np.float64]
    group_tiles: NDArray[np.int64]
    tile_quads: NDArray[np.int64]
    flipped: NDArray[np.bool_]
    full: float


@njit(nogil=True, error_model="numpy")
def drive_floats(values, channels, base, offsets, k, used, slices, bits, block, total):
    """block[row, s·n + v] = slice s of what window v of n drives on row k + row of the reduction.

    Row k is channel k % channels at tap k // channels. total[v] = Σ of the whole activations.
    """
    n, mask = len(total), (np.int64(1) << bits) - 1
    total[:] = 0
    for row in range(used):
        channel, offset = (k + row) % channels, offsets[(k + row) // channels]
        for v in range(len(base)):
            total[v] += values[channel, np.uint64(base[v] + offset)]
        for s in range(slices):
            shift, start = s * bits, np.uint64(s * n)
            for v in range(np.uint64(len(base))):
                value = np.int64(values[channel, np.uint64(base[v] + offset)])
                block[row, start + v] = (value >> shift) & mask


@njit(nogil=True, error_model="numpy", fastmath={"contract"})
def multiply(cells, rows, block, sums):
    """sums[i, lane] = Σ_row cells[i, row] · block[row, lane] for the four columns i."""
    lanes = block.shape[1]
    for i in range(4):
        for v in range(lanes):
            sums[i, v] = 0
    k = 0
    while k + 4 <= rows:
        a0, a1, a2, a3 = cells[0, k], cells[0, k + 1], cells[0, k + 2], cells[0, k + 3]
        b0, b1, b2, b3 = cells[1, k], cells[1, k + 1], cells[1, k + 2], cells[1, k + 3]
        c0, c1, c2, c3 = cells[2, k], cells[2, k + 1], cells[2, k + 2], cells[2, k + 3]
        d0, d1, d2, d3 = cells[3, k], cells[3, k + 1], cells[3, k + 2], cells[3, k + 3]
        for v in range(lanes):
            x0, x1, x2, x3 = block[k, v], block[k + 1, v], block[k + 2, v], block[k + 3, v]
            sums[0, v] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
            sums[1, v] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
            sums[2, v] += c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
            sums[3, v] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
        k += 4
    while k < rows:
        for i in range(4):
            for v in range(lanes):
                sums[i, v] += cells[i, k] * block[k, v]
        k += 1


@njit(nogil=True, error_model="numpy")
def meet_floats(cells, k, used, block, quad, sums):
    """Sums of the cells (4, K) from row k on, whose copies in quad (4, rows) lie closer."""
    for i in range(QUAD):
        for row in range(used):
            quad[i, row] = cells[i, k + row]
    multiply(quad, used, block, sums)


@njit(nogil=True, error_model="numpy")
def drive_whole(values, channels, base, offsets, k, used, slices, bits, block, total):
    """As `drive_floats`, two rows to a word and lanes in panels: block[panel, row // 2, lane]."""
    n, mask = len(total), np.int32((1 << bits) - 1)
    lanes = np.zeros(block.shape[0] * PANEL, np.int32)
    low, high = np.zeros(n, np.int32), np.zeros(n, np.int32)
    total[:] = 0
    for row in range(0, used, 2):
        look(values, channels, base, offsets, k + row, low, total)
        if row + 1 < used:
            look(values, channels, base, offsets, k + row + 1, high, total)
        else:
            high[:] = 0
        for s in range(slices):
            line, shift = lanes[s * n :], np.int32(s * bits)
            for v in range(uint64(n)):
                line[v] = (low[v] >> shift & mask) | (high[v] >> shift & mask) << np.int32(16)
        for panel in range(uint64(len(block))):
            for lane in range(uint64(PANEL)):
                block[panel, uint64(row // 2), lane] = lanes[panel * uint64(PANEL) + lane]


@njit(nogil=True, error_model="numpy")
def look(values, channels, base, offsets, k, seen, total):
    """What windows see at row k of the reduction, to seen, and added to total."""
    channel, offset = k % channels, offsets[k // channels]
    for v in range(uint64(len(base))):
        seen[v] = values[channel, uint64(base[v] + offset)]
        total[v] += seen[v]


@njit(nogil=True, error_model="numpy")
def meet_whole(cells, k, used, block, quad, sums):
    """As `meet_floats`, two rows to a word in quad (rows, 4)."""
    pairs = (used + 1) // 2
    for row in range(0, used, 2):
        for i in range(QUAD):
            high = np.int32(cells[i, k + row + 1]) << 16 if row + 1 < used else np.int32(0)
            quad[row // 2, i] = np.int32(cells[i, k + row]) & 0xFFFF | high
    for panel in range(len(block)):
        vectors.multiply(quad[:pairs], block[panel], NOTHING, sums, panel * PANEL)


@njit(nogil=True, error_model="numpy")
def noise_of(block, rows, sigma, spread):
    """spread[lane] = σ·√(Σ x²) of a block of floats: a sum's noise, of products that have σ·x."""
    spread[:], driven = 0, block.ravel()
    for row in range(rows):
        for lane in range(len(spread)):
            x = driven[row * len(spread) + lane]
            spread[lane] += x * x
    for lane in range(len(spread)):
        spread[lane] = sigma * np.sqrt(spread[lane])


@njit(nogil=True, error_model="numpy")
def disturb(sums, spread, rng):
    """Add normal noise of σ spread[lane] to sums[i, lane]."""
    for i in range(len(sums)):
        for lane in range(len(spread)):
            sums[i, lane] += spread[lane] * rng.standard_normal()


@njit(nogil=True, error_model="numpy")
def convert(sums, grid, out):
    """Values, in 1/unit, of the codes first … last next to the sums; without codes the sums.

    The value of a code is shift + code·step. Quotients of integers below 2^52 do not round
    to a tie unless they are one.
    """
    step, unit, shift, first, last = grid
    if first > last:
        out[:] = sums
    elif step == 1 and unit == 1 and shift == 0:
        for lane in range(len(sums)):
            out[lane] = min(max(np.rint(np.float64(sums[lane])), first), last)
    else:
        for lane in range(len(sums)):
            code = np.rint((np.float64(sums[lane]) * unit - shift) / step)
            out[lane] = shift + min(max(code, first), last) * step


@njit(nogil=True, error_model="numpy")
def tally(sums, slices, n, here, grid, histogram):
    """Count each sum at its code."""
    step, unit, shift, first, last = grid
    for s in range(slices):
        for v in range(here):
            code = np.rint((np.float64(sums[s * n + v]) * unit - shift) / step)
            histogram[np.int64(min(max(code, first), last)) - first] += 1


@njit(nogil=True, error_model="numpy")
def add(analog, total, slices, bits, scale, shared, out):
    """Shift and add the sums of the input slices, and what the activations add to all filters."""
    n = len(total)
    for s in range(slices):
        weight, start = scale * (np.int64(1) << (s * bits)), np.uint64(s * n)
        for v in range(np.uint64(len(out))):
            out[v] += weight * analog[start + v]
    if shared != 0:
        for v in range(len(out)):
            out[v] += shared * total[v]


@njit(nogil=True, error_model="numpy")
def roles(columns, q, i, array):
    """What the column's sums, and the activations, count in an array: Σ v·x = full·Σ x − Σ w·x
    where it is inverted, w = full − v.
    """
    scale, shared = columns.scales[q, i], columns.shared[q, i]
    if columns.flipped[q, i, array]:
        return -scale, shared + columns.full * scale
    return scale, shared


class Memory(NamedTuple):
    """Working memory: what lanes drive, copies of four columns, and sums (4, lanes).

    Of whole numbers block is (panels, ⌈rows/2⌉, PANEL) and quad (⌈rows/2⌉, 4), all int32; else
    they are (rows, lanes) and (4, rows) of floats.
    """

    block: NDArray[Any]
    quad: NDArray[Any]
    sums: NDArray[Any]


def drive(values, channels, base, offsets, k, used, slices, bits, block, total):
    """`drive_whole` or `drive_floats`, as the block is for."""


def meet(cells, k, used, block, quad, sums):
    """`meet_whole` or `meet_floats`, as the block is for."""


@overload(drive, jit_options=OPTIONS)
def choose_drive(values, channels, base, offsets, k, used, slices, bits, block, total):
    """The function for these types."""
    return (drive_whole if block.ndim == 3 else drive_floats).py_func


@overload(meet, jit_options=OPTIONS)
def choose_meet(cells, k, used, block, quad, sums):
    """The function for these types."""
    return (meet_whole if block.ndim == 3 else meet_floats).py_func


@njit(cache=True, nogil=True, error_model="numpy")
def walk(inputs, columns, rows, windows, converter, sigma, rng, memory, out, reads, histogram):
    """Run windows (first, last, n at most) of a layer on all arrays, of `rows`, that hold it.

    A column adds scales times its converted sums, each shifted by its input slice, and shared
    times the activations, to out[filters, window] float64. converter = (step, unit, shift,
    first, last, whether step and shift are to be taken times the rows in use), see convert;
    sigma is the read noise of a product. reads[t, r] int64 counts the reads of the array at
    column tile t and row tile r. If histogram has elements, it counts the sums at each code,
    and that is all.
    """
    first, last, n = windows
    slices, bits = inputs.slices, inputs.bits
    block, quad, sums = memory
    lanes = sums.shape[1]
    spread, analog, total = np.zeros(lanes), np.empty(lanes), np.empty(n, np.int64)
    step, unit, shift, lowest, highest, per_row = converter
    for group in range(len(inputs.channels)):
        channels = inputs.channels[group]
        length = len(inputs.offsets) * channels
        for k in range(0, length, rows):
            used = min(rows, length - k)
            times = used if per_row else 1
            grid = step * times, unit, shift * times, lowest, highest
            drive(
                inputs.values[group], channels, inputs.base[first:last], inputs.offsets, k,
                used, slices, bits, block, total,
            )  # fmt: skip
            if sigma > 0:
                noise_of(block, used, sigma, spread)
            for tile in range(columns.group_tiles[group], columns.group_tiles[group + 1]):
                reads[tile, k // rows] += slices * (last - first)
                for q in range(columns.tile_quads[tile], columns.tile_quads[tile + 1]):
                    meet(columns.cells[q], k, used, block, quad, sums)
                    if sigma > 0:
                        disturb(sums, spread, rng)
                    for i in range(QUAD):
                        filter = columns.filters[q, i]
                        if filter < 0:
                            continue
                        if len(histogram) > 0:
                            tally(sums[i], slices, n, last - first, grid, histogram)
                            continue
                        convert(sums[i], grid, analog)
                        scale, shared = roles(columns, q, i, k // rows)
                        windows_of = out[filter, first:last]
                        add(analog, total, slices, bits, scale / unit, shared, windows_of)
