"""A quantised network run as a PyTorch module: codes in, statistics corrected."""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from esnsim.errors import ModelError
from esnsim.quantization.quantizer import QuantizedNetwork, codes
from esnsim.training.fit import Images, pixels

BATCHNORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def load_quantized(model: nn.Module, quantized: QuantizedNetwork) -> nn.Module:
    """A copy of `model` whose weights are Δ·W_int.

    `quantized` comes from `from_torch(model, …)` without `dynamo`, whose layers keep the names of
    the parameters. Raises ModelError where a name is not the model's.
    """
    copied = copy.deepcopy(model)
    parameters: Mapping[str, nn.Parameter] = dict(copied.named_parameters())
    for row in quantized.layers:
        name = row.layer.weight.name
        if name not in parameters or parameters[name].shape != row.layer.weight.shape:
            raise ModelError(
                f"the network's weight '{name}' is no parameter of {type(model).__name__}: "
                "give the network that from_torch made of this model"
            )
        steps = np.where(np.isnan(row.steps), 0, row.steps)
        weight = codes(row) * (steps / 2).reshape(-1, *[1] * (parameters[name].dim() - 1))
        with torch.no_grad():
            parameters[name].copy_(torch.from_numpy(weight))
    return copied


@torch.no_grad()
def correct_statistics(
    model: nn.Module, images: Images, device: str = "cpu", batch: int = 250
) -> None:
    """Re-estimate mean and variance of every BatchNormalization from unlabelled images, in place.

    Section 3 of the paper (after Sasaki et al. 2019): the averages over all batches, in one pass
    in which every layer sees its batch's own statistics; a short rest is left.
    """
    norms = [m for m in model.modules() if isinstance(m, BATCHNORMS)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's cumulative average
    model.train()
    batch = min(batch, len(images))
    for first in range(0, len(images) - batch + 1, batch):
        model(pixels(images[first : first + batch], device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
