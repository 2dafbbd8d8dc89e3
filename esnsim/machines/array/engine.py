"""The variable-precision MAC array: exact outputs and counted cycles of a layer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.array.counts import Counts
from esnsim.machines.array.program import Program, program_of
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.array.stream import Job, Range, stream_of
from esnsim.machines.lowering import raise_outputs
from esnsim.machines.windows import check_activations
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.threads import pool, workers

Ints = NDArray[np.int64]
T = TypeVar("T")

WHOLE = 64  # windows a thread from which on windows are shared out, and not filters
GRAIN = 16  # windows of a block are a multiple of it


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
    """Runs layers on an array, with kernels over windows and filters in threads (0: one a core).

    With `planes` bit plane by bit plane, even where products of whole codes are the faster way to
    the same integers.
    """

    spec: ArraySpec = field(default_factory=ArraySpec)
    threads: int = 0
    planes: bool = False

    def prepare(self, layer: QuantizedLayer) -> Program:
        """Schedule a layer and lay its weights out, which all runs of the layer share."""
        return program_of(layer, self.spec, self.planes)

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
        stream = stream_of(program.geometry, program.channels, x, zero_point, bits, signed)
        outputs = np.empty(
            (len(x), len(program.weight_sums), stream.windows // len(x)), program.dtype
        )
        lifted = zero_point + (signed << bits - 1)
        job = program.weights.on(
            stream, -lifted * program.weight_sums, outputs, partial(_together, threads)
        )
        pairs = _do(job, stream.windows, threads)
        counts = program.counts.of_images(len(x) // program.geometry.rows, pairs)
        return Run(raise_outputs(layer, outputs), counts)


def _do(job: Job, windows: int, threads: int) -> int:
    """Do a job in threads, of which each takes from what is left; pairs of 1 bits."""
    size, shares = _shares(job, windows, threads)
    left = iter(shares)

    def work() -> int:
        multiply = job.worker(size)
        return sum(multiply(*share) for share in left)

    return sum(_together(threads, work, len(shares)))


def _shares(job: Job, windows: int, threads: int) -> tuple[int, list[tuple[Range, Range]]]:
    """Windows of a block, and shares of windows and filters, of which each thread takes some.

    Filters are parted, by their work, where windows are few.
    """
    filters, parts = len(job.starts) - 1, 1
    blocks = -(-windows // job.block)
    if windows >= threads * WHOLE:
        blocks = -(-blocks // threads) * threads
    else:
        parts = min(threads, filters)
    size = -(-windows // blocks // GRAIN) * GRAIN
    edges = [*range(0, windows, size), windows]
    work = np.arange(1, parts) * job.starts[-1] // parts
    cuts = sorted({0, *np.searchsorted(job.starts, work).tolist(), filters})
    return size, [*product(pairwise(edges), pairwise(cuts))]


def _together(threads: int, work: Callable[[], T], parts: int) -> list[T]:
    """Results of `work` in as many threads as there are parts for, this one among them."""
    others = min(threads, parts) - 1
    if others < 1:
        return [work()]
    waiting = [pool(threads).submit(work) for _ in range(others)]
    return [work(), *(each.result() for each in waiting)]
