"""ONNX Runtime's static quantisation of the embedded ResNet-20, on the array and by ONNX Runtime.

`python -m benchmarks qdq`: the network with BatchNormalization folded, quantised in both of ONNX
Runtime's forms (weights of 7 bits, so that its integer kernels are exact without VNNI too), run on
the 1,000 images end to end on the digital array, in ONNX Runtime with optimisation off, and fused.
Prints how many logits and classes of the array's are theirs.
"""

from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import QuantFormat, QuantType

import esnsim
from benchmarks.harness import Benchmark, Document, table
from benchmarks.runtime import fold, in_batches, outputs, quantise, session
from esnsim.graph.model import open_model
from esnsim.images.sets import embedded
from esnsim.importer import find
from esnsim.machines.array.engine import DigitalEngine
from esnsim.run import cut, quantized_compute

FORMS = ("QOperator", "QDQ")
HEAD = ("form", "top-1 on the array", "other logits than unfused", "largest difference, steps",
        "class as unfused", "class as fused")  # fmt: skip


def measure(arguments: Namespace) -> dict[str, Any]:
    """Quantise, and run three ways."""
    data = embedded()
    images = data.read(0, data.count)
    assert data.labels is not None
    few, labels = images[: arguments.images], data.labels[: arguments.images]
    rows = []
    for form in FORMS:
        proto = quantised(form, images)
        ours = on_array(proto, few, arguments.threads)
        off = in_runtime(proto, few, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
        fused = in_runtime(proto, few, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
        steps = np.abs(ours - off).max() / np.diff(np.unique(off)).min()
        same = [(ours.argmax(1) == y).mean() for y in (labels, off.argmax(1), fused.argmax(1))]
        top1, unfused, whole = (f"{share:.1%}" for share in same)
        rows.append((form, top1, f"{(ours != off).mean():.3%}", f"{steps:.0f}", unfused, whole))
    return {"rows": rows}


def render(results: Document) -> str:
    return table(HEAD, results["rows"])


def quantised(form: str, images: NDArray[np.float32]) -> ModelProto:
    """The embedded ResNet-20, folded and quantised by ONNX Runtime on the last hundred images."""
    with TemporaryDirectory() as folder:
        folded, target = Path(folder) / "folded.onnx", Path(folder) / "quantised.onnx"
        fold(find("builtin:resnet20"), folded)
        quantise(
            folded, target, "image", images[-100:], quant_format=QuantFormat[form],
            reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(target)


def on_array(proto: ModelProto, images: NDArray[np.float32], threads: int) -> NDArray[Any]:
    """Logits of the digital array."""
    model = open_model(proto)
    graph = cut(model, threads)
    engine = DigitalEngine(threads=threads)
    compute = quantized_compute(esnsim.quantize(model.network), engine.run, {})
    return in_batches(lambda x: graph.run({"image": x}, compute)["logits"], images)


def in_runtime(proto: ModelProto, images: NDArray[np.float32], level: Any) -> NDArray[Any]:
    """Logits of ONNX Runtime."""
    return outputs(session(proto.SerializeToString(), level), "image", images)


main = Benchmark(
    name="qdq", text=__doc__, measure=measure, render=render, keeps=False,
    options={"--images": 1000, "--threads": 0},
)  # fmt: skip
