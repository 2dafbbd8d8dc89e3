"""Pruned filters, what they make dead, and fine-tuning that revives neither."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esnsim.errors import ModelError
from esnsim.model.liveness import Liveness
from esnsim.model.network import Network
from esnsim.training.export import from_torch
from esnsim.training.fit import Companion
from esnsim.training.inference import BATCHNORMS
from esnsim.training.layers import TRANSPOSED, WEIGHTED, weight_of, weighted_layers
from esnsim.training.units import Alive, Norms, units


@dataclass(frozen=True, slots=True)
class Masks(Companion):
    """Live filters (M,) and input channels (C,) of each layer, live channels of each norm.

    By the name of the module. As a companion of `fit` they zero, after each step of the optimiser,
    pruned filters with their bias, weights that read dead channels, and scale and shift of the
    BatchNormalization of pruned filters.
    """

    model: nn.Module
    filters: dict[str, Tensor]
    channels: dict[str, Tensor]
    norms: dict[str, Tensor]

    @torch.no_grad()
    def step(self) -> None:
        """Zero in place whatever is pruned or dead."""
        modules = dict(self.model.named_modules())
        for name, filters in self.filters.items():
            module = modules[name]
            weight = weight_of(module)
            weight.mul_(_weight_mask(module, weight, filters, self.channels[name]))
            if module.bias is not None:
                module.bias.mul_(filters.to(module.bias.device))
        for name, live in self.norms.items():
            modules[name].weight.mul_(live.to(modules[name].weight.device))
            modules[name].bias.mul_(live.to(modules[name].bias.device))

    @property
    def pruned(self) -> int:
        """Number of pruned filters."""
        return sum(int((~filters).sum()) for filters in self.filters.values())


def masks(model: nn.Module, example: Tensor, alive: Alive, network: Network | None = None) -> Masks:
    """The masks that follow from live filters (M,) by the name of the weight.

    `example` is an input (N, C, …), `network` what `from_torch` makes of the model, where that is
    known. Layers that `alive` does not name keep all filters.
    """
    network = network or from_torch(model, example)
    filters: dict[str, Tensor] = {}
    channels: dict[str, Tensor] = {}
    weights = {f"{name}.weight": name for name in weighted_layers(model)}

    liveness = Liveness(network)
    for layer in network.layers:
        kept = alive.get(layer.weight.name, np.ones(layer.filters, np.bool_))
        if name := weights.get(layer.weight.name):  # weights of other layers, an LSTM's, stay
            filters[name] = torch.from_numpy(kept.copy())
            channels[name] = torch.from_numpy(liveness.channels(layer).copy())
        liveness.decide(layer, kept)
    readers = norms_after(model, example)
    return Masks(model, filters, channels, {n: filters[layer] for n, layer in readers.items()})


def prune_by_norm(model: nn.Module, example: Tensor, keep: float) -> Masks:
    """Keep the share of filters with the largest signal norm ‖W_m‖² (Section 3 of the paper).

    Filters whose outputs are added are pruned together. The model's weights are zeroed.
    """
    found = masks(model, example, units(from_torch(model, example)).alive(norms(model), keep))
    found.step()
    return found


def norms(model: nn.Module) -> Norms:
    """‖W_m‖² of every filter (M,), by the name of the weight.

    Raises ModelError for transposed convolutions, which are not pruned.
    """
    layers = weighted_layers(model)
    transposed = [name for name, module in layers.items() if isinstance(module, TRANSPOSED)]
    if transposed:
        raise ModelError(
            f"layer '{transposed[0]}' is a transposed convolution, which esnsim does not prune: "
            "prune a model without one"
        )
    return {f"{name}.weight": squared_norms(module.weight) for name, module in layers.items()}


def squared_norms(weight: Tensor) -> NDArray[np.float64]:
    """‖W_m‖² (M,) of a weight (M, …)."""
    squares: NDArray[np.float64] = weight.detach().double().flatten(1).square().sum(1).cpu().numpy()
    return squares


def norms_after(model: nn.Module, example: Tensor) -> dict[str, str]:
    """The layer whose output each BatchNormalization reads, where it reads a layer's alone."""
    made: list[tuple[Tensor, str]] = []  # holds the outputs, so that no other gets their place
    found: dict[str, str] = {}

    def watch(name: str, module: nn.Module) -> list[Any]:
        def make(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            made.append((output, name))

        def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            for output, layer in made:
                if output is inputs[0]:
                    found[name] = layer

        if isinstance(module, WEIGHTED):
            return [module.register_forward_hook(make)]
        return [module.register_forward_pre_hook(read)] if isinstance(module, BATCHNORMS) else []

    hooks = [hook for name, module in model.named_modules() for hook in watch(name, module)]
    training = model.training
    with torch.no_grad():
        model.eval()(example)
    model.train(training)
    for hook in hooks:
        hook.remove()
    return found


def _weight_mask(module: nn.Module, weight: Tensor, filters: Tensor, channels: Tensor) -> Tensor:
    """(M, C/g, 1…): whether the filter of a weight (M, C/g, …) lives and reads a live channel."""
    groups = getattr(module, "groups", 1)
    rows = channels.reshape(groups, -1).repeat_interleave(len(filters) // groups, 0)
    mask = filters[:, None] & rows
    return mask.reshape(*mask.shape, *[1] * (weight.dim() - 2)).to(weight.device)
