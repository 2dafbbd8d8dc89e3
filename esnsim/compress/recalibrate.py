"""Statistics corrected with unlabelled images: what quantisation and pruning shift, shifted back.

Mean and variance of every BatchNormalization are estimated anew on the changed network, in the
order of the graph, all upstream being corrected already (the paper's Section 3, after Sasaki et
al. 2019). A layer's output that no BatchNormalization reads, as where it was folded, is brought
to the mean and variance that it has in float: by the bias, and by a gain of the filter, which
changes its step and leaves its codes and their cost alone.
"""

from collections.abc import Mapping

import numpy as np

from esnsim.compress.evaluate import fitting
from esnsim.compress.meters import Output, constant, meters, scaled
from esnsim.compress.moments import LARGEST, ByName, Moments, gains, measure
from esnsim.compress.sites import Slot
from esnsim.compress.substitute import Changes
from esnsim.data import ImageSet
from esnsim.errors import ModelError, UsageError
from esnsim.execute.graph import Graph
from esnsim.network import Array

SETTLED = 0.01  # standard deviations, or relative change of a variance, from pass to pass
FEWEST = 32  # images of a batch whose moments stand for those of all


class Corrector:
    """Corrects candidates of one graph with the same images."""

    def __init__(
        self, graph: Graph, images: ImageSet, targets: ByName | None = None, threads: int = 0
    ) -> None:
        """`targets` are the `output_moments` of the float model, by default this graph's own.

        A pruned model is given those of the whole one, for the filters that are left.
        """
        self._graph, self._images, self._threads = graph, images, threads
        self._meters = meters(graph)
        self._targets = output_moments(graph, images, threads) if targets is None else targets
        for meter in self._meters:
            if isinstance(meter, Output):
                _check_target(meter, self._targets)
        self._batched = fitting(graph, LARGEST, images.count) >= min(images.count, FEWEST)

    def __call__(self, changes: Changes) -> Changes:
        """The changes with corrected statistics, biases and gains of filters added to them.

        In one pass over large batches; where the graph runs only the batch that its file fixes, or
        memory holds few images, in passes of which each corrects at least the next layer exactly,
        until nothing moves any more.
        """
        if self._batched:
            try:
                return self._updated(changes, self._measured(changes, self._targets))
            except ModelError:
                self._batched = False
        found = changes
        before: ByName = {}
        for _ in self._meters:
            now = self._measured(found)
            found = self._updated(found, now)
            if before and all(now[name].near(before[name], SETTLED) for name in now):
                break
            before = now
        return found

    def _measured(self, changes: Changes, targets: ByName | None = None) -> ByName:
        images, threads = self._images, self._threads
        return measure(self._graph, changes, self._meters, images, targets, threads)

    def _updated(self, changes: Changes, found: ByName) -> Changes:
        """The changes with what brings each metered value from its moments to the right ones."""
        after = dict(changes)
        for meter in self._meters:
            now = found[meter.name]
            if isinstance(meter, Output):
                after |= _matched(self._graph, meter, changes, now, self._targets[meter.name])
            else:
                after |= {meter.mean: now.mean, meter.variance: now.variance}
        return after


def corrected(graph: Graph, changes: Changes, images: ImageSet, threads: int = 0) -> Changes:
    """`Corrector` for one candidate."""
    return Corrector(graph, images, threads=threads)(changes)


def output_moments(graph: Graph, images: ImageSet, threads: int = 0) -> Mapping[str, Moments]:
    """Moments in float of the outputs that no BatchNormalization reads, by their name."""
    outputs = [meter for meter in meters(graph) if isinstance(meter, Output)]
    return measure(graph, {}, outputs, images, threads=threads)


def _matched(
    graph: Graph, meter: Output, changes: Changes, moments: Moments, target: Moments
) -> dict[Slot, Array]:
    """Weight and bias of a layer that bring its output's moments to the target's."""
    weight, bias = (constant(graph, slot, changes) for slot in (meter.weight, meter.bias))
    assert weight is not None
    before = np.zeros(1) if bias is None else bias.astype(np.float64)
    gain = gains(moments.variance, target.variance)
    after = gain * (before - moments.mean) + target.mean  # broadcast: the last axis is (M,)
    return {meter.weight: scaled(graph, meter, weight, gain), meter.bias: after}


def _check_target(meter: Output, targets: ByName) -> None:
    channels = meter.shape[meter.axis]
    got = len(targets[meter.name].mean) if meter.name in targets else 0
    if got != channels:
        raise UsageError(
            f"the targets hold {got} means for the {channels} channels of '{meter.name}': give "
            "the output moments of the same layers, for the filters that are left"
        )
