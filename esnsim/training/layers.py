"""The weighted layers of a PyTorch module."""

from torch import Tensor, nn
from torch.nn.utils import parametrize

from esnsim.errors import ModelError

WEIGHTED = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
TRANSPOSED = WEIGHTED[4:]
Named = dict[str, nn.Module]


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel and torch.compile."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


def weighted_layers(model: nn.Module) -> Named:
    """Convolutions and linear layers by name, in the order of the modules; shared weights once.

    Raises ModelError where there is none.
    """
    found: Named = {}
    seen: set[int] = set()
    for name, module in unwrap(model).named_modules():
        if isinstance(module, WEIGHTED) and id(_parameter(module)) not in seen:
            seen.add(id(_parameter(module)))
            found[name] = module
    if not found:
        raise ModelError(
            f"{type(unwrap(model)).__name__} has no layer with weights: give a model with "
            "convolutions or linear layers"
        )
    return found


def plain_layers(model: nn.Module) -> Named:
    """`weighted_layers`, none of which is parametrised yet; raises ModelError where one is."""
    found = weighted_layers(model)
    for name, module in found.items():
        if parametrize.is_parametrized(module):
            raise ModelError(
                f"layer '{name}' is parametrised already: take that away first, with finish() or "
                "torch.nn.utils.parametrize.remove_parametrizations"
            )
    return found


def weight_of(module: nn.Module) -> Tensor:
    """The weight that the optimiser updates, below any parametrisation."""
    return _parameter(module).detach()


def sharing(model: nn.Module, module: nn.Module) -> list[nn.Module]:
    """The layers whose weight is a layer's, itself among them."""
    weight = _parameter(module)
    layers = (each for each in unwrap(model).modules() if isinstance(each, WEIGHTED))
    return [each for each in layers if _parameter(each) is weight]


def _parameter(module: nn.Module) -> Tensor:
    parametrized = getattr(module, "parametrizations", {})
    weight: Tensor = parametrized["weight"].original if "weight" in parametrized else module.weight
    return weight


def filters_first(module: nn.Module) -> Tensor:
    """The weight as a matrix, a row a filter: (M, everything else)."""
    weight = weight_of(module)
    if isinstance(module, TRANSPOSED):  # (C, M/g, *kernel)
        grouped = weight.unflatten(0, (module.groups, -1)).transpose(1, 2)
        return grouped.flatten(0, 1).flatten(1)
    return weight.flatten(1)
