"""Pruning what torch exports, by its older exporter and its newer one, the batch open or not."""

from collections.abc import Callable

import onnx
import pytest
import torch
from torch import Tensor, nn

from esnsim import read_onnx
from esnsim.training.export import export_onnx
from esnsim.training.models import DenseNetBC
from tests.compress.pruning import assert_laws
from tests.training.tiny import Together

SHAPE = (1, 3, 8, 7)
CLASSES = 7  # as many filters as no other layer has


class Shuffle(nn.Module):
    """Splits, a depthwise convolution, a shuffle, and squeeze and excitation by `view`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, (3, 2), stride=(2, 1), padding=(1, 0))
        self.branch = nn.Sequential(
            nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6), nn.SiLU(),
            nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Hardswish(), nn.Conv2d(6, 6, 1),
        )  # fmt: skip
        self.gate = nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 12), nn.Sigmoid())
        self.up = nn.ConvTranspose2d(12, 8, 2, stride=2, groups=2)
        self.last = nn.Linear(8 * 8 * 12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.stem(x).relu().chunk(2, 1)
        x = torch.cat([left, self.branch(right)], 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = x * self.gate(x.mean((2, 3))).view(n, c, 1, 1)
        return self.last(torch.flatten(nn.functional.gelu(self.up(x)), 1))


class Residual(nn.Module):
    """A residual block whose shortcut is a convolution with a stride, and one without."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, (3, 2), bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.down, self.short = block(6, 12, 2), nn.Conv2d(6, 12, 1, stride=2)
        self.same, self.last = block(12, 12, 1), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = (self.down(x) + self.short(x)).relu()
        return self.last((self.same(x) + x).relu().mean((2, 3)))


def block(channels: int, filters: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
        nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters),
    )  # fmt: skip


MODELS: dict[str, Callable[[], nn.Module]] = {
    "ResNet": Residual,
    "DenseNet": lambda: DenseNetBC(10, 4, classes=CLASSES),
    "shuffle": Shuffle,
}


def prune(model: nn.Module, free_batch: bool, dynamo: bool = False) -> None:
    """The laws of a module's export, half of its filters gone."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    proto = onnx.load_from_string(export_onnx(model, torch.rand(SHAPE), dynamo, free_batch))
    small = assert_laws(proto, 0.5)
    before, after = (
        sum(each.filters for each in read_onnx(m).layers if each.filters != CLASSES)
        for m in (proto, small)
    )
    assert after <= 0.62 * before


@pytest.mark.parametrize("free_batch", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_exported_models(name: str, free_batch: bool) -> None:
    torch.manual_seed(0)
    prune(MODELS[name](), free_batch)


@pytest.mark.parametrize(("free_batch", "names"), [(False, ["shuffle"]), (True, list(MODELS))])
def test_models_of_the_newer_exporter(free_batch: bool, names: list[str]) -> None:
    """Where the batch is fixed only what splits and reshapes: the rest is written alike."""
    torch.manual_seed(0)
    prune(Together(*(MODELS[name]() for name in names)), free_batch, dynamo=True)
