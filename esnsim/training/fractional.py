"""Fake quantisation at the whole width nearest to a fractional one, so that it can be learned."""

import torch
from torch import Tensor

from esnsim.training.fakequant import fake_quantize, rows


def fractional(weight: Tensor, log_range: Tensor, bits: Tensor) -> Tensor:
    """Δ·W_int of weights (M, …), for filters of `bits` (M,) and ranges ±2^`log_range` (M,).

    Codes are those of the nearest whole widths, so that training sees what is exported; the
    gradient of a width is what the bit changes that it lies within, as if codes were interpolated
    (Yang & Jin 2021, FracBits, arXiv:2007.02017). Codes that are interpolated would let a filter
    have less than a bit for nothing, as BatchNormalization scales it back. A width of 0 prunes.
    """
    whole = bits.detach().floor()
    nearest = _coded(weight, log_range, (bits.detach() + 0.5).floor())
    if not bits.requires_grad:
        return nearest
    with torch.no_grad():
        change = _coded(weight, log_range, whole + 1) - _coded(weight, log_range, whole)
    return nearest + rows(bits - bits.detach(), weight) * change


def steps(log_range: Tensor, bits: Tensor) -> Tensor:
    """Δ (M,) of filters whose codes of `bits` cover ±2^`log_range`."""
    return 2.0 ** (log_range + 1 - bits)


def _coded(weight: Tensor, log_range: Tensor, bits: Tensor) -> Tensor:
    return fake_quantize(weight, steps(log_range, bits), bits)
