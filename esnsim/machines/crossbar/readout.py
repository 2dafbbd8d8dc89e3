"""Activations on the rows of a crossbar, converted sums out of its columns, block by block."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from esnsim_kernels import crossbar as kernel
from numpy.typing import NDArray

from esnsim.machines.crossbar import converters
from esnsim.machines.crossbar.cells import Crossbar
from esnsim.machines.crossbar.converters import Converter
from esnsim.machines.windows import addresses, padded_pixels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LANES = 256  # input slices × windows that the kernel takes at once
VECTOR = 16  # lanes are a multiple of it
EXACT = 1 << 24  # float32 holds all integers up to this
SAMPLE = 8  # blocks that a converter's range is calibrated on
NO_HISTOGRAM = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Readout:
    """A crossbar and the activations that drive it.

    `values` (G, C, pixels) are not negative; `base` (windows,) and `offsets` (taps,) find the
    windows in them.
    """

    crossbar: Crossbar
    values: NDArray[np.int32]
    base: Ints
    offsets: Ints

    @property
    def rows(self) -> int:
        """Rows of an array that the layer can use."""
        return max(1, min(self.crossbar.device.spec.rows, int(self.crossbar.cells.shape[2])))

    @property
    def limit(self) -> float:
        """The largest sum of an array, in steps of a cell at an input of 1."""
        device = self.crossbar.device
        return self.rows * device.reach * ((1 << device.spec.input_bits) - 1)

    @property
    def block(self) -> int:
        """Windows of a block: two blocks at least, for two threads, unless they are tiny."""
        most = max(1, LANES // self.crossbar.device.spec.input_slices)
        return min(len(self.base), most, max(VECTOR, -(-len(self.base) // 2)))

    @property
    def starts(self) -> range:
        """First windows of the blocks."""
        return range(0, len(self.base), self.block)


def readout(crossbar: Crossbar, x: NDArray[Any], zero_point: int, signed: bool) -> Readout:
    """Lay out activations (batch, C, *input_size); signed ones are driven with an offset."""
    lift = signed << crossbar.device.spec.activation_bits - 1
    geometry = crossbar.lowered.geometry
    driven = x.astype(np.int32) + lift
    values = padded_pixels(geometry, driven, zero_point + lift, crossbar.channels)
    return Readout(crossbar, values, *addresses(geometry, len(x)))


def read(
    what: Readout, converter: Converter, rng: np.random.Generator, threads: int
) -> tuple[Floats, Ints]:
    """Outputs (M', windows), and how often each array (T, R) was read.

    Each block has a stream of noise of its own, so that nothing depends on threads.
    """
    out = np.zeros((len(what.crossbar.lowered.values), len(what.base)))
    sigma = what.crossbar.device.read_noise
    streams = rng.spawn(len(what.starts)) if sigma > 0 else [rng] * len(what.starts)
    blocks = list(zip(what.starts, streams, strict=True))
    workers = threads or os.cpu_count() or 1
    cuts = np.linspace(0, len(blocks), min(len(blocks), 4 * workers) + 1).astype(int)

    def run(share: tuple[int, int]) -> Ints:
        return _run(what, blocks[slice(*share)], converter, sigma, out, NO_HISTOGRAM)

    with ThreadPoolExecutor(workers) as pool:
        return out, np.sum(list(pool.map(run, pairwise(cuts.tolist()))), axis=0)


def converter_for(what: Readout) -> Converter:
    """The converter that the columns share; a calibrated range is that of these activations."""
    spec = what.crossbar.device.spec
    if spec.adc_bits is None:
        return converters.IDEAL
    pairs = spec.sign == "differential"
    if spec.adc_range == "granular":
        return converters.granular(spec.adc_bits, pairs)
    low = -what.limit if pairs else 0.0
    if spec.adc_range == "max":
        return converters.spanning(low, what.limit, spec.adc_bits)
    levels = converters.spanning(low, what.limit, converters.HISTOGRAM_BITS)
    return converters.observed(_sums(what, levels), levels, spec.percentile, spec.adc_bits)


def _sums(what: Readout, levels: Converter) -> Ints:
    """How many sums come next to each level, over a sample of blocks, without read noise."""
    histogram = np.zeros(levels.levels + 1, np.int64)
    starts = what.starts[:: -(-len(what.starts) // SAMPLE)]
    silent = np.random.default_rng(0)
    _run(what, [(first, silent) for first in starts], levels, 0.0, np.zeros((0, 0)), histogram)
    return histogram


def _run(
    what: Readout,
    blocks: Sequence[tuple[int, np.random.Generator]],
    converter: Converter,
    sigma: float,
    out: Floats,
    histogram: Ints,
) -> Ints:
    """Run the blocks that begin at these windows; how often each array (T, R) was read."""
    crossbar, spec = what.crossbar, what.crossbar.device.spec
    layout, windows = crossbar.layout, len(what.base)
    reads = np.zeros((len(layout.tile_groups), -(-crossbar.cells.shape[2] // what.rows)), np.int64)
    lanes = -(-spec.input_slices * what.block // VECTOR) * VECTOR
    block = np.zeros((what.rows, lanes), np.float32 if what.limit < EXACT else np.float64)
    channels = np.array([len(chosen) for chosen in crossbar.channels])
    for first, stream in blocks:
        kernel.walk(
            what.values, channels, what.base, what.offsets,
            (first, min(first + what.block, windows), what.block),
            (spec.input_slices, spec.input_bits),
            crossbar.cells, crossbar.filters, crossbar.scales, crossbar.shared,
            layout.group_tiles, layout.tile_quads,
            (converter.low, converter.step, converter.levels),
            sigma, stream, block, out, reads, histogram,
        )  # fmt: skip
    return reads
