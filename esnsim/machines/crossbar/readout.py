"""Activations on the rows of a crossbar, converted sums out of its columns, block by block."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from esnsim_kernels import crossbar as kernel
from esnsim_kernels.vectors import PANEL, QUAD
from numpy.typing import DTypeLike, NDArray

from esnsim.errors import UsageError
from esnsim.machines.crossbar import converters
from esnsim.machines.crossbar.cells import Crossbar
from esnsim.machines.crossbar.converters import Converter
from esnsim.machines.windows import addresses, padded_pixels
from esnsim.threads import pool, workers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LANES = 256  # input slices × windows that the kernel takes at once
EXACT = 1 << 24  # float32 holds all integers up to this
SAMPLE = 64  # windows of an image that a converter's range is calibrated on
NO_HISTOGRAM = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """A crossbar and the activations that drive it.

    `values` (G, C, pixels) are not negative; `base` (windows,) and `offsets` (taps,) find the
    windows in them. All windows may stand in one block where it is `alone`.
    """

    crossbar: Crossbar
    values: NDArray[np.int32]
    base: Ints
    offsets: Ints
    alone: bool = False

    @property
    def block(self) -> int:
        """Windows of a block: two blocks at least, for two threads, unless alone or tiny."""
        most = max(1, LANES // self.crossbar.device.spec.input_slices)
        least: int = PANEL
        share = len(self.base) if self.alone else -(-len(self.base) // 2)
        return min(len(self.base), most, max(least, share))

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
    base, offsets = addresses(geometry, len(x))
    return Readout(crossbar=crossbar, values=values, base=base, offsets=offsets)


def read(
    what: Readout, converter: Converter, rng: np.random.Generator, threads: int
) -> tuple[Floats, Ints]:
    """Outputs (M', windows), and how often each array (T, R) was read.

    Each block has a stream of noise of its own, so that nothing depends on threads.
    """
    out = np.zeros((len(what.crossbar.lowered.values), len(what.base)))
    sigma = what.crossbar.device.read_noise
    threads = workers(threads)
    what = replace(what, alone=threads == 1 and sigma == 0)
    streams = rng.spawn(len(what.starts)) if sigma > 0 else [rng] * len(what.starts)
    blocks = list(zip(what.starts, streams, strict=True))
    parts = min(len(blocks), 4 * threads) if threads > 1 else 1
    cuts = np.linspace(0, len(blocks), parts + 1).astype(int)

    def run(share: tuple[int, int]) -> Ints:
        return _run(what, blocks[slice(*share)], converter, sigma, out, NO_HISTOGRAM)

    if parts == 1:
        return out, run((0, len(blocks)))
    return out, np.sum(list(pool(threads).map(run, pairwise(cuts.tolist()))), axis=0)


def observe(what: Readout, images: int) -> Ints:
    """How many sums of these activations fall into each of the layer's bins.

    The same SAMPLE windows of every image are read, without read noise: the counts of several
    batches add up to those of all their images.
    """
    counted = converters.bins(what.crossbar.limit)
    histogram = np.zeros(counted.last - counted.first + 1, np.int64)
    base = what.base.reshape(images, -1)
    places = np.random.default_rng(0).permutation(base.shape[1])[:SAMPLE]
    sample = replace(what, base=base[:, places].ravel())
    silent = np.random.default_rng(0)
    blocks = [(first, silent) for first in sample.starts]
    _run(sample, blocks, counted, 0.0, np.zeros((0, 0)), histogram)
    return histogram


def converter_for(crossbar: Crossbar, histogram: Ints | None = None) -> Converter:
    """The converter that the columns share, its range from what was observed if it is calibrated.

    Raises UsageError where that is needed and is not there.
    """
    spec, product = crossbar.device.spec, Fraction(crossbar.device.product)
    if spec.adc_bits is None:
        return converters.IDEAL
    pairs = spec.sign == "differential"
    if isinstance(spec.adc_bits, str):
        return converters.granular(crossbar.lossless, pairs)
    if spec.adc_range == "granular":
        return converters.granular(spec.adc_bits, pairs)
    if spec.adc_range == "max":
        low = -product if pairs else Fraction(0)
        return converters.spanning(low, product, spec.adc_bits, spec.zero_level, per_row=True)
    if histogram is None:
        raise UsageError("a calibrated converter needs sums to set its range: observe some first")
    low, high = converters.observed(histogram, converters.bins(crossbar.limit), spec.percentile)
    return converters.spanning(low, high, spec.adc_bits, spec.zero_level)


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
    windows, rows = len(what.base), crossbar.most_rows
    reads = np.zeros(crossbar.rows.shape, np.int64)
    channels = np.array([len(chosen) for chosen in crossbar.channels])
    inputs = kernel.Inputs(
        what.values, channels, what.base, what.offsets, spec.input_slices, spec.input_bits
    )
    grid = converter.grid(rows, crossbar.limit)
    memory = _memory(what, _whole(crossbar, sigma))
    for first, stream in blocks:
        span = first, min(first + what.block, windows), what.block
        kernel.walk(
            inputs, crossbar.columns, rows, span, grid, sigma, stream, memory, out, reads, histogram
        )
    return reads


def _whole(crossbar: Crossbar, sigma: float) -> bool:
    """Whether cells and inputs are whole numbers of 16 bits with their sign, and sums of 32."""
    narrow = max(crossbar.device.bits, crossbar.device.spec.input_bits) < 16
    whole = crossbar.columns.cells.dtype.kind == "i" and sigma == 0
    largest = crossbar.device.full * ((1 << crossbar.device.spec.input_bits) - 1)
    return whole and narrow and crossbar.most_rows * largest < 1 << 31


def _memory(what: Readout, whole: bool) -> kernel.Memory:
    """Working memory for a block of windows."""
    lanes = -(-what.crossbar.device.spec.input_slices * what.block // PANEL) * PANEL
    rows, exact = what.crossbar.most_rows, what.crossbar.limit < EXACT
    kind: DTypeLike = np.int32 if whole else np.float32 if exact else np.float64
    sums, pairs = np.zeros((QUAD, lanes), kind), -(-rows // 2)
    if whole:
        panels = np.zeros((lanes // PANEL, pairs, PANEL), kind)
        return kernel.Memory(panels, np.zeros((pairs, QUAD), kind), sums)
    return kernel.Memory(np.zeros((rows, lanes), kind), np.zeros((QUAD, rows), kind), sums)
