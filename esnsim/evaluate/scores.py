"""What of a model's outputs is scored, and what the outputs are worth beside labels and the float
model's.
"""

from dataclasses import dataclass
from math import inf, log10, prod, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError
from esnsim.model.network import Array

Z = 1.959963984540054  # of the normal distribution: 95 % lie within ±Z
UNDECIDED = -1  # the answer where scores are NaN: right for no label, and agrees with none

#: Scores of classes along an axis; one score of two classes; numbers of classes; no classes.
Kind = Literal["classes", "threshold", "indices", "values"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The output that is scored, and how.

    Images lie along `batch_axis` of it (None: the model takes one image, and the output has no
    axis for it), scores of classes along `class_axis`. A single score says class 1 where it is
    above `threshold`. `places` is the shape of what is classified in an image: () for the image
    itself, (H, W) for its pixels. `classes` is None where the output does not tell how many.
    """

    output: str
    kind: Kind
    batch_axis: int | None
    class_axis: int | None
    classes: int | None
    threshold: float | None
    places: tuple[int, ...]

    def by_image(self, output: Array) -> Array:
        """The output (N, …) with images along the first axis."""
        if self.batch_axis is None:
            return output[None]
        return np.moveaxis(output, self.batch_axis, 0)

    def answers(self, outputs: Array) -> NDArray[np.int64] | None:
        """The class of each place (N, places) of outputs (N, …), None where there are none."""
        count = len(outputs)
        if self.kind == "values":
            return None
        if self.kind == "classes":
            axis = self._class_axis_by_image
            found = np.asarray(outputs.argmax(axis=axis))
            unknown = np.isnan(outputs).any(axis=axis)
        else:
            single = self.threshold is not None
            unknown = np.isnan(outputs)
            found = (outputs > self.threshold) if single else np.where(unknown, 0, outputs)
        answers = np.where(unknown, UNDECIDED, found.astype(np.int64))
        return np.asarray(answers.reshape(count, -1))

    def ranked(self, outputs: Array) -> Array | None:
        """The scores (N, classes) where each image has one place, else None."""
        if self.kind != "classes" or prod(self.places) != 1:
            return None
        return np.asarray(outputs.reshape(len(outputs), -1))

    @property
    def _class_axis_by_image(self) -> int:
        assert self.class_axis is not None
        before = self.batch_axis is None or self.class_axis < self.batch_axis
        return self.class_axis + before


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A model on images; shares are 0 to 1, of images or, where it classifies them, of places.

    `top1` and `top5` are None without labels, `top5` also where there are no more than 5 classes.
    `agreement` is the share for which the float model gives the same class, None where there are
    no classes. `sqnr_db` is the signal of the outputs over their error. `interval` holds the true
    top-1 with 95 % confidence (Wilson 1927), or without labels the true agreement; places of one
    image count as one image, as they are not independent; without classes it is (0, 1). `chance`
    is the accuracy of a model that always answers with the class that is most frequent.
    """

    images: int
    top1: float | None
    top5: float | None
    agreement: float | None
    sqnr_db: float
    interval: tuple[float, float]
    chance: float | None = None

    @property
    def accuracy(self) -> float | None:
        """Top-1, or without labels the agreement; None where there are no classes."""
        return self.agreement if self.top1 is None else self.top1

    @property
    def known_accuracy(self) -> float:
        """The accuracy. Raises UsageError where there are no classes."""
        if self.accuracy is None:
            raise UsageError(
                "nothing tells where the classes of the scored output are, so it has no accuracy, "
                "only an SQNR: give --class-axis, or another --score-output"
            )
        return self.accuracy

    @property
    def at_chance(self) -> bool:
        """Whether always the same answer may be as good: the interval holds that accuracy."""
        return self.chance is not None and self.interval[0] <= self.chance

    def ties(self, other: "Evaluation") -> bool:
        """Whether the accuracy of one lies in the interval of the other, and neither is at chance.

        The intervals are those of unpaired samples: a paired test of both models' answers to the
        same images would tell smaller differences apart.
        """
        ours, theirs = self.accuracy, other.accuracy
        if ours is None or theirs is None or self.at_chance or other.at_chance:
            return False
        first, last = self.interval
        low, high = other.interval
        return first <= theirs <= last or low <= ours <= high


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """A network run on a machine, `found`, beside the float model on the same images."""

    scored: Scored
    floats: Evaluation
    found: Evaluation


def evaluation(
    outputs: Array, reference: Array, scored: Scored, labels: NDArray[np.int64] | None = None
) -> Evaluation:
    """Compare outputs (N, …) with the float model's on the same images, and with labels.

    Labels are (N,), or of each place (N, …).
    """
    count, noise = len(outputs), sqnr_db(outputs, reference)
    answers, wanted = scored.answers(outputs), scored.answers(reference)
    if answers is None or wanted is None:
        return Evaluation(
            images=count, top1=None, top5=None, agreement=None, sqnr_db=noise, interval=(0.0, 1.0)
        )
    agreement = _share(answers, wanted)
    top1 = top5 = None
    if labels is not None:
        wanted = labels.reshape(count, -1)
        top1 = _share(answers, wanted)
        scores = scored.ranked(outputs)
        if scores is not None and scores.shape[1] > 5:
            best = np.argpartition(-scores, 4, axis=1)[:, :5]
            top5 = float((best == wanted).any(axis=1).mean())
    accuracy = agreement if top1 is None else top1
    _, frequencies = np.unique(wanted, return_counts=True)
    return Evaluation(
        images=count, top1=top1, top5=top5, agreement=agreement, sqnr_db=noise,
        interval=wilson(accuracy * count, count), chance=float(frequencies.max() / wanted.size),
    )  # fmt: skip


def _share(answers: NDArray[np.int64], wanted: NDArray[np.int64]) -> float:
    """The share of places whose answer is the wanted one."""
    return float(((answers == wanted) & (answers != UNDECIDED)).mean())


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
