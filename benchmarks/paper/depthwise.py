"""A small network of depthwise separable convolutions (Howard et al. 2017, arXiv:1704.04861)."""

from torch import nn

STAGES = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1))  # filters and stride of each block


def depthwise(channels: int, classes: int, first: int = 16) -> nn.Sequential:
    """Images (N, channels, H, W) -> logits: a 3×3 convolution, five blocks, means, a dense layer.

    A block is a 3×3 convolution of each channel by itself and a 1×1 one; BatchNormalization and
    ReLU follow each. 12.4M MACs at 28×28.
    """
    layers = _convolution(channels, first, 3)
    for filters, stride in STAGES:
        layers += _convolution(first, first, 3, stride, groups=first)
        layers += _convolution(first, filters, 1)
        first = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(first, classes))


def _convolution(
    channels: int, filters: int, size: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, filters, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(filters), nn.ReLU()]
