"""What the metrics need of each filter, summed over its live weights in one pass."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import ModelError
from esnsim.model.network import Codes, Layer, Mask
from esnsim.quantization import weight_kernels as passes
from esnsim.quantization.blocks import Matrix, each_filters, each_live

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilterSums:
    """Sums over the live weights of each filter (M,); W_int is integer-valued or half-integer.

    `bits_*` sum over weights, `width_*` are of the filter's widest code; `code` and `paper` are
    the two readings of a code's width (docs/equations.md).
    """

    weights: Ints
    largest_x2: Ints  # max |2·W_int|
    squares_x4: Ints  # Σ (2·W_int)²
    bits_code: Ints
    bits_paper: Ints
    width_code: Ints
    width_paper: Ints
    coded: Ints  # number of codes that are not 0
    nonzero: Ints  # number of weights that are not 0
    signal: Floats  # Σ W²
    noise: Floats  # Σ (W − Δ·W_int)²


def midrise_sums(
    layer: Layer, live: Mask, steps: Floats, limit: Ints, keep_zeros: bool
) -> FilterSums:
    """Quantise to midrise codes with steps (M,) > 0 and |q| ≤ limit (M,), and sum up."""
    counts = np.zeros((layer.filters, 6), np.int64)
    energies = np.zeros((layer.filters, 2))
    weights = np.zeros(layer.filters, np.int64)
    stored = layer.weight.codes is not None  # as q = 2·W_int, at a step of 1

    def add(rows: slice, block: Matrix) -> None:
        values = 0.5 * block if stored else block
        out = counts[rows], energies[rows]
        passes.statistics(values, steps[rows], limit[rows], keep_zeros, *out)
        weights[rows] = block.shape[1]

    each_live(layer, live, add)
    if not np.isfinite(energies).all():
        raise not_finite(layer)
    top, squares, bits, ones, coded, nonzero = counts.T
    width = bit_length(top)
    return FilterSums(
        weights=weights, largest_x2=top, squares_x4=squares, bits_code=bits,
        bits_paper=bits - ones, width_code=width, width_paper=np.where(top == 1, 0, width),
        coded=coded,
        nonzero=nonzero, signal=energies[:, 0], noise=energies[:, 1],
    )  # fmt: skip


def stored_sums(layer: Layer, live: Mask, stored: Codes) -> FilterSums:
    """Sum up the integers of a layer that is quantised already."""
    if stored.midrise:
        limit = np.full(layer.filters, (2 << stored.bits) - 1, np.int64)  # k + ½, k unsigned
        return midrise_sums(layer, live, np.ones(layer.filters), limit, True)
    from esnsim_kernels import midtread

    counts = np.zeros((layer.filters, 7), np.int64)
    weights = np.zeros(layer.filters, np.int64)

    def add(rows: slice, block: Matrix) -> None:
        midtread.statistics(block, stored.bits, counts[rows])
        weights[rows] = block.shape[1]

    each_live(layer, live, add)
    top, squares, streamed, literal, nonzero, low, high = counts.T
    complement = np.maximum(
        np.where(high > 0, bit_length(high) + 1, 0),
        np.where(low < 0, bit_length(-low - 1) + 1, 0),
    )
    exact = np.zeros(layer.filters)
    return FilterSums(
        weights=weights, largest_x2=2 * top, squares_x4=4 * squares, bits_code=streamed,
        bits_paper=literal, width_code=np.minimum(complement, stored.bits),
        width_paper=np.where(top > 0, bit_length(top - 1) + 1, 0), coded=nonzero, nonzero=nonzero,
        signal=exact, noise=exact,
    )  # fmt: skip


def bit_length(values: Ints) -> Ints:
    """Number of binary digits of each non-negative integer below 2^52; 0 for 0."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def not_finite(layer: Layer) -> ModelError:
    """The error for weights that no step fits."""
    found: list[Matrix] = []
    each_filters(layer.weight, lambda rows, block: found.append(block[~np.isfinite(block)]))
    bad = np.concatenate(found)
    if not len(bad):
        return ModelError(
            f"layer '{layer.name}' has weights whose squares overflow: scale the model's weights"
        )
    return ModelError(
        f"layer '{layer.name}' has {len(bad):,} weights that are NaN or infinite (the first: "
        f"{bad[0]}): mend the model, its outputs are not finite either"
    )
