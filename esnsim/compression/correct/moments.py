"""Moments of channels, and what brings those of a changed network to those in float."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.correct.meters import Norm, constant
from esnsim.graph.model import Model
from esnsim.importer.constants import attribute
from esnsim.model.network import Array
from esnsim.quantization.filter_sums import Floats

GAINS = (1 / 16, 16.0)  # a filter's output is scaled by no less and no more in a pass


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and variance of the channels of a value (C,), over images and places."""

    mean: Floats
    variance: Floats

    def near(self, other: "Moments", tolerance: float) -> bool:
        """Whether means are as near as that in standard deviations, and variances relatively."""
        least = least_of(self.variance)
        spread = np.sqrt(self.variance) + np.sqrt(least)
        means = np.abs(self.mean - other.mean) <= tolerance * spread
        variances = np.abs(self.variance - other.variance) <= tolerance * self.variance + least
        return bool(means.all() and variances.all())

    def kept(self, mask: NDArray[np.bool_]) -> "Moments":
        """Those of some of the channels (C,)."""
        return Moments(self.mean[mask], self.variance[mask])


#: Moments by the name of a meter.
ByName = Mapping[str, Moments]


def pooled(batches: Sequence[tuple[Array, Array, int]]) -> Moments:
    """The moments of all images from those of batches, each with its number of images."""
    means = np.array([mean.ravel() for mean, _, _ in batches], np.float64)
    variances = np.array([variance.ravel() for _, variance, _ in batches], np.float64)
    counts = np.array([count for *_, count in batches])
    share = (counts / counts.sum())[:, None]
    mean = (share * means).sum(axis=0)
    return Moments(mean, (share * (variances + (means - mean) ** 2)).sum(axis=0))


def gains(measured: Floats, wanted: Floats) -> Floats:
    """The factor, within GAINS, that brings one variance to another; 1 where both are 0."""
    least = least_of(wanted)
    return np.clip(np.sqrt((wanted + least) / (measured + least)), *GAINS)


def least_of(wanted: Floats) -> Floats:
    """A variance that is as good as none."""
    return 1e-9 * wanted + 1e-20


@dataclass(frozen=True, slots=True)
class Anchor:
    """How the statistics of a BatchNormalization follow from measured moments.

    Without `target` they are the measured moments themselves. With it (the moments in float, on
    the same images) the BatchNormalization gives the mean and variance that it gives in float:
    what these images have by chance cancels, and in float nothing changes.
    """

    running: Moments
    epsilon: float
    target: Moments | None

    @property
    def offset(self) -> Floats:
        """The mean in float over the running one."""
        return np.zeros(1) if self.target is None else self.target.mean - self.running.mean

    @property
    def squares(self) -> Floats:
        """(γ / gain)² of the BatchNormalization in float."""
        return np.maximum(self.running.variance + self.epsilon, 1e-30)

    def statistics(self, found: Moments) -> Moments:
        """The statistics for measured moments."""
        if self.target is None:
            return found
        least = least_of(self.target.variance)
        ratio = (found.variance + least) / (self.target.variance + least)
        squares = np.maximum(self.squares * ratio, self.epsilon)
        mean = found.mean - self.offset * np.sqrt(squares / self.squares)
        return Moments(mean, squares - self.epsilon)


def anchor_of(graph: Model, meter: Norm, targets: ByName) -> Anchor:
    """The anchor of a BatchNormalization: to its target, if there is one."""
    running = [constant(graph, slot, {}) for slot in (meter.mean, meter.variance)]
    mean, variance = (np.asarray(array, np.float64) for array in running)
    epsilon = attribute(graph.nodes[meter.place], "epsilon", 1e-5)
    number = float(epsilon) if isinstance(epsilon, float | int) else 1e-5
    return Anchor(Moments(mean, variance), number, targets.get(meter.name))
