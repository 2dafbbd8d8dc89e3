"""The variable-precision MAC array: exact outputs and counted cycles of a layer."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise, product
from typing import Any, TypeVar

import numpy as np
from esnsim_kernels import bitserial
from numpy.typing import NDArray

from esnsim.machines.array.counts import Counts
from esnsim.machines.array.program import Program, program_of
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.array.stream import Stream, stream_of
from esnsim.machines.lowering import raise_outputs
from esnsim.machines.windows import check_activations
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.threads import workers

Ints = NDArray[np.int64]
Range = tuple[int, int]
T = TypeVar("T")

WHOLE = 64  # windows a thread from which on windows are shared out, and not filters


@dataclass(frozen=True, slots=True)
class Run:
    """Outputs (batch, M, *output_size) in exact integers, and what they took.

    Midrise layers give Σ q·(x − zero point), in units of ½ step. Outputs are int32 where they fit
    whatever the activations, else int64.
    """

    outputs: NDArray[np.int32] | Ints
    counts: Counts


@dataclass(frozen=True, slots=True)
class DigitalEngine:
    """Runs layers on an array, with kernels over windows and filters in threads (0: one a core)."""

    spec: ArraySpec = field(default_factory=ArraySpec)
    threads: int = 0

    def prepare(self, layer: QuantizedLayer) -> Program:
        """Schedule a layer and pack its planes, which all runs of the layer share."""
        return program_of(layer, self.spec)

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
        bits, threads = self.spec.activation_bits, workers(self.threads)
        check_activations(layer, x, bits, signed, zero_point)
        program = program or self.prepare(layer)
        if signed:  # lifted, so that no integer is negative: this turns their top bits over
            x, zero_point = np.add(x, 1 << bits - 1, dtype=np.int32), zero_point + (1 << bits - 1)
        stream = stream_of(program, x, zero_point, bits, partial(_together, threads))
        outputs = np.empty(
            (len(x), len(program.weight_sums), stream.windows // len(x)),
            np.int32 if program.largest * ((1 << bits) - 1) < 1 << 31 else np.int64,
        )
        pairs = _multiply(program, stream, zero_point, outputs, threads)
        if signed:
            pairs[-1] = program.one_bits * stream.windows - pairs[-1]
        counts = program.counts.of_images(len(x) // program.geometry.rows, int(pairs.sum()))
        return Run(raise_outputs(layer, outputs), counts)


def _multiply(
    program: Program, stream: Stream, zero_point: int, outputs: NDArray[Any], threads: int
) -> Ints:
    """Fill outputs (batch, M', windows); pairs of 1 bits of each activation plane (A,)."""
    size, shares = _shares(stream, program.filters.starts, threads)
    constants, left = -zero_point * program.weight_sums, iter(shares)

    def work() -> Ints:
        block_of, sums = stream.blocks(size), np.empty(size, np.uint64)
        pairs = np.zeros(stream.bits, np.int64)
        for (first, last), filters in left:
            block = block_of(first, last)
            bitserial.multiply(program.filters, block, constants, filters, sums, outputs, first)
            if filters[0] == 0:
                pairs += bitserial.count_pairs(program.ones, block)
        return pairs

    return sum(_together(threads, work, len(shares)), np.zeros(stream.bits, np.int64))


def _shares(stream: Stream, starts: Ints, threads: int) -> tuple[int, list[tuple[Range, Range]]]:
    """Windows of a block, and shares of windows and filters, of which each thread takes some.

    Filters are parted, by their planes, where windows are few.
    """
    windows, filters, parts = stream.windows, len(starts) - 1, 1
    blocks = -(-windows // stream.block_size)
    if windows >= threads * WHOLE:
        blocks = -(-blocks // threads) * threads
    else:
        parts = min(threads, filters)
    size = -(-windows // blocks // 8) * 8
    edges = [*range(0, windows, size), windows]
    planes = np.arange(1, parts) * starts[-1] // parts
    cuts = sorted({0, *np.searchsorted(starts, planes).tolist(), filters})
    return size, [*product(pairwise(edges), pairwise(cuts))]


def _together(threads: int, work: Callable[[], T], parts: int) -> list[T]:
    """Results of `work` in as many threads as there are parts for, this one among them."""
    others = min(threads, parts) - 1
    if others < 1:
        return [work()]
    pool = _pool(threads, os.getpid())
    waiting = [pool.submit(work) for _ in range(others)]
    return [work(), *(each.result() for each in waiting)]


@cache
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    """Threads that all runs of a process share: starting some takes as long as a small layer."""
    return ThreadPoolExecutor(workers)
