"""How much noise each filter's weights pass on to the output, measured on calibration images.

To first order the noise of the output is Σ_m gain_m · ‖error of W_m‖² where errors are independent.
A probe measures a gain: white noise on a filter's weights, run through the rest of the graph in
ONNX Runtime. Every image of a batch probes another filter, so that one run measures as many filters
as it has images, and only what lies behind their layer runs again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from esnsim.compress.evaluate import Feeds
from esnsim.compress.sites import Site, sites
from esnsim.compress.stages import Stage, stages
from esnsim.data import ImageSet
from esnsim.execute.graph import Graph
from esnsim.network import Array, Layer, Network
from esnsim.steps import moments
from esnsim.sums import Floats, Ints

EFFORT = 5 * 10**12  # multiply-accumulates of all probes: a few minutes on two cores
PROBES = 8  # images that probe each filter
TINY = 1e-12  # of the largest gain of a layer, for filters without one
NOISE = 0.1  # amplitude of a probe, in units of the filter's own


@dataclass(frozen=True, slots=True)
class Groups:
    """The filters of a layer in groups that are probed together.

    `of` (M,) is each filter's group. Within a group gains go as `scale` (M,), the square of the
    BatchNormalization's gain. `noise` and `amount` sum up what probes of each group found at the
    output, and what they put in, times `scale`.
    """

    of: Ints
    scale: Floats
    noise: Floats
    amount: Floats

    @property
    def gains(self) -> Floats:
        """Noise at the output for a unit of squared error (M,), NaN where nothing was put in."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.scale * (self.noise / self.amount)[self.of])


def sensitivity(
    graph: Graph,
    network: Network,
    images: ImageSet,
    seed: int = 0,
    threads: int = 0,
    probes: int = PROBES,
    effort: int = EFFORT,
    centred: bool = True,
) -> list[Floats]:
    """For each layer the gains (M,) of its filters: the share of the output's energy that becomes
    noise, for a squared error of 1 in the filter's weights.

    Each filter is probed on `probes` images, one filter at a time where that takes no more than
    `effort` MACs; else filters of a layer with similar gains of BatchNormalization, or norms, share
    their probes. `centred` leaves out what noise adds to the mean of a filter's output, as
    statistics correction does. Layers whose weights cannot be exchanged get the others' mean gain
    for noise in proportion to their weights. Raises DataError or UsageError for images that do not
    fit, ModelError where the graph can't run.
    """
    rng = np.random.default_rng(seed)
    found = sites(graph, network)
    most = effort // max(1, probes * sum(layer.macs for layer in network.layers))
    groups = {site.index: _groups(site.layer, size) for site, size in _sizes(found, most)}
    feeds = Feeds(graph, images)
    batch = next(iter(feeds))[0][feeds.name].shape[0]
    batches = max(1, min(-(-images.count // batch), -(-probes // batch)))
    signal = 0.0
    for feed, _ in islice(feeds, batches):
        for stage in stages(graph, found, feed, threads):
            each = groups[stage.site.index]
            runs = max(1, round(probes * len(each.noise) / (batches * batch)))
            signal += _probe(stage, each, batch, runs, rng, centred) / (batches * len(found))
    gains = {
        index: _folded(network.layers[index], each.gains / signal) for index, each in groups.items()
    }
    return _completed(network, gains)


def _probe(
    stage: Stage, groups: Groups, batch: int, runs: int, rng: np.random.Generator, centred: bool
) -> float:
    """Add what `runs` runs of a batch find to `groups`; gives the output's energy without noise."""
    weights = _plain(stage.site.layer)
    operator = stage.operator()
    plain = operator(weights)
    rest = stage.rest(plain)
    output = rest(plain).astype(np.float64)
    axis, count = _filter_axis(stage.site, plain), len(groups.noise)
    rows = batch if not len(plain) % batch and not len(output) % batch else 1
    for turn in range(runs * batch // rows):
        added, power = _noise(weights, rng)
        change = operator(weights + added) - plain
        chosen = np.arange(turn * rows, (turn + 1) * rows)
        chosen = (chosen + chosen // count) % count  # another image each time
        mask = np.ones((rows, len(power)), np.bool_)
        if axis is not None:
            others = tuple(i for i in range(change.ndim) if i != axis)
            change -= centred * change.mean(axis=others, keepdims=True)
            mask = chosen[:, None] == groups.of
            change *= _spread(mask, plain.shape, axis)
        error = ((rest(plain + change) - output) ** 2).reshape(rows, -1).sum(axis=1)
        np.add.at(groups.noise, chosen, error * rows / batch)
        np.add.at(groups.amount, chosen, mask @ (power * groups.scale))
    return float((output**2).sum()) / batch


def _noise(weights: Array, rng: np.random.Generator) -> tuple[Array, Floats]:
    """White noise on weights that are not 0, and its squared norm in each filter (M,)."""
    flat = weights.reshape(len(weights), -1)
    size = np.sqrt(np.einsum("mk,mk->m", flat, flat) / np.maximum(1, (flat != 0).sum(axis=1)))
    noise = NOISE * size[:, None] * rng.standard_normal(flat.shape) * (flat != 0)
    return noise.reshape(weights.shape), np.asarray(np.einsum("mk,mk->m", noise, noise))


def _spread(mask: Array, shape: tuple[int, ...], axis: int) -> Array:
    """A mask (rows, M) as it is over an operator's output, filters along an axis."""
    sizes = [1] * len(shape)
    sizes[0], sizes[axis] = shape[0], shape[axis]
    return np.repeat(mask, shape[0] // len(mask), axis=0).reshape(sizes)


def _filter_axis(site: Site, result: Array) -> int | None:
    """Along which axis of the operator's output the filters lie, None where along none alone."""
    if site.layer.op.startswith("Conv"):
        return 1
    if len(site.shape) != 2 or result.ndim < 3 - site.input:
        return None
    axis = result.ndim - (1 if site.input == 1 else 2)
    return axis if result.shape[axis] == site.layer.filters else None


def _sizes(found: Sequence[Site], most: int) -> list[tuple[Site, int]]:
    """How many groups each layer's filters make, so that there are at most `most`, or one each."""
    size = max((site.layer.filters for site in found), default=1)
    while size > 1 and sum(min(site.layer.filters, size) for site in found) > most:
        size -= -(-size // 16)
    return [(site, min(site.layer.filters, size)) for site in found]


def _groups(layer: Layer, count: int) -> Groups:
    """Filters of like gain of BatchNormalization, or like norm, together."""
    weights = _plain(layer).reshape(layer.filters, -1)
    scale = np.ones(layer.filters)
    key = np.einsum("mk,mk->m", weights, weights)
    if layer.batchnorm is not None:
        key = np.square(layer.batchnorm.gain)
        scale = np.maximum(key, TINY * key.max(initial=0)) if key.any() else scale
    of = np.empty(layer.filters, np.int64)
    for group, members in enumerate(np.array_split(np.argsort(key, kind="stable"), count)):
        of[members] = group
    return Groups(of, scale, np.zeros(count), np.zeros(count))


def _completed(network: Network, gains: Mapping[int, Floats]) -> list[Floats]:
    """Gains of all layers, the mean one for the same share of noise where they are not known."""
    energies = [moments(layer.weight)[:, 1] for layer in network.layers]
    shares = np.concatenate([gains[index] * energies[index] for index in gains] or [np.ones(1)])
    mean = float(np.nanmean(shares)) if np.isfinite(shares).any() else 1.0
    found = []
    for index, energy in enumerate(energies):
        even = np.divide(mean, energy, out=np.zeros_like(energy), where=energy > 0)
        known = gains.get(index, even)
        found.append(np.where(np.isfinite(known), known, even))
    return found


def _plain(layer: Layer) -> Floats:
    """The weights (M, C/g, *kernel) as the graph holds them."""
    return layer.weight.load().astype(np.float64)


def _folded(layer: Layer, gains: Floats) -> Floats:
    """Gains for an error of the weights as they are quantised, a BatchNormalization folded in."""
    if layer.weight.gain is None:
        return gains
    square = np.square(layer.weight.gain)
    return np.divide(gains, square, out=np.full_like(gains, np.nan), where=square > 0)
