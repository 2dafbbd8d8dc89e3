"""The paper's networks for images of 28 to 32 pixels, as PyTorch modules."""

import torch
from torch import Tensor, nn

from esnsim.errors import UsageError


def conv3x3(channels: int, filters: int, stride: int = 1) -> nn.Conv2d:
    """3×3 convolution with padding 1 and no bias (BatchNormalization follows)."""
    return nn.Conv2d(channels, filters, 3, stride, 1, bias=False)


def initialise(model: nn.Module) -> None:
    """He's normal initialisation of every convolution."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, doi:10.1109/CVPR.2016.90).

    The shortcut is a 1×1 projection with BatchNormalization where `project` is set, else the
    identity.
    """

    def __init__(self, channels: int, filters: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, filters, stride)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = conv3x3(filters, filters)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut: nn.Module = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, filters, H/stride, W/stride)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class CifarResNet(nn.Module):
    """ResNet of 6n+2 layers in the CIFAR form: three stages of n blocks, widths w, 2w, 4w.

    The first block of *each* stage has a projection shortcut, the first stage included: only
    so does ResNet-20 have the 800 filters of the paper's Fig. 6.
    """

    def __init__(self, depth: int, channels: int = 3, classes: int = 10, width: int = 16) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise UsageError(f"depth {depth} is not 6n+2: use 8, 14, 20, …")
        self.conv = conv3x3(channels, width)
        self.bn = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        previous = width
        for stage in range(3):
            filters = width << stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(BasicBlock(previous, filters, stride, project=not block))
                previous = filters
        self.blocks = nn.Sequential(*layers)
        self.fc = nn.Linear(previous, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, classes)."""
        y = self.blocks(torch.relu(self.bn(self.conv(x))))
        logits: Tensor = self.fc(y.mean((2, 3)))
        return logits


class VGG7(nn.Module):
    """Six 3×3 convolutions and a dense layer (Appendix F); 128 filters in the first at width 1.

    `size` is the height and width of the images: 32 or 28.
    """

    def __init__(
        self, width: float = 1.0, channels: int = 3, classes: int = 10, size: int = 32
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = channels
        for stage in range(3):
            filters = round(128 * width) << stage
            for _ in range(2):
                layers += [conv3x3(previous, filters), nn.BatchNorm2d(filters), nn.ReLU()]
                previous = filters
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(previous * (size // 8) ** 2, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, size, size) -> logits (N, classes)."""
        logits: Tensor = self.fc(self.features(x).flatten(1))
        return logits


class DenseLayer(nn.Module):
    """BatchNormalization, 1×1 to 4k, BatchNormalization, 3×3 to k; concatenated to the input."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = conv3x3(4 * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, channels + growth, H, W)."""
        y = self.conv1(torch.relu(self.bn1(x)))
        y = self.conv2(torch.relu(self.bn2(y)))
        return torch.cat((x, y), 1)


class DenseNetBC(nn.Module):
    """DenseNet-BC of 6n+4 layers, compression ½ (Huang et al. 2017, doi:10.1109/CVPR.2017.243)."""

    def __init__(
        self, depth: int = 100, growth: int = 12, channels: int = 3, classes: int = 10
    ) -> None:
        super().__init__()
        width = 2 * growth
        layers: list[nn.Module] = [conv3x3(channels, width)]
        for block in range(3):
            for _ in range((depth - 4) // 6):
                layers.append(DenseLayer(width, growth))
                width += growth
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            if block < 2:
                layers += [nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)]
                width //= 2
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(width, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, classes)."""
        logits: Tensor = self.fc(self.features(x).mean((2, 3)))
        return logits
