"""The variable-precision MAC array: exact outputs and counted cycles of a layer."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from esnsim_kernels import bitserial, planes
from numpy.typing import NDArray

from esnsim.machines.array.counts import Counts
from esnsim.machines.array.program import QUAD, WORD, Program, program_of
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.lowering import lower, raise_outputs, weight_sums
from esnsim.machines.windows import addresses, check_activations, padded_pixels
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.threads import workers

Ints = NDArray[np.int64]
Map = Callable[..., Iterable[Any]]

BLOCK = 256  # windows that a block of im2col holds, or a tile's own number if that is more
BLOCK_WORDS = 1 << 20  # words of a block
PART = 1 << 18  # activations that a thread packs


@dataclass(frozen=True, slots=True)
class Run:
    """Outputs (batch, M, *output_size) in exact integers, and what they took.

    Midrise layers give Σ q·(x − zero point), in units of ½ step.
    """

    outputs: Ints
    counts: Counts


@dataclass(frozen=True, slots=True)
class DigitalEngine:
    """Runs layers on an array, with kernels over tiles in threads (0: one a core)."""

    spec: ArraySpec = field(default_factory=ArraySpec)
    threads: int = 0

    def prepare(self, layer: QuantizedLayer) -> Program:
        """Schedule a layer and pack its planes, which all runs of the layer share."""
        return program_of(lower(layer, self.spec.width_step), self.spec)

    def run(
        self,
        layer: QuantizedLayer,
        x: NDArray[Any],
        zero_point: int = 0,
        signed: bool = False,
        program: Program | None = None,
    ) -> Run:
        """The layer on integer activations x (batch, C, *input_size) of the array's width.

        Weights that read dead channels take no part; padding has the value of the zero point.
        Raises UsageError for activations of another shape or out of range.
        """
        check_activations(layer, x, self.spec.activation_bits, signed, zero_point)
        program = program or self.prepare(layer)
        outputs, counts = _walk(program, x, zero_point, signed, self)
        if zero_point:
            outputs -= zero_point * weight_sums(program.lowered)[None, :, None]
        return Run(raise_outputs(layer, outputs), counts)


def _walk(
    program: Program, x: NDArray[Any], zero_point: int, signed: bool, engine: DigitalEngine
) -> tuple[Ints, Counts]:
    """Outputs (batch, M', windows) and counts, by the kernel in threads."""
    threads = workers(engine.threads)
    share_out: Map = map if threads == 1 else _pool(threads, os.getpid()).map
    stream = _stream(program, x, zero_point, signed, engine.spec, share_out)
    shape = (len(program.lowered.values), len(stream.base))
    shares = _shares(shape, len(program.schedule.used), stream.tiles, stream.stride, threads)
    counts = list(share_out(partial(_run, program, stream, engine.spec), shares))
    outputs = shares[0].out
    for share in shares[1:]:
        if share.out is not outputs:
            outputs += share.out
    apart = outputs.reshape(shape[0], len(x), -1).transpose(1, 0, 2)
    found = np.sum(counts, axis=0).tolist()
    return np.ascontiguousarray(apart), Counts(**dict(zip(bitserial.COUNTS, found, strict=True)))


@cache
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    """Threads that all runs of a process share: starting some takes as long as a small layer."""
    return ThreadPoolExecutor(workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Activations as the array reads them, `stride` tiles at a time.

    An image has `per_image` windows, in tiles of `tile` windows and a last one of what is left.
    `packed` (G, A, words, pixels) are their bits, or where words of channels would be almost empty
    `values` (G, C, pixels) themselves; `sums` (G, pixels) are over channels. `base` (windows,) and
    `offsets` (taps,) find a window's pixels.
    """

    base: Ints
    offsets: Ints
    values: NDArray[np.int32]
    packed: NDArray[np.uint64] | None
    sums: Ints
    signed: bool
    per_image: int
    tile: int
    stride: int

    @property
    def tiles(self) -> int:
        """Tiles of all images."""
        return len(self.base) // self.per_image * -(-self.per_image // self.tile)

    def window(self, tile: int) -> int:
        """The first window of a tile."""
        image, place = divmod(tile, -(-self.per_image // self.tile))
        return image * self.per_image + place * self.tile


def _stream(
    program: Program,
    x: NDArray[Any],
    zero_point: int,
    signed: bool,
    spec: ArraySpec,
    share_out: Map,
) -> Stream:
    """Lay activations out, and pack the channels of each pixel once."""
    geometry, bits = program.lowered.geometry, spec.activation_bits
    values = padded_pixels(geometry, x, zero_point, program.channels)
    groups, channels, pixels = values.shape
    packed = None
    if program.packed:
        packed = np.empty((groups, bits, -(-channels // WORD), pixels), np.uint64)
        sums = np.empty((groups, pixels), np.int64)

        def pack(first: int) -> None:
            octets, last = np.empty(min(BLOCK, part), np.uint64), min(first + part, pixels)
            planes.pack_pixels(values, first, last, octets, packed, sums)

        part = max(8, PART // (groups * channels) // 8 * 8)
        firsts = range(0, pixels, part)
        list((share_out if len(firsts) > 1 else map)(pack, firsts))
    else:
        sums = values.sum(axis=1, dtype=np.int64)
    words = groups * bits * program.schedule.words.shape[1]
    tile = min(spec.windows, geometry.windows)
    stride = max(1, max(8, min(BLOCK, BLOCK_WORDS // words)) // tile)
    base, offsets = addresses(geometry, len(x))
    return Stream(
        base=base,
        offsets=offsets,
        values=values,
        packed=packed,
        sums=sums,
        signed=signed,
        per_image=geometry.windows,
        tile=tile,
        stride=stride,
    )


def _run(program: Program, stream: Stream, spec: ArraySpec, share: "Share") -> Ints:
    """Run a share of the walk, block by block of windows; what it counted."""
    counts = np.zeros(len(bitserial.COUNTS), np.int64)
    reductions = np.array([len(stream.offsets) * len(c) for c in program.channels], np.int64)
    widest = max(map(len, program.channels), default=0) or 1
    groups, words = len(stream.values), program.schedule.words.shape[1]
    tiles = range(*share.tiles, stream.stride)
    edges = [stream.window(tile) for tile in (*tiles, share.tiles[1])]
    n = (max(map(int, np.diff(edges)), default=0) + 7) // 8 * 8
    block = bitserial.Block(
        np.empty((groups, spec.activation_bits, words, n), np.uint64),
        np.empty((groups, n), np.int64), reductions, stream.signed,
    )  # fmt: skip
    octets, sums = np.empty(n, np.uint64), np.empty((QUAD, n), np.int64)
    array = spec.rows, spec.lanes, spec.windows, spec.width_step
    for first, last in pairwise(edges):
        base = stream.base[first:last]
        if stream.packed is not None:
            planes.gather(stream.packed, base, stream.offsets, block.bits)
        else:
            planes.pack_patches(stream.values, widest, base, stream.offsets, octets, block.bits)
        planes.add_taps(stream.sums, base, stream.offsets, block.totals)
        bitserial.walk(
            array, program.schedule, block, (first, last, stream.per_image), share.passes,
            sums, share.out, counts,
        )  # fmt: skip
    return counts


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a walk: passes and window tiles from first to last, and where the outputs go."""

    passes: tuple[int, int]
    tiles: tuple[int, int]
    out: Ints


def _shares(
    shape: tuple[int, int], passes: int, tiles: int, block: int, workers: int
) -> list[Share]:
    """Window tiles are shared out where each thread gets a block of them, else passes."""
    if workers == 1 or tiles >= workers * block or passes < 2:
        parts = 1 if workers == 1 else workers * min(4, -(-tiles // (workers * block)))
        even = min(8, block)  # so that blocks are whole vectors
        cuts = [*(tiles * i // parts // even * even for i in range(parts)), tiles]
        out = np.zeros(shape, np.int64)
        return [Share((0, passes), cut, out) for cut in pairwise(cuts)]
    parts = min(workers, passes)
    cuts = [passes * i // parts for i in range(parts + 1)]
    return [Share(cut, (0, tiles), np.zeros(shape, np.int64)) for cut in pairwise(cuts)]
