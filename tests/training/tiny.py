"""Networks and images that train in milliseconds."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esnsim.training.models import BasicBlock, conv3x3


class Tiny(nn.Module):
    """A convolution, two residual blocks of unequal width and a dense layer, for (N, 1, 6, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv3x3(1, 4)
        self.bn = nn.BatchNorm2d(4)
        self.blocks = nn.Sequential(BasicBlock(4, 6, 2, True), BasicBlock(6, 6, 1, False))
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(torch.relu(self.bn(self.conv(x))))
        return self.fc(y.mean((2, 3)))


def tiny(seed: int = 0) -> Tiny:
    """A seeded network whose BatchNormalization is not the identity."""
    torch.manual_seed(seed)
    model = Tiny()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
    return model


class Together(nn.Module):
    """Modules side by side: the newer exporter takes seconds for any module."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], 1)


EXAMPLE = torch.zeros(1, 1, 6, 8)


def images(count: int = 40, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Noise with labels that its brightness tells: (count, 1, 6, 8) and (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count).astype(np.uint8)
    pixels = rng.integers(0, 80, (count, 1, 6, 8)) + 80 * labels[:, None, None, None]
    return pixels.astype(np.uint8), labels
