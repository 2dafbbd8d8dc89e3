"""What a candidate is worth: its outputs on images, beside the labels and the float model's."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, log10, prod, sqrt
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from esnsim.errors import ModelError, UsageError
from esnsim.graph.model import Model
from esnsim.graph.substitute import Changes, with_weights
from esnsim.images.sets import DataError, ImageSet
from esnsim.model.network import Array
from esnsim.progress import tell
from esnsim.run.session import session_options

Z = 1.959963984540054  # of the normal distribution: 95 % lie within ±Z
MOST = 64  # images of a batch
LARGEST = 1 << 24  # elements of one value in a batch
KEPT = 1 << 28  # bytes of prepared images that are kept from candidate to candidate
FLOATS = {"float16", "float32", "float64"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model on images; shares are 0 to 1.

    `top1` and `top5` are None without labels, `top5` also where there are no more than 5 classes.
    `agreement` is the share of images for which the float model chooses the same class, `sqnr_db`
    the signal of its outputs over their error. `interval` holds the true top-1 with 95 %
    confidence (Wilson 1927), or without labels the true agreement.
    """

    images: int
    top1: float | None
    top5: float | None
    agreement: float
    sqnr_db: float
    interval: tuple[float, float]

    @property
    def accuracy(self) -> float:
        """Top-1, or without labels the agreement."""
        return self.agreement if self.top1 is None else self.top1

    def ties(self, other: "Evaluation") -> bool:
        """Whether the accuracy of one lies in the interval of the other.

        The intervals are those of unpaired samples: a paired test of both models' answers to the
        same images would tell smaller differences apart.
        """
        first, last = self.interval
        low, high = other.interval
        return first <= other.accuracy <= last or low <= self.accuracy <= high


class Evaluator:
    """Evaluates candidates of one graph: other constants in the same nodes.

    Every candidate is a session of its own. That is faster than a session whose weights are fed
    (docs/compress.md): the runtime folds BatchNormalization and packs weights only if constant.
    """

    def __init__(
        self, graph: Model, images: ImageSet, reference: Array | None = None, threads: int = 0,
        batch: int = 0,
    ) -> None:  # fmt: skip
        """`reference` are the float model's outputs (N, …), by default this graph's own.

        `batch` images run at a time (0: as many as fit); `threads` run each operator (0: one a
        core). Raises DataError for images or labels that do not fit the model.
        """
        self.graph, self.images, self.threads = graph, images, threads
        self._feeds = Feeds(graph, images, batch)
        self.reference = self.outputs({}) if reference is None else reference
        if len(self.reference) != images.count:
            raise UsageError(
                f"the reference holds outputs for {len(self.reference):,} images, not for "
                f"{images.count:,}: give those of the same images"
            )
        _check_labels(images, self.reference)

    def __call__(self, changes: Changes) -> Evaluation:
        """The graph with other constants on all images. Raises ModelError where it can't run."""
        outputs = self.outputs(changes)
        if outputs.shape != self.reference.shape:
            raise UsageError(
                f"the outputs have the shape {outputs.shape} and the float model's "
                f"{self.reference.shape}: compare models with the same classes"
            )
        return evaluation(outputs, self.reference, self.images.labels)

    def outputs(self, changes: Changes) -> Array:
        """The first output for all images (N, …)."""
        session = open_model(with_weights(self.graph, changes), self.threads)
        name, found, done = session.get_outputs()[0].name, [], 0
        for feed, count in self._feeds:
            [array] = run(session, [name], feed)
            fed = len(feed[self._feeds.name])
            if array.ndim < 2 or len(array) != fed:
                raise UsageError(
                    f"output '{name}' has the shape {array.shape} for {fed} images: esnsim "
                    "compares models whose first output has a row of scores for each"
                )
            found.append(array[:count])
            done += count
            tell(f"{done:,} of {self.images.count:,} images")
        return np.concatenate(found)


class Feeds:
    """The images as what a graph's input takes, batch by batch; kept where they are small."""

    def __init__(self, graph: Model, images: ImageSet, batch: int = 0, free: bool = False) -> None:
        """`batch` 0 takes as many as fit; `free` takes no notice of a batch that the file fixes."""
        stored = {tensor.name for tensor in graph.proto.graph.initializer}
        inputs = [info for info in graph.proto.graph.input if info.name not in stored]
        if len(inputs) != 1:
            names = ", ".join(f"'{info.name}'" for info in inputs) or "no inputs"
            raise UsageError(f"the model has {names}: images feed one input")
        self.name = inputs[0].name
        value = graph.scope.get(self.name)
        if value.dtype is None or value.dtype.name not in FLOATS:
            raise UsageError(
                f"input '{self.name}' is of type {value.dtype}: images feed {', '.join(FLOATS)}"
            )
        self._dtype: np.dtype[Any] = value.dtype
        self._images = images
        _check_shape(self.name, value.shape, images)
        dims = inputs[0].type.tensor_type.shape.dim
        self._fixed = max(0, dims[0].dim_value) if dims and not free else 0  # some write −1
        self._batch = self._fixed or batch or fitting(graph, LARGEST, MOST)
        self._kept: list[Array] = []

    def full(self, count: int) -> bool:
        """Whether no image of a batch is there only to fill it."""
        return not self._fixed or count == self._fixed

    def __iter__(self) -> Iterator[tuple[dict[str, Array], int]]:
        """Feeds, each with how many of its images count: the others fill a fixed batch."""
        images, batch = self._images, self._batch
        kept = iter(list(self._kept))
        small = images.count * prod(images.read(0, 1).shape) * self._dtype.itemsize <= KEPT
        for start in range(0, images.count, batch):
            x = next(kept, None)
            count = min(batch, images.count - start)
            if x is None:
                x = images.read(start, start + count).astype(self._dtype)
                if self._fixed and count < batch:
                    x = np.concatenate([x, np.repeat(x[-1:], batch - count, axis=0)])
                if small:
                    self._kept.append(x)
            yield {self.name: x}, count


def evaluation(
    outputs: Array, reference: Array, labels: NDArray[np.int64] | None = None
) -> Evaluation:
    """Compare outputs (N, …) with the float model's on the same images, and with labels (N,)."""
    count = len(outputs)
    same = votes(outputs) == votes(reference)
    agreement = float(same.mean())
    top1 = top5 = None
    right = agreement * count
    if labels is not None:
        scores = outputs.reshape(count, -1)
        right = int((scores.argmax(axis=1) == labels).sum())
        top1 = right / count
        if scores.shape[1] > 5:
            best = np.argpartition(-scores, 4, axis=1)[:, :5]
            top5 = float((best == labels[:, None]).any(axis=1).mean())
    return Evaluation(
        count, top1, top5, agreement, sqnr_db(outputs, reference), wilson(right, count)
    )


def votes(outputs: Array) -> NDArray[np.int64]:
    """The class of each image (N,), or of each place where a model gives a class to places.

    Scores lie along the second axis, as in (N, K) and (N, K, H, W), or of (N, T, K) the last.
    """
    return np.asarray(outputs.argmax(axis=-1 if outputs.ndim == 3 else 1).reshape(len(outputs), -1))


def sqnr_db(outputs: Array, reference: Array) -> float:
    """Σ reference² / Σ (outputs − reference)² in dB: inf where they are equal."""
    wide = reference.astype(np.float64)
    signal, noise = float((wide**2).sum()), float(((outputs - wide) ** 2).sum())
    if noise == 0:
        return inf
    return 10 * log10(signal / noise) if signal > 0 and noise < inf else -inf


def wilson(right: float, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share of which `right` of `count` were seen (Wilson)."""
    share, z2 = right / count, Z * Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = Z * sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return min(share, max(0.0, middle - spread)), max(share, min(1.0, middle + spread))


def fitting(graph: Model, elements: int, most: int) -> int:
    """How many images may run at a time so that no value has more elements than that."""
    shapes = (graph.scope.get(name).shape for node in graph.nodes for name in node.output if name)
    largest = max((prod(shape[1:]) for shape in shapes if shape), default=1)
    return max(1, min(most, elements // max(1, largest)))


def open_model(model: ModelProto, threads: int = 0) -> ort.InferenceSession:
    """A session with optimisation on. Raises ModelError where ONNX Runtime can't load it."""
    options = session_options(threads)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"ONNX Runtime cannot load the model: {_line(error)}") from None


def run(session: ort.InferenceSession, names: list[str], feed: dict[str, Array]) -> list[Array]:
    """Outputs of a session. Raises ModelError where it stops."""
    try:
        return [np.asarray(array) for array in session.run(names, feed)]
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise ModelError(f"ONNX Runtime stopped: {_line(error)}") from None


def _check_shape(name: str, shape: tuple[int, ...] | None, images: ImageSet) -> None:
    if images.count < 1:
        raise DataError(f"'{images.name}' has no images: give at least one")
    got = images.read(0, 1).shape[1:]
    if shape is not None and got != shape[1:]:
        needs, found = ("×".join(map(str, size)) for size in (shape[1:], got))
        raise DataError(
            f"images of '{images.name}' are {found}, but input '{name}' takes {needs}: give other "
            "images, --resize and --crop, or --input-shape"
        )


def _check_labels(images: ImageSet, outputs: Array) -> None:
    if images.labels is None:
        return
    classes = prod(outputs.shape[1:])
    if outputs.ndim < 2 or classes != outputs.shape[1]:
        raise DataError(
            f"labels need one score a class, but the model gives {outputs.shape[1:]} for an image: "
            "leave the labels out"
        )
    low, high = int(images.labels.min()), int(images.labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"labels of '{images.name}' go from {low} to {high}, but the model has {classes} "
            "classes, counted from 0: give the labels of this model"
        )


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
