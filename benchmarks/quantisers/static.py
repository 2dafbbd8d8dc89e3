"""ONNX Runtime's static quantisation of a model, to a file, as its documentation says to."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

BATCH = 50  # images at a time
TYPES = {4: QuantType.QInt4, 8: QuantType.QInt8}


class Images(CalibrationDataReader):  # type: ignore[misc]
    """Calibration images (N, C, H, W), a batch at a time."""

    def __init__(self, name: str, images: NDArray[np.float32]) -> None:
        parts = np.array_split(images, max(1, len(images) // BATCH))
        self._feeds = iter([{name: part} for part in parts])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next feed, None after the last."""
        return next(self._feeds, None)


def prepare(source: Path, target: Path) -> None:
    """The float model with BatchNormalization folded and shapes inferred."""
    quant_pre_process(source, target)


def quantise(
    prepared: Path, target: Path, name: str, images: NDArray[np.float32], bits: int
) -> None:
    """Weights of 4 or 8 bits per filter, activations of 8 bits by min and max, as QDQ."""
    quantize_static(
        prepared, target, Images(name, images), quant_format=QuantFormat.QDQ, per_channel=True,
        weight_type=TYPES[bits], activation_type=QuantType.QInt8,
    )  # fmt: skip
