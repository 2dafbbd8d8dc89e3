"""Networks of two layers whose outputs lie in every way that people's do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from esnsim.images.sets import ImageSet
from tests.execute.models import Array, model, normal

STEM = "a = Conv<pads = [1,1,1,1]>(x, w1)\n b = Relu(a)\n "
IMAGES = 9


@dataclass(frozen=True)
class Layout:
    """A head behind the stem, and what of its output has to be found."""

    head: str
    kind: str
    batch: int | None = 0
    classes: int | None = None
    threshold: float | None = None
    places: tuple[int, ...] = ()
    weights: tuple[int, ...] = (4, 8, 1, 1)
    outputs: str = "y"
    name: str = "y"


POOLED = "p = GlobalAveragePool(b)\n f = Flatten(p)\n "
#: The steps of a sequence are the columns of the image.
STEPS = "q = ReduceMean<keepdims = 0>(b, two)\n s = Transpose<perm = [0,2,1]>(q)\n "

LAYOUTS = {
    "N K": Layout(POOLED + "y = MatMul(f, w2)", "classes", classes=1, weights=(8, 4)),
    "N 1 probability": Layout(
        POOLED + "z = MatMul(f, w2)\n y = Sigmoid(z)", "threshold", classes=1, threshold=0.5,
        weights=(8, 1),
    ),
    "N probability": Layout(
        POOLED + "z = MatMul(f, w2)\n v = Squeeze(z, one)\n y = Sigmoid(v)", "threshold",
        threshold=0.5, weights=(8, 1),
    ),
    "N 1 of anything": Layout(POOLED + "y = MatMul(f, w2)", "values", weights=(8, 1), places=(1,)),
    "N K H W": Layout("y = Conv(b, w2)", "classes", classes=1, places=(6, 5)),
    "N K H W softmax": Layout(
        "z = Conv(b, w2)\n y = Softmax<axis = 1>(z)", "classes", classes=1, places=(6, 5)
    ),
    "N H W K": Layout(
        "z = Conv(b, w2)\n t = Transpose<perm = [0,2,3,1]>(z)\n y = Softmax(t)", "classes",
        classes=3, places=(6, 5),
    ),
    "N 1 H W": Layout(
        "z = Conv(b, w2)\n y = Sigmoid(z)", "threshold", classes=1, threshold=0.5, places=(6, 5),
        weights=(1, 8, 1, 1),
    ),
    "N 3 H W, a picture": Layout(
        "y = Conv(b, w2)", "values", places=(3, 6, 5), weights=(3, 8, 1, 1)
    ),
    "N T K": Layout(STEPS + "y = MatMul(s, w2)", "classes", classes=2, places=(5,), weights=(8, 4)),
    "T N K": Layout(
        STEPS + "z = MatMul(s, w2)\n t = Transpose<perm = [1,0,2]>(z)\n y = Softmax(t)", "classes",
        batch=1, classes=2, places=(5,), weights=(8, 4),
    ),
    "K N T": Layout(
        STEPS + "z = MatMul(s, w2)\n t = Transpose<perm = [2,0,1]>(z)\n y = Softmax<axis = 0>(t)",
        "classes", batch=1, classes=0, places=(5,), weights=(8, 4),
    ),
    "N K L": Layout(
        "z = Conv(b, w2)\n y = Reshape(z, lines)", "classes", classes=1, places=(30,)
    ),
    "N rows anchors": Layout(
        "z = Conv(b, w2)\n l = Reshape(z, lines)\n m, n = Split<axis = 1, num_outputs = 2>(l)\n "
        "c = Sigmoid(m)\n y = Concat<axis = 1>(c, n)", "values", places=(4, 30),
    ),
    "N anchors classes": Layout(
        "z = Conv(b, w2)\n l = Reshape(z, lines)\n t = Transpose<perm = [0,2,1]>(l)\n "
        "y = Concat<axis = 1>(t, t)", "classes", classes=2, places=(60,),
    ),
    "indices": Layout(
        "z = Conv(b, w2)\n y = ArgMax<axis = 1, keepdims = 0>(z)", "indices", places=(6, 5)
    ),
    "two heads": Layout(
        POOLED + "u = MatMul(f, w2)\n z = MatMul(f, w2)\n y = Softmax(z)", "classes", classes=1,
        weights=(8, 4), outputs="u y",
    ),
}  # fmt: skip


def network(layout: Layout, batch: str = "N", zero: bool = False) -> ModelProto:
    """The network; `zero` has weights of 0."""
    weights = {"w1": normal(8, 3, 3, 3), "w2": normal(*layout.weights)}
    if zero:
        weights = {name: np.zeros_like(array) for name, array in weights.items()}
    return model(
        STEM + layout.head, f"float[{batch},3,6,5] x", layout.outputs, **weights,
        lines=np.array([0, 4, -1]), one=np.array([1]), two=np.array([2]),
    )  # fmt: skip


def images(labels: NDArray[np.int64] | None = None, count: int = IMAGES) -> ImageSet:
    """Images of both signs."""
    x = normal(count, 3, 6, 5)
    return ImageSet(name="made", count=count, read=lambda a, b: x[a:b], labels=labels)


def answers(layout: Layout, output: Array) -> Array:
    """The classes (N, places) of an output, by its definition."""
    if layout.batch is not None:
        output = np.moveaxis(output, layout.batch, 0)
    if layout.threshold is not None:
        return np.asarray(output > layout.threshold).reshape(len(output), -1).astype(int)
    if layout.kind == "indices":
        return output.reshape(len(output), -1)
    assert layout.classes is not None
    axis = layout.classes if (layout.batch or 0) < layout.classes else layout.classes + 1
    return output.argmax(axis).reshape(len(output), -1)
