"""A pruned model as a smaller one, where its architecture permits."""

import copy

import torch
from torch import Tensor, nn

from esnsim.errors import ModelError
from esnsim.training.inference import BATCHNORMS
from esnsim.training.masks import Masks

TOLERANCE = 1e-4  # of the largest output


def shrink(masks: Masks, example: Tensor) -> nn.Module:
    """A copy of the masked model without its pruned filters and dead channels.

    Raises ModelError where the model cannot do without them: such a model stays masked.
    """
    model = masks.model
    smaller = copy.deepcopy(model)
    modules = dict(smaller.named_modules())
    for name, filters in masks.filters.items():
        _cut_layer(name, modules[name], filters, masks.channels[name])
    for name, live in masks.norms.items():
        _cut_norm(modules[name], live)
    _check(model, smaller, example)
    return smaller


def _cut_layer(name: str, module: nn.Module, filters: Tensor, channels: Tensor) -> None:
    groups = getattr(module, "groups", 1)
    weight = module.weight.detach()[filters]
    if groups == 1:
        weight = weight[:, channels]
    elif groups == len(channels):  # depthwise: filters and channels die together
        module.groups = int(channels.sum())
    elif not (filters.all() and channels.all()):
        raise _impossible(f"layer '{name}' has {groups} groups")
    module.weight = nn.Parameter(weight.clone())
    if module.bias is not None:
        module.bias = nn.Parameter(module.bias.detach()[filters].clone())
    sizes = ("in_features", "out_features") if isinstance(module, nn.Linear) else (
        "in_channels", "out_channels"
    )  # fmt: skip
    setattr(module, sizes[0], int(channels.sum()))
    setattr(module, sizes[1], int(filters.sum()))


def _cut_norm(module: nn.Module, live: Tensor) -> None:
    assert isinstance(module, BATCHNORMS)
    for name in ("weight", "bias"):
        setattr(module, name, nn.Parameter(getattr(module, name).detach()[live].clone()))
    for name in ("running_mean", "running_var"):
        setattr(module, name, getattr(module, name)[live].clone())
    module.num_features = int(live.sum())


@torch.no_grad()
def _check(model: nn.Module, smaller: nn.Module, example: Tensor) -> None:
    """The outputs have to be those of the masked model."""
    probe = torch.rand_like(example)
    training = model.training
    try:
        expected, got = model.eval()(probe), smaller.eval()(probe)
    except RuntimeError as error:
        raise _impossible(str(error).splitlines()[0]) from None
    finally:
        model.train(training)
    if not torch.allclose(expected, got, rtol=0, atol=TOLERANCE * float(expected.abs().max())):
        raise _impossible("its outputs would change")
    smaller.train(training)


def _impossible(why: str) -> ModelError:
    return ModelError(f"the pruned model cannot be made smaller ({why}): use it masked")
