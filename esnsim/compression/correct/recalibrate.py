"""Statistics corrected with unlabelled images: what quantisation and pruning shift, shifted back.

Mean and variance of every BatchNormalization are estimated anew on the changed network, in the
order of the graph, all upstream being corrected already (the paper's Section 3, after Sasaki et
al. 2019); beside the same in float, so that what the images have by chance cancels. A layer's
output that no BatchNormalization reads, as where it was folded, is brought to the mean and
variance that it has in float: by the bias, and by a gain of the filter, which changes its step
and leaves its codes and their cost alone.
"""

from collections.abc import Sequence

import numpy as np

from esnsim.compression.correct.instruments import insert
from esnsim.compression.correct.meters import Meter, Norm, Output, constant, meters, scaled
from esnsim.compression.correct.moments import ByName, Moments, anchor_of, gains, pooled
from esnsim.errors import ModelError, UsageError
from esnsim.evaluate.feeds import BATCH_IMAGES, Feeds, fitting
from esnsim.evaluate.runtime import open_runtime, run
from esnsim.graph.model import Model
from esnsim.graph.sites import Slot
from esnsim.graph.substitute import Changes, complete, copied, place
from esnsim.images.sets import ImageSet
from esnsim.model.network import Array
from esnsim.run.session import check_ends

BATCH_ELEMENTS = 1 << 26  # elements of one value in a batch
SETTLED = 0.01  # standard deviations, or relative change of a variance, from pass to pass
FEWEST = 32  # images of a batch whose moments stand for those of all


class Corrector:
    """Corrects candidates of one graph with the same images."""

    def __init__(
        self, graph: Model, images: ImageSet, targets: ByName | None = None, threads: int = 0
    ) -> None:
        """`targets` are the `float_moments` on the same images, by default of this graph.

        A pruned model is given those of the whole one, for the channels that are left. A
        BatchNormalization without a target takes the moments of the images as they are.
        """
        self._graph, self._images, self._threads = graph, images, threads
        self._meters = meters(graph)
        self._targets = float_moments(graph, images, threads) if targets is None else targets
        for meter in self._meters:
            _check_target(meter, self._targets)
        self._batched = fitting(graph, BATCH_ELEMENTS, images.count) >= min(images.count, FEWEST)

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
                new = anchor_of(self._graph, meter, self._targets).statistics(now)
                after |= {meter.mean: new.mean, meter.variance: new.variance}
        return after


def float_moments(graph: Model, images: ImageSet, threads: int = 0) -> ByName:
    """Moments in float wherever statistics are corrected, by the names of the meters."""
    return measure(graph, {}, meters(graph), images, threads=threads)


def measure(
    graph: Model, changes: Changes, meters: Sequence[Meter], images: ImageSet,
    targets: ByName | None = None, threads: int = 0,
) -> dict[str, Moments]:  # fmt: skip
    """The moments at meters over all images, in a graph with other constants.

    With `targets` what is metered is corrected by its batch towards its moments in float,
    whatever batch the file fixes; without nothing is. That is exactly layer by layer for one
    batch; the moments of several are pooled. Raises ModelError where the model does not run such
    a batch.
    """
    if not meters:
        return {}
    whole = targets is not None
    feeds = Feeds(graph, images, _even(graph, images.count, whole), whole)
    model = copied(graph)
    place(graph, model, changes)
    insert(graph, model, meters, targets)
    del model.graph.value_info[:]
    for info in model.graph.input:
        if whole and info.name in feeds.inputs and info.type.tensor_type.shape.dim:
            info.type.tensor_type.shape.dim[feeds.inputs[info.name].axis].dim_param = "images"
    complete(graph, model)
    check_ends(graph)
    session = open_runtime(model, threads)
    names = [output.name for output in model.graph.output]
    batches = [(run(session, names, feed), count) for feed, count in feeds.whole()]
    return {
        meter.name: pooled([(found[2 * i], found[2 * i + 1], n) for found, n in batches])
        for i, meter in enumerate(meters)
    }


def _even(graph: Model, count: int, whole: bool) -> int:
    """The size of batches of nearly the same size: as few as fit, or else small ones."""
    batches = -(-count // fitting(graph, BATCH_ELEMENTS, count if whole else BATCH_IMAGES))
    return -(-count // batches)


def _matched(
    graph: Model, meter: Output, changes: Changes, moments: Moments, target: Moments
) -> dict[Slot, Array]:
    """Weight and bias of a layer that bring its output's moments to the target's."""
    weight, bias = (constant(graph, slot, changes) for slot in (meter.weight, meter.bias))
    assert weight is not None
    before = np.zeros(1) if bias is None else bias.astype(np.float64)
    gain = gains(moments.variance, target.variance)
    after = gain * (before - moments.mean) + target.mean  # broadcast: the last axis is (M,)
    return {meter.weight: scaled(graph, meter, weight, gain), meter.bias: after}


def _check_target(meter: Meter, targets: ByName) -> None:
    channels, target = meter.shape[meter.axis], targets.get(meter.name)
    got = 0 if target is None else len(target.mean)
    if got != channels and not (target is None and isinstance(meter, Norm)):
        raise UsageError(
            f"the targets hold {got} means for the {channels} channels of '{meter.name}': give "
            "the moments of the same layers in float, for the channels that are left"
        )
