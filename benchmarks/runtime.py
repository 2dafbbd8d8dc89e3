"""Images, and ONNX Runtime as benchmarks use it: models folded, quantised, and run in batches."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from esnsim.images.sets import ImageSet, embedded, load
from esnsim.images.split import split

BATCH = 50  # images at a time


def halves(folder: Path | None, calibration: int) -> tuple[ImageSet, ImageSet]:
    """Images without labels to calibrate with, at most so many, and others to evaluate on.

    Training and test images of Fashion-MNIST's idx files in a folder, or the embedded ones.
    """
    if folder is None:
        first, rest = split(embedded(), calibration)
    else:
        train, test = (load(folder / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k"))
        first, rest = split(test, calibration, train)
    return replace(first, labels=None), rest


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Images (N, C, H, W) for the input `name`, a batch at a time."""

    def __init__(self, name: str, images: NDArray[np.float32]) -> None:
        parts = np.array_split(images, max(1, len(images) // BATCH))
        self._feeds = iter([{name: part} for part in parts])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next feed, None after the last."""
        return next(self._feeds, None)


def fold(source: Path, target: Path) -> None:
    """Write the model with BatchNormalization folded into the weights."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    ort.InferenceSession(source, options)


def quantise(
    source: Path, target: Path, name: str, images: NDArray[np.float32], **how: object
) -> None:
    """Write the model quantised by filter, calibrated on images for its input `name`."""
    quantize_static(source, target, Calibration(name, images), per_channel=True, **how)


def session(model: Path | bytes, level: Any = None, threads: int = 0) -> ort.InferenceSession:
    """The model in ONNX Runtime, optimised as far as `level` says, or fully."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.graph_optimization_level = level or ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def outputs(opened: ort.InferenceSession, name: str, images: NDArray[np.float32]) -> NDArray[Any]:
    """The first output for all images, given to the input `name` some at a time."""
    return in_batches(lambda x: opened.run(None, {name: x})[0], images)


def in_batches(
    run: Callable[[NDArray[np.float32]], NDArray[Any]], images: NDArray[np.float32]
) -> NDArray[Any]:
    """What a function gives for all images, some at a time."""
    starts = range(0, len(images), BATCH)
    return np.concatenate([run(images[start : start + BATCH]) for start in starts])
