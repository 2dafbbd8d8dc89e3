"""How much noise each filter's weights pass on to the output, measured on calibration images.

To first order the noise of the output is Σ_m gain_m · ‖error of W_m‖² where errors are independent.
A probe measures a gain: white noise on a filter's weights, or its removal, run through the rest of
the graph in ONNX Runtime. Every image of a batch probes another filter, so that one run measures as
many filters as it has images, and only what lies behind their layer runs again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice, product
from math import gcd, nan
from statistics import fmean

import numpy as np

from esnsim.compression.allocate.stages import Stage, stages
from esnsim.errors import ModelError
from esnsim.evaluate.feeds import Feeds
from esnsim.evaluate.scores import Scored
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, sites
from esnsim.images.sets import ImageSet
from esnsim.model.network import Array, Layer, Network
from esnsim.progress import show_progress
from esnsim.quantization.filter_sums import Floats, Ints
from esnsim.quantization.rules import moments

EFFORT_MACS = 5 * 10**12  # of all probes: a few minutes on two cores
PROBES = 16  # images that probe each filter
TRUST = 0.5  # of gains, where 1 takes them as measured and 0 makes them alike
TINY = 1e-12  # of the largest gain of a layer, for filters without one
AMPLITUDE = 0.1  # of white noise, in units of the filter's own
REMOVAL, NOISE = 0, 1  # columns of gains


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The filters of a layer in groups that are probed together.

    `of` (M,) is each filter's group. Within a group gains go as `scale` (M,), the square of the
    BatchNormalization's gain. `found` and `put` (2, groups) sum up what probes of each group gave
    at the output, and what they put in, times `scale`: by removal, and by white noise. `probes`
    (groups,) is how many there were of each kind.
    """

    of: Ints
    scale: Floats
    found: Floats
    put: Floats
    probes: Ints

    @property
    def count(self) -> int:
        """The number of groups."""
        return len(self.found[0])

    def gains(self, joined: float) -> Floats:
        """What is given for a unit of what is put in (M, 2), NaN where nothing was.

        The probes of a group count beside `joined` more that gave what the layer's give on average.
        """
        own, layer = _ratio(self.found, self.put), _ratio(*self._of_layer)
        share = self.probes / np.maximum(1e-9, self.probes + joined)
        return np.asarray(self.scale[:, None] * (share * own + (1 - share) * layer).T[self.of])

    @property
    def _of_layer(self) -> tuple[Floats, Floats]:
        return self.found.sum(axis=1, keepdims=True), self.put.sum(axis=1, keepdims=True)


def sensitivity(
    graph: Model,
    images: ImageSet,
    seed: int = 0,
    threads: int = 0,
    probes: int = PROBES,
    effort: int = EFFORT_MACS,
    centred: bool = True,
    trust: float = TRUST,
    scored: Scored | None = None,
    joined: float = 0.0,
) -> list[Floats]:
    """Gains (M, 2) of each layer's filters: the share of the output's energy that becomes noise,
    for a squared error of 1 in the filter's weights. The first is for the filter's removal, whose
    error is like its signal, the second for white noise.

    Each filter is probed on `probes` images, one filter at a time where that takes no more than
    `effort` MACs; else filters of a layer with similar gains of BatchNormalization, or norms, share
    their probes. What few probes find is uncertain: `joined` is how many of its layer's average
    count beside a filter's own. `centred` leaves out what an error adds to the mean of a filter's
    output, as statistics correction does. `trust` draws gains to their median, on a logarithmic
    scale: probes are few, errors of few bits are not white, and noise of many layers does not just
    add up, so that gains as they were measured (1) set widths too far apart (docs/allocate.md).
    Layers whose weights cannot be exchanged get the others' mean gain for an error in proportion to
    their weights. The output is the one that is `scored`, by default the first; layers that do not
    lead to it, and those that can't run apart, get the mean gain too. Raises DataError or
    UsageError for images that do not fit.
    """
    rng = np.random.default_rng(seed)
    network, found = graph.network, sites(graph)
    most = effort // max(1, 2 * probes * sum(layer.macs for layer in network.layers))
    groups = _grouped(_sizes(found, most))
    uses = Counter(id(each) for each in groups.values())
    probed = Counter[int]()  # runs of each weight, which those of its uses take by turns
    feeds = Feeds(graph, images)
    batch = feeds.size(next(iter(feeds))[0])
    output = scored.output if scored else graph.proto.graph.output[0].name
    batches = max(1, min(-(-images.count // batch), -(-probes // batch)))
    energies, turn = list[float](), count(1)
    for feed, _ in islice(feeds, batches):
        for stage in stages(graph, found, feed, threads, output):
            show_progress(f"measuring gains, {next(turn):,} of {batches * len(found):,}")
            each = groups[stage.site.index]
            runs = max(1, round(probes * each.count / (batches * batch * uses[id(each)])))
            done = probed[id(each)]
            with suppress(ModelError):  # what lies behind the layer does not run alone
                turns = range(done, done + runs)
                energies.append(_probe(stage, each, batch, turns, rng, centred, scored))
            probed[id(each)] += runs
    signal = fmean(energies) if energies else 0.0
    own = {
        index: _folded(network.layers[index], each.gains(joined) / (signal or 1))
        for index, each in groups.items()
    }
    return drawn(_completed(network, own), trust)


def _probe(
    stage: Stage,
    groups: Groups,
    batch: int,
    runs: range,
    rng: np.random.Generator,
    centred: bool,
    scored: Scored | None,
) -> float:
    """Add what `runs` of a batch find to `groups`; gives the energy of the output without."""
    weights = _plain(stage.site.layer)
    operator = stage.operator()
    plain = operator(weights)
    behind = stage.rest(plain)

    def rest(result: Array) -> Array:
        return behind(result) if scored is None else scored.by_image(behind(result))

    output = rest(plain).astype(np.float64)
    axis = _filter_axis(stage.site, plain)
    rows = batch if not len(plain) % batch and not len(output) % batch else 1
    for turn, kind in product(_turns(runs, batch // rows), (REMOVAL, NOISE)):
        error = -weights if kind == REMOVAL else _noise(weights, rng)
        change = operator(weights + error) - plain
        # In as many runs as there are groups, every image meets every group.
        shift = turn * rows + turn // (groups.count // gcd(rows, groups.count))
        chosen = (np.arange(rows) + shift) % groups.count
        mask = np.ones((rows, len(weights)), np.bool_)
        if axis is not None:
            others = tuple(i for i in range(change.ndim) if i != axis)
            change -= centred * change.mean(axis=others, keepdims=True)
            mask = chosen[:, None] == groups.of
            change *= _spread(mask, plain.shape, axis)
        off = ((rest(plain + change) - output) ** 2).reshape(rows, -1).sum(axis=1)
        np.add.at(groups.probes, chosen, kind == NOISE)
        np.add.at(groups.found[kind], chosen, off * rows / batch)
        np.add.at(groups.put[kind], chosen, mask @ (_energies(error) * groups.scale))
    return float((output**2).sum()) / batch


def _turns(runs: range, each: int) -> range:
    """The turns of runs that take `each` turns."""
    return range(runs.start * each, runs.stop * each)


def _noise(weights: Array, rng: np.random.Generator) -> Floats:
    """White noise on weights that are not 0, in proportion to their filter's."""
    moved = (weights != 0).reshape(len(weights), -1)
    size = AMPLITUDE * np.sqrt(_energies(weights) / np.maximum(1, moved.sum(axis=1)))
    noise = size[:, None] * moved * rng.standard_normal(moved.shape)
    return np.asarray(noise.reshape(weights.shape))


def _energies(weights: Array) -> Floats:
    """Σ w² of each filter (M,)."""
    flat = weights.reshape(len(weights), -1)
    return np.asarray(np.einsum("mk,mk->m", flat, flat))


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


def _grouped(sizes: Sequence[tuple[Site, int]]) -> dict[int, Groups]:
    """The groups of each layer by its index; uses of one weight share theirs, and so its probes."""
    shared: dict[tuple[object, ...], Groups] = {}
    found = {}
    for site, size in sizes:
        layer = site.layer
        own = site.index if layer.batchnorm is not None else None
        key = layer.weight.origin, layer.weight.shape, layer.op, site.columns, own
        found[site.index] = shared.setdefault(key, _groups(layer, size))
    return found


def _groups(layer: Layer, count: int) -> Groups:
    """Filters of like gain of BatchNormalization, or like norm, together."""
    scale = np.ones(layer.filters)
    key = _energies(_plain(layer))
    if layer.batchnorm is not None:
        key = np.square(layer.batchnorm.gain)
        scale = np.maximum(key, TINY * key.max(initial=0)) if key.any() else scale
    of = np.empty(layer.filters, np.int64)
    for group, members in enumerate(np.array_split(np.argsort(key, kind="stable"), count)):
        of[members] = group
    return Groups(
        of=of, scale=scale, found=np.zeros((2, count)), put=np.zeros((2, count)),
        probes=np.zeros(count, np.int64),
    )  # fmt: skip


def _ratio(found: Floats, put: Floats) -> Floats:
    return np.divide(found, put, out=np.full_like(put, nan), where=put > 0)


def _completed(network: Network, gains: Mapping[int, Floats]) -> list[Floats]:
    """Gains of all layers, the mean one for the same share of error where they are not known."""
    energies = [moments(layer.weight)[:, 1:] for layer in network.layers]
    shares = np.concatenate([np.ones((0, 2)), *(gains[i] * energies[i] for i in gains)])
    shares = shares[np.isfinite(shares).all(axis=1)]
    mean = shares.mean(axis=0) if len(shares) else np.ones(2)
    found = []
    for index, energy in enumerate(energies):
        even = np.divide(mean, energy, out=np.zeros((len(energy), 2)), where=energy > 0)
        known = gains.get(index, even)
        found.append(np.where(np.isfinite(known), known, even))
    return found


def drawn(gains: list[Floats], trust: float = TRUST) -> list[Floats]:
    """Gains for noise to the power of `trust` about their median; those of removal as they were
    beside them.
    """
    noise = np.concatenate([np.empty(0), *(each[:, NOISE] for each in gains)])
    if not (noise > 0).any():
        return gains
    middle = np.median(noise[noise > 0])
    found = []
    for each in gains:
        known = np.where(each[:, NOISE] > 0, each[:, NOISE], middle)
        found.append(each * ((middle / known) ** (1 - trust))[:, None])
    return found


def _plain(layer: Layer) -> Floats:
    """The weights (M, C/g, *kernel) as the graph holds them."""
    return layer.weight.load().astype(np.float64)


def _folded(layer: Layer, gains: Floats) -> Floats:
    """Gains for an error of the weights as they are quantised, a BatchNormalization folded in."""
    if layer.weight.gain is None:
        return gains
    square = np.square(layer.weight.gain)[:, None]
    return np.divide(gains, square, out=np.full_like(gains, nan), where=square > 0)
