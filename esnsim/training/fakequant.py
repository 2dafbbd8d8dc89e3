"""Fake quantisation: the midrise code in the forward pass, a straight-through gradient."""

from typing import Any

import torch
from torch import Tensor, nn

from esnsim.errors import WidthError
from esnsim.quantization.scheme import WIDEST


class _Midrise(torch.autograd.Function):
    """Δ·W_int of Appendix A; the gradient passes where no code saturates."""

    @staticmethod
    def forward(
        context: Any, weight: Tensor, steps: Tensor, bits: int | None, keep_zeros: bool
    ) -> Tensor:
        w = weight.double()
        safe = torch.where(steps > 0, steps.double(), 1.0).reshape(-1, *[1] * (w.dim() - 1))
        top = 2.0 ** ((bits or WIDEST) - 1)
        floor = torch.floor(w / safe)
        code = floor.clamp(-top, top - 1) + 0.5
        context.save_for_backward(code == floor + 0.5)
        if keep_zeros:
            code[w == 0] = 0
        small = (w.abs() < safe / 2).flatten(1).all(1) | ~(steps > 0)
        code[small] = 0
        return (code * safe).to(weight.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = context.saved_tensors
        return gradients[0] * inside, None, None, None


def fake_quantize(
    weight: Tensor, steps: Tensor, bits: int | None = None, keep_zeros: bool = True
) -> Tensor:
    """Δ·W_int of weights (M, …) at steps Δ (M,), exactly as `esnsim.quantize` codes them.

    Codes saturate at `bits`. The gradient of the output goes straight to the weights, but for
    those that saturate. A step that is 0 or NaN prunes.
    """
    quantized: Tensor = _Midrise.apply(weight, steps, bits, keep_zeros)
    return quantized


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
