"""Quantisation-aware training with the cost in the loss: the width of each filter is learned."""

import copy
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from esnsim.compression.compress import compress
from esnsim.compression.recipe import Recipe
from esnsim.costs.cost import Cost, cost
from esnsim.errors import ModelError, UsageError, WidthError
from esnsim.graph.model import Model, open_model
from esnsim.model.network import Network
from esnsim.quantization.quantizer import QuantizedNetwork, codes, quantize
from esnsim.quantization.scheme import DEFAULT_BITS, WIDEST, Scheme
from esnsim.training.export import export_proto, from_torch
from esnsim.training.fakequant import rows
from esnsim.training.fit import Companion
from esnsim.training.fractional import fractional, steps
from esnsim.training.layers import (
    TRANSPOSED,
    plain_layers,
    sharing,
    unwrap,
    weight_of,
    weighted_layers,
)
from esnsim.training.masks import Masks, masks
from esnsim.training.units import NO_UNIT, units
from esnsim.training.width_cost import WidthCost, Widths
from esnsim.training.width_steps import Filters

if TYPE_CHECKING:
    from onnx import ModelProto

HALVINGS = 20  # of the shift that makes widths whole within a budget
CALM = 0.1  # of the rate of ranges, once widths are settled: codes come to rest
MEMORY = 0.95  # of the mean of a width's gradients: that of some twenty steps
PARAMETRIZED = ".parametrizations.weight.original"  # where torch keeps a parametrised weight


class Learned(nn.Module):
    """The parametrisation of a weight: filters of `bits` (M,) and ranges ±2^`log_range` (M,)."""

    def __init__(self, log_range: Tensor, bits: Tensor) -> None:
        super().__init__()
        self.log_range, self.bits = log_range, bits  # no parameters: the optimiser is not theirs

    def forward(self, weight: Tensor) -> Tensor:
        """(M, …) -> Δ·W_int, of the same shape."""
        device = weight.device  # a module that is moved takes parameters and buffers along alone
        return fractional(weight, self.log_range.to(device), self.bits.to(device))


class LearnedWidths(Companion):
    """Learns a width and a range for each filter of a model while its weights are trained.

    The loss gets `loss()`: the MAC×bit (ESNd~) of the widths times a `price`, or times one that
    grows until they keep a `budget`. A filter whose width comes to 0 is pruned, and what reads its
    channel costs less. After `settle()` widths are whole and stay; ranges and weights train on.
    Widths begin at `bits`, ranges where the error of the weights is least; both are learned by
    Adam at `rate`, whatever trains the weights. With a `start`, the codes that `esnsim compress`
    gave the model, all three begin as there. As a companion of `fit` all this is done and kept
    in the checkpoint; in a loop of your own add `loss()` and call `step()` after the optimiser.

    Weights of other layers than convolutions and linear ones, such as an LSTM's, are `left` alone:
    they are counted, and written into the file, with 8 bits. `left` has their names.

    `example` is an input (1, C, …). Weights stay float where they are learned, and are coded in
    the forward pass. Raises UsageError unless there is one of price and budget, WidthError for a
    budget below a bit of one filter in each layer, ModelError for models without weighted layers,
    with parametrised ones or with transposed convolutions.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Tensor,
        *,
        price: float | None = None,
        budget: float | None = None,
        bits: float = 4.0,
        rate: float = 1e-2,
        start: QuantizedNetwork | None = None,
    ) -> None:
        _check(price, budget, bits)
        for name, module in plain_layers(model).items():
            if isinstance(module, TRANSPOSED):
                raise ModelError(
                    f"layer '{name}' is a transposed convolution, whose widths are not learned: "
                    "give a model without one"
                )
        self.model, self.example, self.budget, self.rate = model, example, budget, rate
        self.price = float(price or 0)
        self.masks: Masks | None = None
        self._network = from_torch(model, example)
        self._plain = copy.deepcopy(unwrap(model))
        self._cost_of = WidthCost(self._network)
        near = quantize(self._network, Scheme(rule="mse", bits=round(bits)))
        self.learned = _parametrized(model, near, bits)
        if start is not None:
            _begin(self.learned, near, start, model)
        self._left = {
            layer.weight.name: np.full(layer.filters, DEFAULT_BITS, np.int64)
            for layer in self._network.layers
            if layer.weight.name not in self.learned
        }
        self.left = tuple(self._left)
        self._least = _least_widths(self._network, self.learned)
        if budget is not None:
            _enough(budget, self._whole(_one_filter_each(self._network, self.learned)))
        self._worth = torch.zeros(sum(len(x.bits) for x in self.learned.values()))
        self._optimizer = torch.optim.Adam([x.log_range for x in self.learned.values()], lr=rate)

    def loss(self) -> Tensor:
        """What the loss gets: MAC×bit times the price; nothing once widths are settled."""
        return torch.zeros(()) if self.masks is not None else self.price * self.mac_bits()

    def mac_bits(self) -> Tensor:
        """MAC×bit of the widths as they are, whole or not; its gradient is that of the widths."""
        left = {name: torch.from_numpy(bits).float() for name, bits in self._left.items()}
        return self._cost_of.fractions(left | {name: x.bits for name, x in self.learned.items()})

    def after_backward(self) -> None:
        """Between the gradients and the optimiser's step: nothing that is not finite goes on."""
        for name, learned in self.learned.items():
            for tensor in (learned.log_range, learned.bits):
                if tensor.grad is not None and not tensor.grad.isfinite().all():
                    raise ModelError(
                        f"the gradient of weight '{name}' is not finite: train at a smaller rate"
                    )

    def step(self) -> None:
        """After the optimiser's step: that of ranges, of widths, and of the price."""
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.masks is not None:
            self.masks.step()
            return
        bits = [learned.bits for learned in self.learned.values()]
        costs = torch.cat(torch.autograd.grad(self.mac_bits(), bits))
        given = torch.cat([torch.zeros_like(b) if b.grad is None else b.grad for b in bits])
        self._worth.lerp_(self.price * costs - given, 1 - MEMORY)
        with torch.no_grad():
            filters = Filters(
                bits=torch.cat(bits), least=torch.cat([*self._least.values()]), costs=costs,
                worth=self._worth, rate=self.rate,
            )  # fmt: skip
            if self.budget is not None:
                self.price = filters.price(self._whole(self._shifted(0.5)) - self.budget)
            for old, new in zip(
                bits, filters.moved(self.price).split([len(b) for b in bits]), strict=True
            ):
                old.copy_(new)
                old.grad = None

    def settle(self) -> None:
        """Make widths whole, as large as the budget allows or to the nearest, and prune at 0.

        Raises WidthError where so little is left that outputs do not depend on inputs any more.
        """
        chosen = self._shifted(0.5) if self.budget is None else self._within(self.budget)
        if not self._whole(chosen):
            raise WidthError(f"no filter is left that outputs depend on, {self._aim()}")
        self._fix({name: torch.from_numpy(bits) for name, bits in chosen.items()})
        for group in self._optimizer.param_groups:
            group["lr"] = CALM * self.rate

    def state_dict(self) -> dict[str, Any]:
        """Widths, ranges, the state of their optimiser, the price, and whether they are settled."""
        return {
            "bits": {n: x.bits.detach().clone() for n, x in self.learned.items()},
            "log_range": {n: x.log_range.detach().clone() for n, x in self.learned.items()},
            "optimizer": self._optimizer.state_dict(),
            "price": self.price,
            "worth": self._worth.clone(),
            "settled": self.masks is not None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        with torch.no_grad():
            for name, learned in self.learned.items():
                learned.bits.copy_(state["bits"][name])
                learned.log_range.copy_(state["log_range"][name])
        self.price = float(state["price"])
        self._worth.copy_(state["worth"])
        if state["settled"]:
            self._fix({name: x.bits.detach() for name, x in self.learned.items()})
        self._optimizer.load_state_dict(state["optimizer"])

    def cost(self) -> Cost:
        """The cost of the settled model, which is that of its file, layer by layer."""
        network = self._coded().network
        return cost(quantize(network, self._scheme(network)))

    def export(self, form: str = "qdq") -> "ModelProto":
        """The settled model as an ONNX file in memory, coded in a `form` of `esnsim compress`."""
        model = self._coded()
        recipe = Recipe(scheme=self._scheme(model.network), form=form, correct=False)
        return compress(model, recipe).model

    def _coded(self) -> Model:
        """The model with Δ·W_int for weights."""
        if self.masks is None:
            raise UsageError("widths are not whole yet: call settle() first")
        model = unwrap(self.model)
        state = {n.replace(PARAMETRIZED, ".weight"): v for n, v in model.state_dict().items()}
        for name, module in model.named_modules():
            if parametrize.is_parametrized(module, "weight"):
                state[f"{name}.weight"] = module.weight.detach()
        self._plain.load_state_dict(state)
        return open_model(export_proto(self._plain, self.example, free_batch=True))

    def _scheme(self, network: Network) -> Scheme:
        """Widths and steps by the names in a file, where weights that are equal stand once."""
        found = {layer.weight.name: layer for layer in network.layers}
        left = [name for name in found if name not in self.learned]  # may be others than at first
        near = quantize(network, Scheme(rule="mse", bits=DEFAULT_BITS)).layers if left else ()
        widths = self._widths() | {n: np.full(found[n].filters, DEFAULT_BITS) for n in left}
        each = {q.layer.weight.name: q.steps for q in near} | self._steps()
        return Scheme(
            widths={name: widths[name] for name in found},
            given_steps={name: each[name] for name in found},
        )

    def _whole(self, widths: Widths) -> int:
        return self._cost_of.whole({**self._left, **widths})

    def _widths(self) -> dict[str, NDArray[np.int64]]:
        return {n: x.bits.detach().numpy().astype(np.int64) for n, x in self.learned.items()}

    def _steps(self) -> dict[str, NDArray[np.float64]]:
        return {
            name: steps(x.log_range, x.bits).detach().double().numpy()
            for name, x in self.learned.items()
        }

    def _fix(self, bits: Mapping[str, Tensor]) -> None:
        """Widths that stay, and the masks of what they prune."""
        for name, learned in self.learned.items():
            learned.bits.requires_grad_(False).copy_(bits[name])
            learned.bits.grad = None
        alive = {name: widths > 0 for name, widths in self._widths().items()}
        self.masks = masks(self.model, self.example, alive, self._network)
        self.masks.step()

    def _shifted(self, by: float) -> Widths:
        """Whole widths: the floor of each one and `by`, none below its least."""
        return {
            name: np.maximum(
                np.floor(x.bits.detach().double().numpy() + by).clip(0, WIDEST),
                self._least[name].numpy(),
            ).astype(np.int64)
            for name, x in self.learned.items()
        }

    def _within(self, budget: float) -> Widths:
        """The largest shift of all widths whose cost keeps a budget."""
        low, high = -float(WIDEST), 1.0  # at the first all is pruned, which costs nothing
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            kept = self._whole(self._shifted(middle)) <= budget
            low, high = (middle, high) if kept else (low, middle)
        return self._shifted(low)

    def _aim(self) -> str:
        if self.budget is None:
            return f"at a price of {self.price:g} a MAC×bit: give a lower one"
        return f"within a budget of {self.budget:,.10g}: give more"


def _check(price: float | None, budget: float | None, bits: float) -> None:
    if (price is None) == (budget is None):
        raise UsageError("give a price of a MAC×bit, or a budget of MAC×bit, and not both")
    for name, value in (("price", price), ("budget", budget)):
        if value is not None and not (isfinite(value) and value >= 0):
            raise UsageError(f"{name} {value}: give a number that is not negative")
    if not 1 <= bits <= WIDEST:
        raise WidthError(f"{bits} bits: widths begin at 1 to {WIDEST}")


def _enough(budget: float, least: int) -> None:
    if budget < least:
        raise WidthError(
            f"a budget of {budget:,.10g} MAC×bit is less than one filter of one bit in each layer "
            f"costs: give at least {least:,}"
        )


def _begin(
    learned: Mapping[str, Learned],
    near: QuantizedNetwork,
    start: QuantizedNetwork,
    model: nn.Module,
) -> None:
    """Widths, ranges and weights of the codes of `start`; weights of pruned filters stay."""
    shapes, given = ([q.layer.weight.shape for q in x.layers] for x in (near, start))
    if shapes != given:
        raise ModelError(
            f"the codes to start with are of another model: {len(given)} layers, where this one "
            f"has {len(shapes)}, or weights of other shapes: give the codes of this model"
        )
    layers = {f"{name}.weight": module for name, module in weighted_layers(model).items()}
    for mine, theirs in zip(near.layers, start.layers, strict=True):
        name, widths = mine.layer.weight.name, np.asarray(theirs.sums.width_code, np.float64)
        live = torch.from_numpy((widths > 0) & (theirs.steps > 0))
        step = torch.from_numpy(np.where(live, theirs.steps, 1.0))
        each, original = learned[name], weight_of(layers[name])
        with torch.no_grad():
            weight = _within_codes(original.double(), torch.from_numpy(codes(theirs)), step)
            each.bits.copy_(torch.from_numpy(widths))
            each.log_range[live] = (step.log2() + each.bits - 1)[live].float()
            original[live] = weight[live].float()


def _within_codes(weight: Tensor, code: Tensor, step: Tensor) -> Tensor:
    """Weights (M, …) of codes q, halfway between Δ·q/2 and where the code is nearest to `weight`.

    So those that were near another code change it first. In filters that would be small enough to
    be pruned all are at 0.6·Δ·q.
    """
    each = rows(step, weight)
    middle = each * code / 2
    near = (weight - middle).clamp(-each / 2, each / 2)
    found = middle + near / 2 * (code != 0)
    small = found.abs().flatten(1).amax(1) < 0.55 * step
    return torch.where(rows(small, weight), 1.2 * middle, found)


def _parametrized(model: nn.Module, near: QuantizedNetwork, bits: float) -> dict[str, Learned]:
    """The parametrisation of each weight, put in place; by the name of the weight."""
    found = {q.layer.weight.name: q.steps for q in near.layers}
    learned: dict[str, Learned] = {}
    for name, module in weighted_layers(model).items():
        step = torch.from_numpy(np.where(found[f"{name}.weight"] > 0, found[f"{name}.weight"], 1))
        log_range = (step.log2() + round(bits) - 1).float()
        new = Learned(log_range.requires_grad_(), torch.full_like(log_range, bits).requires_grad_())
        for same in sharing(model, module):
            parametrize.register_parametrization(same, "weight", new)
        learned[f"{name}.weight"] = new
    return learned


def _least_widths(network: Network, learned: Mapping[str, Learned]) -> dict[str, Tensor]:
    """0 for filters that may go, 1 for those that no layer reads, such as the classes."""
    prunable = units(network).of
    return {
        name: torch.from_numpy((prunable[name] == NO_UNIT).astype(np.float32))
        if name in prunable
        else torch.ones(len(x.bits))
        for name, x in learned.items()
    }


def _one_filter_each(network: Network, learned: Mapping[str, Learned]) -> Widths:
    """A bit for one filter of each layer, or of layers that are added, and for what must stay."""
    one = units(network).alive({name: np.ones(len(x.bits)) for name, x in learned.items()}, 1e-9)
    return {
        name: one[name].astype(np.int64) if name in one else np.ones(len(x.bits), np.int64)
        for name, x in learned.items()
    }
