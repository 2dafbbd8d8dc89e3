"""Fake quantisation at a width that may lie between two whole ones, so that it can be learned."""

from torch import Tensor

from esnsim.training.fakequant import fake_quantize


def fractional(weight: Tensor, log_range: Tensor, bits: Tensor) -> Tensor:
    """Δ·W_int of weights (M, …), for filters of `bits` (M,) and ranges ±2^`log_range` (M,).

    Between two whole widths the codes are interpolated, so that the gradient of a width is what
    another bit would change (Yang & Jin 2021, FracBits, arXiv:2007.02017); a width of 0 prunes.
    """
    whole = bits.detach().floor()
    low = _coded(weight, log_range, whole)
    share = (bits - whole).reshape(-1, *[1] * (weight.dim() - 1))
    if not (share.any() or bits.requires_grad):
        return low
    return low + share * (_coded(weight, log_range, whole + 1) - low)


def steps(log_range: Tensor, bits: Tensor) -> Tensor:
    """Δ (M,) of filters whose codes of `bits` cover ±2^`log_range`."""
    return 2.0 ** (log_range + 1 - bits)


def _coded(weight: Tensor, log_range: Tensor, bits: Tensor) -> Tensor:
    return fake_quantize(weight, steps(log_range, bits), bits)
