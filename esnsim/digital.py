"""The variable-precision MAC array: exact outputs and counted cycles of a layer."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from esnsim_kernels import bitserial, planes
from numpy.typing import NDArray

from esnsim.arrays import ArraySpec
from esnsim.lowering import lower, raise_outputs, weight_sums
from esnsim.program import QUAD, WORD, Program, program_of
from esnsim.quantizer import QuantizedLayer
from esnsim.windows import addresses, check_activations, padded_pixels

Ints = NDArray[np.int64]

BLOCK = 128  # windows that a block of im2col holds, or the array's own number if that is more


@dataclass(frozen=True, slots=True)
class Counts:
    """What the walk over the tiles of the array counted; see docs/equations.md.

    Unit-cycles: `active` (MAC×bit), and idle by the first cause that holds. `mask_*` are the
    passes of mask planes. Bits: `essential_bits` are pairs of 1 bits, `weight_bits` and
    `activation_bits` are read from the buffers.
    """

    cycles: int
    active: int
    idle_width: int
    idle_rows: int
    idle_lanes: int
    idle_windows: int
    mask_cycles: int
    mask_active: int
    mask_idle: int
    essential_bits: int
    weight_bits: int
    activation_bits: int


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
        return Run(raise_outputs(layer, outputs), Counts(*(int(n) for n in counts)))


def _walk(
    program: Program, x: NDArray[Any], zero_point: int, signed: bool, engine: DigitalEngine
) -> tuple[Ints, Ints]:
    """Outputs (batch, M', windows) and counts, by the kernel in threads."""
    spec, lowered = engine.spec, program.lowered
    base, offsets = addresses(lowered.geometry, len(x))
    values = padded_pixels(lowered.geometry, x, zero_point, program.channels)
    packed = np.empty((0, 0, 0, 0), np.uint64)
    if program.packed:
        words = -(-values.shape[1] // WORD)
        packed = np.empty((len(values), spec.activation_bits, words, values.shape[2]), np.uint64)
        for group, pixels in enumerate(values):
            planes.pack_pixels(pixels, packed[group])
    reductions = np.array([len(offsets) * len(c) for c in program.channels], np.int64)
    widest = max(map(len, program.channels), default=0) or 1
    stride = spec.windows * max(1, BLOCK // spec.windows)
    n = (min(stride, len(base)) + 7) // 8 * 8

    def run(share: Share) -> Ints:
        counts = np.zeros(len(bitserial.COUNTS), np.int64)
        bitserial.walk(
            (spec.rows, spec.lanes, spec.windows, stride),
            packed, values, widest, signed, base, offsets, reductions,
            program.words, program.filters, program.shifts, program.signs, program.sums,
            program.starts, program.used, program.assigned, program.mask, program.groups,
            *share.passes, *share.tiles,
            np.zeros((spec.activation_bits, program.words.shape[1], n), np.uint64),
            np.empty((QUAD, n), np.int64), np.empty((QUAD, n), np.uint64), np.empty(n, np.int64),
            share.out, counts,
        )  # fmt: skip
        return counts

    tiles = -(-len(base) // spec.windows)
    shape = (len(lowered.values), len(base))
    workers = engine.threads or os.cpu_count() or 1
    shares = _shares(shape, len(program.used), tiles, stride // spec.windows, workers)
    if len(shares) == 1:
        counts = [run(shares[0])]
    else:
        with ThreadPoolExecutor(workers) as pool:
            counts = list(pool.map(run, shares))
    outputs = shares[0].out
    if shares[-1].out is not outputs:
        outputs = np.sum([share.out for share in shares], axis=0)
    apart = outputs.reshape(shape[0], len(x), -1).transpose(1, 0, 2)
    return np.ascontiguousarray(apart), np.sum(counts, axis=0)


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a walk: passes and window tiles from first to last, and where the outputs go."""

    passes: tuple[int, int]
    tiles: tuple[int, int]
    out: Ints


def _shares(
    shape: tuple[int, int], passes: int, tiles: int, block: int, workers: int
) -> list[Share]:
    """Window tiles are shared out where there are blocks enough of them, else passes."""
    blocks = -(-tiles // block)
    if workers == 1 or blocks >= 2 * workers or passes < 2:
        out = np.zeros(shape, np.int64)
        count = min(blocks, 4 * workers) if workers > 1 else 1
        cuts = np.linspace(0, blocks, count + 1).astype(int) * block
        return [Share((0, passes), (a, min(b, tiles)), out) for a, b in pairwise(cuts.tolist())]
    cuts = np.linspace(0, passes, min(workers, passes) + 1).astype(int)
    return [Share(cut, (0, tiles), np.zeros(shape, np.int64)) for cut in pairwise(cuts.tolist())]
