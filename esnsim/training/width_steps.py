"""How widths move: towards filters whose next bit is worth most, at a price or along a budget."""

from dataclasses import dataclass

import torch
from torch import Tensor

from esnsim.quantization.scheme import WIDEST

SHARE = 0.5  # how much of what one step could save is saved, while the cost is above a budget
HALVINGS = 30  # of the price that keeps a budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Widths of filters (F,) and their least ones; what a bit costs, MAC×bit, and what it is worth.

    `worth` is how much loss goes with another bit, `rate` how far a width moves in a step.
    """

    bits: Tensor
    least: Tensor
    costs: Tensor
    worth: Tensor
    rate: float

    def moved(self, price: float) -> Tensor:
        """Widths (F,) a step on: up where a bit is worth more than its price, else down.

        By `rate`, and by less where worth and price are nearer than is usual among filters.
        """
        values = self.worth / self.costs.clamp(min=1)
        usual = (values - values.median()).abs().median().clamp(min=torch.finfo(values.dtype).tiny)
        move = self.rate * ((values - price) / usual).clamp(-1, 1)
        return (self.bits + move).clamp(max=WIDEST).maximum(self.least)

    def price(self, over: float) -> float:
        """The lowest price at which a cost that is `over` a budget comes back to it.

        From far above it falls by a share of what one step could save, from below it rises.
        """
        saved = self.costs @ (self.bits - (self.bits - self.rate).maximum(self.least))
        wanted = max(-over, -SHARE * float(saved))
        values = self.worth / self.costs.clamp(min=1)
        low, high = 0.0, 2 * float(values.abs().max()) + 1e-30
        for _ in range(HALVINGS):
            price = (low + high) / 2
            kept = float(self.costs @ (self.moved(price) - self.bits)) <= wanted
            low, high = (low, price) if kept else (price, high)
        return high
