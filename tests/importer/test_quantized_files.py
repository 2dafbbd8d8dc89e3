"""The embedded ResNet-8 as ONNX Runtime quantises it, in both of its formats."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

import esnsim
from esnsim import Layer, Network
from tests.importer.models import read_whole

SOURCE = Path(esnsim.__file__).parent / "embedded/resnet8.onnx"


class Noise(CalibrationDataReader):  # type: ignore[misc]
    """Two batches of noise: calibration decides on activations, not on weights."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        name = onnx.load(SOURCE).graph.input[0].name
        self.batches: Iterator[dict[str, Any]] = iter(
            [{name: rng.random((2, 1, 28, 28), np.float32)} for _ in range(2)]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.batches, None)


@pytest.fixture(autouse=True)
def _no_advice() -> Iterator[None]:
    logging.disable(logging.WARNING)  # ONNX Runtime advises to fold BatchNormalization first
    yield
    logging.disable(logging.NOTSET)


# Per channel and unsigned is no case: ONNX Runtime then makes other integers in each format.
@pytest.fixture(params=[(True, "QInt8"), (False, "QInt8"), (False, "QUInt8")])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"per_channel": request.param[0], "weight_type": QuantType[request.param[1]]}


def by_tensor(network: Network) -> dict[str, Layer]:
    """Layers by their weights' tensor: ONNX Runtime sorts nodes anew."""
    return {layer.weight.origin.removesuffix("_quantized"): layer for layer in network.layers}


def test_both_formats_have_the_same_integers_near_the_float_weights(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    found = []
    for form in QuantFormat:
        path = tmp_path / f"{form}.onnx"
        quantize_static(
            SOURCE, path, Noise(), quant_format=form, activation_type=QuantType.QUInt8, **options
        )
        found.append(by_tensor(read_whole(path)))
    ours, theirs = found
    floats = by_tensor(read_whole(SOURCE))
    assert ours.keys() == theirs.keys() == floats.keys()
    for name, original in floats.items():
        a, b = ours[name], theirs[name]
        assert a.weight.codes is not None
        assert b.weight.codes is not None
        assert (a.weight.codes.bits, a.geometry, a.macs) == (8, b.geometry, original.macs)
        np.testing.assert_array_equal(a.weight.load(), b.weight.load())
        np.testing.assert_array_equal(a.weight.codes.scale(), b.weight.codes.scale())
        error = a.weight.load() * a.weight.codes.scale() - original.weight.load()
        assert (np.abs(error) <= a.weight.codes.scale() * 0.501).all()


def test_dynamically_quantised_weights_are_their_integers_less_the_zero_point(
    tmp_path: Path,
) -> None:
    path = tmp_path / "dynamic.onnx"
    quantize_dynamic(SOURCE, path, weight_type=QuantType.QUInt8)
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    layers, floats = by_tensor(read_whole(path)), by_tensor(read_whole(SOURCE))
    assert {layer.op for layer in layers.values()} == {"ConvInteger", "MatMulInteger"}
    for name, layer in layers.items():
        integers, scale = layer.weight.load(), tensors[f"{name}_scale"]
        error = integers * scale - floats[name.removesuffix("_Transposed")].weight.load()
        assert np.abs(error).max() <= scale * 0.501
        assert integers.min() >= -int(tensors[f"{name}_zero_point"])
