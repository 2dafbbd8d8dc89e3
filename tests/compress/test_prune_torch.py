"""Pruning what torch exports, by its older exporter and its newer one, the batch open or not."""

import onnx
import pytest
import torch
from torch import Tensor, nn

from esnsim import read_onnx
from esnsim.training.export import export_onnx
from esnsim.training.models import CifarResNet, DenseNetBC
from tests.compress.pruning import assert_laws


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
        self.last = nn.Linear(8 * 8 * 12, 5)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.stem(x).relu().chunk(2, 1)
        x = torch.cat([left, self.branch(right)], 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = x * self.gate(x.mean((2, 3))).view(n, c, 1, 1)
        return self.last(torch.flatten(nn.functional.gelu(self.up(x)), 1))


MODELS = {
    "ResNet": (lambda: CifarResNet(8, width=6), (1, 3, 12, 8)),
    "DenseNet": (lambda: DenseNetBC(22, 4), (1, 3, 16, 8)),
    "shuffle": (Shuffle, (1, 3, 8, 7)),
}


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("free_batch", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_exported_models(name: str, free_batch: bool, dynamo: bool) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = make()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    proto = onnx.load_from_string(export_onnx(model, torch.rand(shape), dynamo, free_batch))
    small = assert_laws(proto, 0.5)
    before, after = (sum(x.filters for x in read_onnx(m).layers[:-1]) for m in (proto, small))
    assert after <= 0.62 * before
