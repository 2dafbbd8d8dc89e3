"""Fake quantisation at a width that may lie between two whole ones, so that it can be learned."""

import torch
from torch import Tensor


def fractional(weight: Tensor, log_range: Tensor, bits: Tensor) -> Tensor:
    """Δ·W_int of weights (M, …), for filters of `bits` (M,) and ranges ±2^`log_range` (M,).

    Between two whole widths the codes are interpolated, so that the gradient of a width is what
    another bit would change (Yang & Jin 2021, FracBits, arXiv:2007.02017); a width of 0 prunes.
    The gradient goes straight through to weights that do not saturate, and to ranges as to a
    learned step (Esser et al. 2020, arXiv:1902.08153).
    """
    whole = bits.detach().floor()
    share = _rows(bits - whole, weight)
    low = midrise(weight, log_range, whole)
    if not share.any():
        return low
    return low + share * (midrise(weight, log_range, whole + 1) - low)


def midrise(weight: Tensor, log_range: Tensor, bits: Tensor) -> Tensor:
    """Δ·W_int with Δ = 2·2^`log_range` / 2^`bits`, whole `bits` (M,); 0 where they are 0."""
    step = _rows(steps(log_range, bits), weight)
    top = _rows(2.0 ** (bits - 1), weight)
    floor = torch.floor(weight.detach() / step.detach())
    code = floor.clamp(-top, top - 1) + 0.5
    inside = code == floor + 0.5
    ratio = weight / step
    through = torch.where(inside, ratio + (code - ratio).detach(), code)
    live = (weight.detach() != 0) & (_rows(bits, weight) > 0)
    return torch.where(live, through * step, 0.0)


def steps(log_range: Tensor, bits: Tensor) -> Tensor:
    """Δ (M,) of filters whose codes of `bits` cover ±2^`log_range`."""
    return 2.0 ** (log_range + 1 - bits)


def _rows(values: Tensor, weight: Tensor) -> Tensor:
    """Values (M,) beside weights (M, …)."""
    return values.reshape(-1, *[1] * (weight.dim() - 1))
