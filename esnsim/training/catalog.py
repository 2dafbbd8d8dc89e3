"""The paper's networks by name. Nothing here imports torch until a network is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from esnsim.errors import ModelError

CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A network at one width: how it is built, and its size.

    `input_shape` is (C, H, W). `macs` and `parameters` are those for that input, biases and
    BatchNormalization among the parameters; a test holds them to the built network.
    """

    home: str
    arguments: Mapping[str, Any]
    input_shape: tuple[int, int, int]
    macs: int
    parameters: int
    source: str

    def build(self, **changes: Any) -> Any:
        """The PyTorch module, with arguments such as `channels` or `classes` changed."""
        module, _, name = self.home.partition(":")
        network = getattr(import_module(f"esnsim.training.{module}"), name)
        return network(**{**self.arguments, **changes})


def _cifar_resnet(depth: int, macs: int, parameters: int) -> Entry:
    arguments = {"depth": depth}
    return Entry(
        home="models:CifarResNet",
        arguments=arguments,
        input_shape=CIFAR,
        macs=macs,
        parameters=parameters,
        source="He et al. 2016",
    )


def _vgg(width: float, macs: int, parameters: int) -> Entry:
    return Entry(
        home="models:VGG7",
        arguments={"width": width},
        input_shape=CIFAR,
        macs=macs,
        parameters=parameters,
        source="paper, Appendix F",
    )


def _imagenet(depth: int, width: float, macs: int, parameters: int) -> Entry:
    home, arguments = "imagenet:ImageNetResNet", {"depth": depth, "width": width}
    return Entry(
        home=home,
        arguments=arguments,
        input_shape=IMAGENET,
        macs=macs,
        parameters=parameters,
        source="He et al. 2016",
    )


MODELS: Mapping[str, Entry] = {
    "resnet8": _cifar_resnet(8, 12_763_776, 78_330),
    "resnet14": _cifar_resnet(14, 26_919_552, 175_546),
    "resnet20": _cifar_resnet(20, 41_075_328, 272_762),
    "vgg7": _vgg(1.0, 607_600_640, 4_660_106),
    "vgg7-0.5x": _vgg(0.5, 152_805_376, 1_187_274),
    "vgg7-0.25x": _vgg(0.25, 38_653_952, 307_946),
    "densenet-bc-100-12": Entry(
        home="models:DenseNetBC",
        arguments={"classes": 100},
        input_shape=CIFAR,
        macs=287_960_472,
        parameters=800_032,
        source="Huang et al. 2017",
    ),
    "resnet18": _imagenet(18, 1.0, 1_814_073_344, 11_689_512),
    "resnet18-0.75x": _imagenet(18, 0.75, 1_042_639_872, 6_675_352),
    "resnet18-0.5x": _imagenet(18, 0.5, 483_149_824, 3_055_880),
    "resnet18-0.25x": _imagenet(18, 0.25, 135_603_200, 831_096),
    "resnet50": _imagenet(50, 1.0, 4_089_184_256, 25_557_032),
    "resnet50-0.75x": _imagenet(50, 0.75, 2_322_677_760, 14_771_992),
    "resnet50-0.5x": _imagenet(50, 0.5, 1_052_311_552, 6_917_640),
    "resnet50-0.25x": _imagenet(50, 0.25, 278_085_632, 1_993_976),
}


def entry(name: str) -> Entry:
    """A network by its name; raises ModelError where there is none."""
    if name not in MODELS:
        raise ModelError(f"there is no network '{name}': use one of {', '.join(MODELS)}")
    return MODELS[name]
