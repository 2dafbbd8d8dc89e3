"""A layer's outputs as sums of products of its codes, where codes and sums are narrow enough.

Outputs do not depend on how an array comes by them: bit by bit they are the same integers, and on a
CPU a product of whole codes is the faster unless they have few bits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from esnsim_kernels import products
from esnsim_kernels.vectors import PANEL, QUAD
from numpy.typing import NDArray

from esnsim.machines.array.stream import Job, Range, Stream, Together
from esnsim.machines.lowering import Lowered, codes_of, live_rows, ones_by_row

Ints = NDArray[np.int64]

BLOCK = 1 << 18  # bytes of a block of windows, so that the second cache holds it
WIDEST = 2048  # windows of a block at most


@dataclass(frozen=True, slots=True)
class Products:
    """Filters in quads: words (G, Q, K/2, 4) int32, the first of two rows in the low half.

    `ones` (G, K) tells how many bits of a group's weights are 1 at each row. A group has `filters`.
    """

    words: NDArray[np.int32]
    ones: Ints
    filters: int

    def on(self, stream: Stream, constants: Ints, outputs: NDArray[Any], _: Together) -> Job:
        """Multiply what windows see, from constants (M',) on, to outputs (batch, M', windows)."""
        groups, quads, pairs, quad = self.words.shape
        begin = np.zeros((groups, quads * quad), np.int32)
        begin[:, : self.filters] = constants.reshape(groups, -1)
        flipped = stream.signed << stream.bits - 1
        inputs = products.Inputs(
            stream.values, stream.channels, stream.base, stream.offsets, flipped
        )
        begin = begin.reshape(groups, quads, quad)
        weights = products.Weights(self.words, begin, self.ones, self.filters)

        def worker(size: int) -> Callable[[Range, Range], int]:
            panels = -(-size // PANEL)
            block = np.empty((panels, pairs, PANEL), np.int32)
            sums = np.empty((quad, panels * PANEL), np.int32)
            return lambda windows, mine: products.convolve(
                inputs, weights, windows, mine, block, sums, outputs
            )

        block = max(PANEL, min(BLOCK // (4 * pairs), WIDEST) // PANEL * PANEL)
        return Job(np.arange(groups * quads + 1), block, worker)


def products_of(lowered: Lowered, channels: tuple[Ints, ...]) -> Products:
    """The codes of live channels in quads of filters."""
    groups, quad = len(channels), QUAD
    codes = live_rows(lowered, codes_of(lowered).astype(np.int16), channels)
    size, rows = len(codes) // groups, codes[0].size
    padded = np.zeros((groups, -(-size // quad) * quad, rows + rows % 2), np.int16)
    padded[:, :size, :rows] = codes.reshape(groups, size, rows)
    words = padded.view(np.int32).reshape(groups, -1, quad, padded.shape[2] // 2)
    ones = np.zeros((groups, padded.shape[2]), np.int64)
    ones[:, :rows] = ones_by_row(lowered, channels).reshape(groups, rows)
    return Products(np.ascontiguousarray(words.transpose(0, 1, 3, 2)), ones, size)
