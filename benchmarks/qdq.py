"""ONNX Runtime's static quantisation of the embedded ResNet-20, on the array and by ONNX Runtime.

`python -m benchmarks qdq`: the network with BatchNormalization folded, quantised in both of ONNX
Runtime's forms (weights of 7 bits, so that its integer kernels are exact without VNNI too), run on
the 1,000 images end to end on the digital array, in ONNX Runtime with optimisation off, and fused.
Prints how many logits and classes of the array's are theirs.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import esnsim
from benchmarks.engines_report import table
from esnsim.graph.model import open_model
from esnsim.images.sets import embedded
from esnsim.importer import EMBEDDED
from esnsim.machines.array.engine import DigitalEngine
from esnsim.run import cut, quantized_compute

Feeds = dict[str, NDArray[Any]]
FORMS = ("QOperator", "QDQ")
BATCH = 50


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """The last hundred images."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.batches: Iterator[Feeds] = iter([{"image": images[-100:]}])

    def get_next(self) -> Feeds | None:
        return next(self.batches, None)


def main(options: Sequence[str]) -> int:
    """Quantise, run three ways, print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks qdq", description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args(options)
    data = embedded()
    images, labels = data.read(0, data.count), data.labels
    assert labels is not None
    rows = []
    for form in FORMS:
        with TemporaryDirectory() as folder:
            proto = quantised(Path(folder), form, images)
        few = images[: arguments.images]
        ours = on_array(proto, few, arguments.threads)
        off = in_runtime(proto, few, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
        fused = in_runtime(proto, few, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
        step = np.diff(np.unique(off)).min()
        rows.append(
            (
                form, f"{(ours.argmax(1) == labels[: len(few)]).mean():.1%}",
                f"{(ours != off).mean():.3%}", f"{np.abs(ours - off).max() / step:.0f}",
                f"{(ours.argmax(1) == off.argmax(1)).mean():.1%}",
                f"{(ours.argmax(1) == fused.argmax(1)).mean():.1%}",
            )
        )  # fmt: skip
    head = ("form", "top-1 on the array", "other logits than unfused", "largest difference, steps",
            "class as unfused", "class as fused")  # fmt: skip
    print(table(head, rows))
    return 0


def quantised(folder: Path, form: str, images: NDArray[np.float32]) -> ModelProto:
    """The embedded ResNet-20, folded and quantised by ONNX Runtime."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "folded.onnx")
    ort.InferenceSession(EMBEDDED / "resnet20.onnx", options)
    quantize_static(
        folder / "folded.onnx", folder / "quantised.onnx", Calibration(images),
        quant_format=QuantFormat[form], per_channel=True, reduce_range=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return onnx.load(folder / "quantised.onnx")


def on_array(proto: ModelProto, images: NDArray[np.float32], threads: int) -> NDArray[Any]:
    """Logits of the digital array."""
    model = open_model(proto)
    graph = cut(model, threads)
    compute = quantized_compute(
        esnsim.quantize(model.network), DigitalEngine(threads=threads).run, {}
    )
    return batches(images, lambda x: graph.run({"image": x}, compute)["logits"])


def in_runtime(proto: ModelProto, images: NDArray[np.float32], level: Any) -> NDArray[Any]:
    """Logits of ONNX Runtime."""
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 3
    session = ort.InferenceSession(proto.SerializeToString(), options)
    return batches(images, lambda x: session.run(None, {"image": x})[0])


def batches(images: NDArray[np.float32], run: Any) -> NDArray[Any]:
    """The logits of all images, some at a time."""
    parts = [run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate(parts)
