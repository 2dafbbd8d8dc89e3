"""What a candidate is worth: its outputs on images, beside the labels and the float model's."""

from collections.abc import Sequence
from math import prod

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from esnsim.errors import UsageError
from esnsim.evaluate.feeds import Feeds
from esnsim.evaluate.outputs import GUESS, Scoring, find_scored, scored_name
from esnsim.evaluate.runtime import open_runtime, run
from esnsim.evaluate.scores import Evaluation, Scored, evaluation
from esnsim.graph.model import Model
from esnsim.graph.substitute import Changes, with_weights
from esnsim.images.sets import DataError, ImageSet
from esnsim.model.network import Array
from esnsim.progress import show_progress
from esnsim.run.session import check_ends


class Evaluator:
    """Evaluates candidates of one graph: other constants in the same nodes.

    Every candidate is a session of its own. That is faster than a session whose weights are fed
    (docs/compress.md): the runtime folds BatchNormalization and packs weights only if constant.
    """

    def __init__(
        self, graph: Model, images: ImageSet, reference: Array | None = None, threads: int = 0,
        batch: int = 0, scored: Scored | Scoring = GUESS,
    ) -> None:  # fmt: skip
        """`reference` are the float model's outputs (N, …), by default this graph's own.

        `batch` images run at a time (0: as many as fit); `threads` run each operator (0: one a
        core). `scored` is what of the outputs is scored, or what is known of it beforehand.
        Raises DataError for images or labels that do not fit the model.
        """
        self.graph, self.images, self.threads = graph, images, threads
        check_ends(graph)
        self._feeds = Feeds(graph, images, batch)
        session = None
        if isinstance(scored, Scoring):
            session = open_runtime(with_weights(graph, {}), threads)
            scored = scored_of(session, graph, self._feeds, scored, images.labels is not None)
        self.scored = scored
        check_labels(images, scored)
        self.reference = self._outputs(session, {}) if reference is None else reference
        if len(self.reference) != images.count:
            raise UsageError(
                f"the reference holds outputs for {len(self.reference):,} images, not for "
                f"{images.count:,}: give those of the same images"
            )

    def __call__(self, changes: Changes) -> Evaluation:
        """The graph with other constants on all images. Raises ModelError where it can't run."""
        return self.compared(self.outputs(changes))

    def of(self, graph: Model) -> "Evaluator":
        """An evaluator of another graph, beside the same float model on the same images."""
        return Evaluator(graph, self.images, self.reference, self.threads, scored=self.scored)

    @property
    def floats(self) -> Evaluation:
        """The float model beside itself."""
        return self.compared(self.reference)

    def compared(self, outputs: Array) -> Evaluation:
        """The scores of outputs (N, …) for the images."""
        if outputs.shape != self.reference.shape:
            raise UsageError(
                f"the outputs have the shape {outputs.shape} and the float model's "
                f"{self.reference.shape}: compare models with the same classes"
            )
        return evaluation(outputs, self.reference, self.scored, self.images.labels)

    def outputs(self, changes: Changes) -> Array:
        """The scored output for all images (N, …)."""
        return self._outputs(None, changes)

    def _outputs(self, session: ort.InferenceSession | None, changes: Changes) -> Array:
        session = session or open_runtime(with_weights(self.graph, changes), self.threads)
        found, done = [], 0
        for feed, count in self._feeds:
            [array] = run(session, [self.scored.output], feed)
            found.append(self.scored.by_image(array)[:count])
            done += count
            show_progress(f"{done:,} of {self.images.count:,} images")
        return joined(found, self.scored)


def scored_of(
    session: ort.InferenceSession, graph: Model, feeds: Feeds, scoring: Scoring, labelled: bool
) -> Scored:
    """What of a model's outputs is scored, found out by running a few images."""
    name = scored_name(graph, scoring)

    def probe(count: int) -> Array:
        return run(session, [name], feeds.some(count))[0]

    return find_scored(graph, probe, feeds.fixed, scoring, labelled)


def joined(outputs: Sequence[Array], scored: Scored) -> Array:
    """Outputs (n, …) of batches as one array (N, …). Raises UsageError where shapes differ."""
    shapes = {each.shape[1:] for each in outputs}
    if len(shapes) > 1:
        first, second, *_ = sorted(shapes)
        raise UsageError(
            f"output '{scored.output}' has the shape {first} for some images and {second} for "
            "others: choose another with --score-output"
        )
    return np.concatenate(outputs)


def check_labels(images: ImageSet, scored: Scored) -> None:
    """Raise DataError for labels that are none of what is scored."""
    labels = images.labels
    if labels is None:
        return
    name = images.labels_name or images.name
    places = prod(scored.places)
    if scored.kind == "values":
        raise DataError(
            f"labels need classes, and nothing tells where those of output '{scored.output}' are: "
            "give --class-axis, another --score-output, or leave the labels out"
        )
    if prod(labels.shape[1:]) != places:
        raise DataError(
            f"'{name}' has {prod(labels.shape[1:]):,} labels an image, but output "
            f"'{scored.output}' classifies {places:,} places of one: give a label for each, or "
            "leave the labels out"
        )
    _check_range(name, labels, scored.classes)


def _check_range(name: str, labels: NDArray[np.int64], classes: int | None) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes is not None and high >= classes):
        raise DataError(
            f"labels of '{name}' go from {low} to {high}, but the model has {classes or 'its'} "
            "classes, counted from 0: give the labels of this model"
        )
