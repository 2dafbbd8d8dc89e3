"""Post-training quantisers of weights by others, written from their texts.

All take the weights of a layer as a matrix (M, K), a filter a row, and a width for each filter.
Banner et al. 2018 is "Post training 4-bit quantization of convolutional networks for
rapid-deployment" (arXiv:1810.05723). Its clipping, ACIQ, is esnsim's step rule `aciq`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NARROWEST, WIDEST = 1, 8  # bits that a filter may be allotted


@dataclass(frozen=True, slots=True)
class Affine:
    """Weights (M, K) as unsigned integers with a zero point a filter (M, 1).

    `weights` are what they stand for, `bits` (M,) the width of each filter.
    """

    stored: Ints
    zero: Ints
    weights: Floats
    bits: Ints

    @property
    def integers(self) -> Ints:
        """The integers without their zero point."""
        return self.stored - self.zero

    @property
    def centred(self) -> Ints:
        """The integers about the middle of their range: what an array of b bits streams."""
        return self.stored - (1 << self.bits[:, None] - 1)


def min_max(weights: NDArray[Any], bits: Ints) -> Affine:
    """2^b levels evenly from each filter's least weight to its largest, zero on one of them."""
    wide = weights.astype(np.float64)
    low, high = wide.min(axis=1, keepdims=True), wide.max(axis=1, keepdims=True)
    last = (np.int64(1) << bits[:, None]) - 1
    flat = np.where(low != 0, np.abs(low), 1.0)  # the step of a filter of one value
    scale = np.where(high > low, (high - low) / last, flat)
    zero = np.rint(-low / scale)
    stored = np.clip(np.rint(wide / scale + zero), 0, last)
    return Affine(
        stored.astype(np.int64), zero.astype(np.int64), scale * (stored - zero), bits
    )  # fmt: skip


def bias_corrected(weights: NDArray[Any], coded: Affine) -> Affine:
    """Each filter's mean and variance brought back to those of its weights (Section 5).

    The integers stay: the gain goes into the scale, the shift into the filter's activation sum.
    """
    wide = weights.astype(np.float64)
    return replace(coded, weights=moments_of(wide, coded.weights))


def moments_of(weights: Floats, approximate: Floats) -> Floats:
    """`approximate` (M, K) with the mean and the deviation of each row of `weights`."""
    mean, deviation = weights.mean(axis=1, keepdims=True), weights.std(axis=1, keepdims=True)
    centred = approximate - approximate.mean(axis=1, keepdims=True)
    spread = approximate.std(axis=1, keepdims=True)
    gain = np.where(spread > 0, deviation / np.where(spread > 0, spread, 1), 1.0)
    return np.asarray(mean + centred * gain, np.float64)


def allotted(weights: NDArray[Any], bits: int) -> Ints:
    """Widths (M,) with levels in proportion to σ^(2/3), `bits` on average at most (Section 4).

    log2 of the levels is rounded and held within 1 to 8 bits; the quota of levels is the largest
    for which the average holds.
    """
    sigma = weights.astype(np.float64).std(axis=1)
    share = np.log2(np.maximum(sigma, np.finfo(np.float64).tiny)) * (2 / 3)

    def widths(offset: float) -> Ints:
        levels: Floats = np.rint(share + offset)
        return np.clip(levels, NARROWEST, WIDEST).astype(np.int64)

    low, high = NARROWEST - share.max() - 1, WIDEST - share.min() + 1
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if widths(middle).mean() <= bits else (low, middle)
    return widths(low)
