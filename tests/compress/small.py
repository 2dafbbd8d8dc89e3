"""A small network that whole commands run on, and images that it classifies."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto

from esnsim.compression.correct.recalibrate import Corrector
from esnsim.graph.model import open_model
from esnsim.graph.substitute import with_weights
from esnsim.images.sets import ImageSet
from tests.importer.graphs import Array
from tests.importer.models import model
from tests.samples import saved

IMAGES = 240
WRONG = 6  # labels of the second half that are not the float model's classes
NODES = """
    [first] h = Conv<pads=[1,0,1,1], strides=[2,1]>(x, w) n = BatchNormalization(h, g, b, m, v)
    r = Relu(n) [depth] d = Conv<group=6>(r, u) s = Relu(d) [wide] e = Conv(s, t, o) q = Relu(e)
    p = GlobalAveragePool(q) f = Flatten(p) [last] y = Gemm<transB=1>(f, fc, c)"""


def network(opset: int = 21, bias: Array | None = None) -> ModelProto:
    """Strided, depthwise and plain convolutions and a Gemm: 2×7×5 pixels to 4 classes."""
    bias = np.zeros(4, np.float32) if bias is None else bias
    rng = np.random.default_rng(3)

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    proto = model(
        NODES, "float[N,2,7,5] x", opset=opset, ir=8,
        w=normal(6, 2, 3, 2), u=normal(6, 1, 2, 3), t=normal(8, 6, 1, 1), fc=normal(4, 8),
        g=abs(normal(6)), b=normal(6), m=normal(6), v=abs(normal(6)), o=normal(8), c=bias,
    )  # fmt: skip
    proto.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 4])
    )
    return proto


def settled(proto: ModelProto, images: ImageSet) -> ModelProto:
    """The model with the statistics that BatchNormalization has on the images."""
    graph = open_model(proto)
    return with_weights(graph, Corrector(graph, images)({}))


def outputs(proto: ModelProto, pixels: Array) -> Array:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": pixels})[0])


def furnished(folder: Path) -> Path:
    """The folder with the model and images, labelled as the float model classifies nearly all."""
    pixels = np.random.default_rng(4).normal(size=(IMAGES, 2, 7, 5)).astype(np.float32)
    images = ImageSet(name="noise", count=len(pixels), read=lambda start, stop: pixels[start:stop])
    proto = settled(network(), images)
    middle = -outputs(proto, pixels).mean(axis=0)  # so that each class is the best of some images
    proto = settled(network(bias=middle), images)
    saved(proto, folder)
    labels = np.argmax(outputs(proto, pixels), axis=1)
    assert np.bincount(labels).min() > 5
    wrong = slice(IMAGES // 2, IMAGES // 2 + WRONG)  # the first half calibrates
    labels[wrong] = (labels[wrong] + 1) % 4
    np.savez(folder / "images.npz", images=pixels, labels=labels)
    np.savez(folder / "bare.npz", images=pixels)
    return folder
