"""Fake quantisation: the midrise code in the forward pass, a straight-through gradient."""

from typing import Any

import torch
from torch import Tensor, nn

from esnsim.errors import WidthError
from esnsim.quantization.scheme import WIDEST


class _Midrise(torch.autograd.Function):
    """Δ·W_int of Appendix A; the gradient passes to weights whose codes do not saturate.

    That of Δ is Σ g·(W_int − W/Δ) over those, and Σ g·W_int over the others (Esser et al. 2020,
    arXiv:1902.08153).
    """

    @staticmethod
    def forward(
        context: Any, weight: Tensor, steps: Tensor, bits: Tensor | int, keep_zeros: bool
    ) -> Tensor:
        w, each = weight.double(), torch.where(steps > 0, steps.double(), 1.0)
        width = torch.as_tensor(bits, device=w.device).double()
        top, safe = rows(2.0 ** (width - 1), w), rows(each, w)
        ratio = w / safe
        floor = ratio.floor()
        code = floor.clamp(-top, top - 1)
        inside = code == floor
        code += 0.5
        if keep_zeros:
            code.masked_fill_(w == 0, 0)
        largest = w.abs().flatten(1).amax(1)
        small = (largest < each / 2) | ~(steps > 0) | (width < 1)
        code.masked_fill_(rows(small, w), 0)
        context.save_for_backward(inside, torch.where(inside & (code != 0), code - ratio, code))
        return (code * safe).to(weight.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inside, of_steps = context.saved_tensors
        gradient, steps = gradients[0], None
        if context.needs_input_grad[1]:
            steps = (gradient * of_steps).flatten(1).sum(1).to(gradient.dtype)
        return gradient * inside, steps, None, None


def fake_quantize(
    weight: Tensor, steps: Tensor, bits: Tensor | int | None = None, keep_zeros: bool = True
) -> Tensor:
    """Δ·W_int of weights (M, …) at steps Δ (M,), exactly as `esnsim.quantize` codes them.

    Codes saturate at `bits`, one width or one a filter (M,). The gradient of the output goes
    straight to the weights, but for those that saturate, and to steps that are learned. A step
    that is 0 or NaN prunes, and so does a width of 0.
    """
    width = WIDEST if bits is None else bits
    quantized: Tensor = _Midrise.apply(weight, steps, width, keep_zeros)
    return quantized


def rows(values: Tensor, weight: Tensor) -> Tensor:
    """Values (M,), or one, beside weights (M, …)."""
    return values.reshape(-1, *[1] * (weight.dim() - 1))


class FakeQuantize(nn.Module):
    """A parametrisation of a weight, for quantisation-aware training:

    `torch.nn.utils.parametrize.register_parametrization(conv, "weight", FakeQuantize(2))`. Steps
    follow the weights: 2·max|W|/2^b of each filter, or of the layer with `per_layer`.
    """

    def __init__(self, bits: int, per_layer: bool = False, keep_zeros: bool = True) -> None:
        super().__init__()
        if not 0 < bits <= WIDEST:
            raise WidthError(f"{bits} bits: widths are 1 to {WIDEST}")
        self.bits, self.per_layer, self.keep_zeros = bits, per_layer, keep_zeros

    def forward(self, weight: Tensor) -> Tensor:
        """(M, …) -> Δ·W_int, of the same shape."""
        largest = weight.detach().double().abs().flatten(1).amax(1)
        if self.per_layer:
            largest = largest.max().expand(len(largest))
        return fake_quantize(weight, 2 * largest / 2.0**self.bits, self.bits, self.keep_zeros)
