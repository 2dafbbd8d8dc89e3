"""Units in the order in which they go: least noise at the output for what their removal saves.

Without a channel a layer's weights are refitted to the others, and what stays of the error at its
output follows from its inputs' Gram matrix in closed form (optimal brain surgeon, Hassibi and Stork
1993, for the columns of a channel at once). One unit after the other goes, and the layers that read
it are refitted each time. Across the network units compete by the noise that they add at the output
for each MAC that they save: one price for all layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esnsim.compression.allocate.sensitivity import NOISE
from esnsim.compression.prune.prune import Kept, live_macs, without
from esnsim.compression.prune.units import Coupling, couple
from esnsim.compression.round.inputs import moments_in_float
from esnsim.compression.round.moments import Moments
from esnsim.evaluate.feeds import Feeds
from esnsim.graph.model import Model
from esnsim.images.sets import ImageSet
from esnsim.model.network import Layer
from esnsim.progress import show_progress
from esnsim.quantization.filter_sums import Floats, Ints

RIDGE = 0.1  # of the inputs' mean energy, as where pruned layers are refitted
MOST_SHARE = 0.5  # of the units of like layers go, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The units of a model that can go, first those that cost least noise for what they save."""

    model: Model
    coupling: Coupling
    units: Ints

    def kept(self, share: float) -> Kept:
        """The filters (M,) of each layer that stay so that this share of the MACs does, or less."""
        network = self.model.network
        budget = share * live_macs(network, self._without(0))
        low, high = 0, len(self.units)
        while low < high:
            middle = (low + high) // 2
            fits = live_macs(network, self._without(middle)) <= budget
            low, high = (low, middle) if fits else (middle + 1, high)
        return self._without(low)

    def _without(self, count: int) -> Kept:
        return without(self.model.network, self.coupling, self.units[:count])


def order(model: Model, images: ImageSet, gains: Sequence[Floats], threads: int = 0) -> Order:
    """The order for a model's `gains`, as `sensitivity` gives them, on calibration images."""
    coupling, layers = couple(model), model.network.layers
    feeds = [feed for feed, _ in Feeds(model, images).whole()]
    readers = {}
    for site, [moments, *others] in moments_in_float(model, coupling.sites, feeds, threads):
        if not others:  # filters of grouped convolutions go with the channels that they read
            readers[site.index] = _Reader(site.layer, moments, gains[site.index], coupling)
    found: list[tuple[float, int]] = []
    spaces = _spaces(coupling, layers)
    for done, (own, units) in enumerate(spaces.items()):
        show_progress(f"measuring pruning, {done + 1:,} of {len(spaces):,}")
        steepest = 0.0
        for unit, noise, saved in _removed(own, units, readers, layers):
            steepest = max(steepest, noise / saved)  # none before those that go first here
            found.append((steepest, unit))
    units_ = np.array([unit for _, unit in sorted(found, key=lambda each: each[0])], np.int64)
    return Order(model=model, coupling=coupling, units=units_)


class _Reader:
    """A layer that reads units, refitted to those that are left."""

    def __init__(self, layer: Layer, moments: Moments, gains: Floats, coupling: Coupling) -> None:
        size = layer.weight.size // layer.filters
        gram = moments.centred.gram
        energy = max(float(np.trace(gram)) / size, 1e-30)
        self._weights = layer.weight.load().reshape(layer.filters, size).astype(np.float64)
        self._inverse = np.linalg.inv(gram + RIDGE * energy * np.eye(size))
        self._worth = gains[:, NOISE] / energy  # of noise at this layer's output
        self.units = coupling.unit[np.asarray(layer.channels)]
        self._lanes = np.repeat(self.units, size // len(self.units))
        self.macs = layer.macs / len(self.units)  # of a channel

    def noise(self, unit: int) -> float:
        """What the removal of a unit adds at the network's output."""
        lanes, solved = self._solved(unit)
        off = np.einsum("sm,ms->m", solved, self._weights[:, lanes])
        return float(self._worth @ off)

    def remove(self, unit: int) -> None:
        """Refit the weights to the channels without a unit."""
        lanes, solved = self._solved(unit)
        block = self._inverse[np.ix_(lanes, lanes)]
        self._weights -= solved.T @ self._inverse[lanes]
        self._inverse -= self._inverse[:, lanes] @ np.linalg.solve(block, self._inverse[lanes])
        self._lanes[lanes] = -1

    def _solved(self, unit: int) -> tuple[Ints, Floats]:
        """The unit's lanes S and (H⁻¹_SS)⁻¹ · W_Sᵀ."""
        lanes = np.flatnonzero(self._lanes == unit)
        block = self._inverse[np.ix_(lanes, lanes)]
        return lanes, np.linalg.solve(block, self._weights[:, lanes].T)


def _removed(
    own: Sequence[int], units: Sequence[int], readers: Mapping[int, _Reader],
    layers: Sequence[Layer],
) -> list[tuple[int, float, float]]:  # fmt: skip
    """The units of like layers as they go: each, the noise that it adds, the MACs that it saves."""
    reading = [each for each in readers.values() if np.isin(each.units, units).any()]
    left, found = list(units), []
    while reading and len(left) > max(1.0, (1 - MOST_SHARE) * len(units)):
        noises = [sum(each.noise(unit) for each in reading) for unit in left]
        unit = left.pop(place := int(np.argmin(noises)))
        saved = sum(layers[index].macs / layers[index].filters for index in own)
        saved += sum(each.macs * int((each.units == unit).sum()) for each in reading)
        for each in reading:
            each.remove(unit)
        found.append((unit, max(noises[place], 0.0), saved))
    return found


def _spaces(coupling: Coupling, layers: Sequence[Layer]) -> dict[tuple[int, ...], list[int]]:
    """The units that can go by the layers of their filters, a layer as often as it has some."""
    owners: dict[int, list[int]] = {}
    for index, layer in enumerate(layers):
        for unit in coupling.of(layer).tolist():
            owners.setdefault(unit, []).append(index)
    spaces: dict[tuple[int, ...], list[int]] = {}
    for unit, own in owners.items():
        if unit not in coupling.stays and unit not in coupling.met:  # what meets has no reader
            spaces.setdefault(tuple(own), []).append(unit)
    return spaces
