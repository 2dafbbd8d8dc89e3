"""ResNet-18 and ResNet-50 for images of 224 pixels (He et al. 2016, doi:10.1109/CVPR.2016.90)."""

import torch
from torch import Tensor, nn

from esnsim.errors import UsageError
from esnsim.training.models import BasicBlock, initialise

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
EXPANSION = 4  # of the bottleneck


class Bottleneck(nn.Module):
    """1×1, 3×3 with the stride, 1×1 to four times the filters, and a shortcut."""

    def __init__(self, channels: int, filters: int, stride: int, project: bool) -> None:
        super().__init__()
        wide = EXPANSION * filters
        self.conv1 = nn.Conv2d(channels, filters, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv3 = nn.Conv2d(filters, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.shortcut: nn.Module = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, 4·filters, H/stride, W/stride)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class ImageNetResNet(nn.Module):
    """ResNet-18 of basic blocks or ResNet-50 of bottlenecks; `width` multiplies every layer."""

    def __init__(self, depth: int, classes: int = 1000, width: float = 1.0, channels: int = 3):
        super().__init__()
        if depth not in BLOCKS:
            raise UsageError(f"there is no ImageNet ResNet of depth {depth}: use 18 or 50")
        first = round(64 * width)
        self.conv = nn.Conv2d(channels, first, 7, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(first)
        self.pool = nn.MaxPool2d(3, 2, 1)
        block, expansion = (BasicBlock, 1) if depth == 18 else (Bottleneck, EXPANSION)
        layers: list[nn.Module] = []
        previous = first
        for stage, count in enumerate(BLOCKS[depth]):
            filters = round(64 * width) << stage
            for index in range(count):
                stride = 2 if stage and not index else 1
                project = stride > 1 or previous != expansion * filters
                layers.append(block(previous, filters, stride, project))
                previous = expansion * filters
        self.blocks = nn.Sequential(*layers)
        self.fc = nn.Linear(previous, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, classes)."""
        y = self.blocks(self.pool(torch.relu(self.bn(self.conv(x)))))
        logits: Tensor = self.fc(y.mean((2, 3)))
        return logits
