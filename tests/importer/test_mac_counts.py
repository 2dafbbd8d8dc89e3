"""Multiply-accumulates and weights of well-known networks, to the unit."""

from pathlib import Path

import onnx
import pytest

from esnsim import Network
from esnsim.selfcheck.accelerators import golden
from tests import architectures as a
from tests import mobile_architectures as m
from tests.importer.models import read_whole

GOLDENS = golden("mac_counts")
TORCHVISION = GOLDENS["torchvision (documented GFLOPS agree to the last printed digit)"]
PARAMETERS = GOLDENS["parameters (torchvision)"]
MOBILENET_V1 = GOLDENS["MobileNetV1 (paper: 569/325/149/41 M)"]
LIGHT = GOLDENS["onnx wheel, backend/test/data/light"]
NETWORKS = {
    "alexnet": a.alexnet,
    "vgg16": lambda: a.vgg(2, 2, 3, 3, 3),
    "vgg19": lambda: a.vgg(2, 2, 4, 4, 4),
    "squeezenet1_1": a.squeezenet1_1,
    "resnet18": lambda: a.resnet(2, 2, 2, 2, bottleneck=False),
    "resnet34": lambda: a.resnet(3, 4, 6, 3, bottleneck=False),
    "resnet50": lambda: a.resnet(3, 4, 6, 3),
    "resnet101": lambda: a.resnet(3, 4, 23, 3),
    "resnext50_32x4d": lambda: a.resnet(3, 4, 6, 3, groups=32, width=4),
    "densenet121": a.densenet121,
    "googlenet": a.googlenet,
    "inception_v3 (299x299)": a.inception_v3,
    "mobilenet_v2": m.mobilenet_v2,
    "mobilenet_v3_small": lambda: m.mobilenet_v3(m.SMALL, 1024),
    "mobilenet_v3_large": lambda: m.mobilenet_v3(m.LARGE, 1280),
    "shufflenet_v2_x1_0": m.shufflenet_v2,
    "efficientnet_b0": m.efficientnet_b0,
    "convnext_tiny": a.convnext_tiny,
}


def macs(network: Network) -> int:
    return sum(layer.macs for layer in network.layers)


def weights(network: Network) -> int:
    return sum(layer.weight.size for layer in network.layers)


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_network_has_its_reference_macs(name: str) -> None:
    network = read_whole(NETWORKS[name]())
    assert macs(network) == TORCHVISION[name]
    assert not network.products
    assert not network.uncounted


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "vgg16"])
def test_weights_with_biases_and_batchnorms_are_torchvisions_parameters(name: str) -> None:
    network = read_whole(NETWORKS[name]())
    extra = sum(layer.filters * (2 if layer.batchnorm else 1) for layer in network.layers)
    assert weights(network) + extra == PARAMETERS[name]


@pytest.mark.parametrize("width", MOBILENET_V1)
def test_mobilenet_v1_has_its_reference_macs(width: str) -> None:
    assert macs(read_whole(m.mobilenet_v1(float(width)))) == MOBILENET_V1[width]


@pytest.mark.parametrize("name", LIGHT)
def test_model_of_the_onnx_wheel_has_its_reference_macs_and_weights(name: str) -> None:
    folder = Path(onnx.__file__).parent / "backend/test/data/light"
    network = read_whole(folder / f"{name}.onnx")
    assert [macs(network), weights(network)] == LIGHT[name]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (1.0, (607_600_640, 4_656_512)),
        (0.5, (152_805_376, 1_185_472)),
        (0.25, (38_653_952, 307_040)),
    ],
)
def test_vgg7_of_appendix_f_has_its_macs_and_weights(
    width: float, expected: tuple[int, int]
) -> None:
    network = read_whole(a.vgg7(width))
    assert (macs(network), weights(network)) == expected


def test_resnet20_of_fig_6_has_800_filters_and_41_075_328_macs() -> None:
    network = read_whole(a.cifar_resnet20())
    filters = sum(layer.filters for layer in network.layers if layer.op == "Conv")
    assert (filters, macs(network)) == (800, 41_075_328)
