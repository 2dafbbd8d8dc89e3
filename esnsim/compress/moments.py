"""Mean and variance of the channels at every meter, measured in one pass.

In a batch, what is metered can be standardised before others read it: a BatchNormalization uses
the mean and variance of the batch, the output of a layer without one is brought to the moments
that it has in float. So all upstream of a meter is corrected when it is read: this is correction
layer by layer, though the batch runs once.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from esnsim.compress.evaluate import MOST, Feeds, fitting, open_model, run
from esnsim.compress.meters import Meter, Norm, Output
from esnsim.compress.substitute import Changes, complete, copied, place
from esnsim.data import ImageSet
from esnsim.execute.graph import Graph
from esnsim.network import Array

LARGEST = 1 << 26  # elements of one value in a batch
GAINS = (1 / 16, 16.0)  # a filter's output is scaled by no less and no more in a pass
AXES_ARE_INPUTS = 18  # opset from which ReduceMean takes its axes so

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and variance of the channels of a value (C,), over images and places."""

    mean: Floats
    variance: Floats

    def near(self, other: "Moments", tolerance: float) -> bool:
        """Whether means are as near as that in standard deviations, and variances relatively."""
        least = _least(self.variance)
        spread = np.sqrt(self.variance) + np.sqrt(least)
        means = np.abs(self.mean - other.mean) <= tolerance * spread
        variances = np.abs(self.variance - other.variance) <= tolerance * self.variance + least
        return bool(means.all() and variances.all())

    def kept(self, mask: NDArray[np.bool_]) -> "Moments":
        """Those of some of the channels (C,)."""
        return Moments(self.mean[mask], self.variance[mask])


#: Moments by the name of a meter.
ByName = Mapping[str, Moments]


def measure(
    graph: Graph, changes: Changes, meters: Sequence[Meter], images: ImageSet,
    targets: ByName | None = None, threads: int = 0,
) -> dict[str, Moments]:  # fmt: skip
    """The moments at meters over all images, in a graph with other constants.

    With `targets` (those of the outputs in float) what is metered is standardised by its batch,
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
    _insert(graph, model, meters, targets)
    del model.graph.value_info[:]
    for info in model.graph.input:
        if whole and info.name == feeds.name and info.type.tensor_type.shape.dim:
            info.type.tensor_type.shape.dim[0].dim_param = "images"
    complete(graph, model)
    session = open_model(model, threads)
    names = [output.name for output in model.graph.output]
    batches = [(run(session, names, feed), count) for feed, count in feeds if feeds.full(count)]
    return {
        meter.name: _pooled([(found[2 * i], found[2 * i + 1], n) for found, n in batches])
        for i, meter in enumerate(meters)
    }


def _even(graph: Graph, count: int, whole: bool) -> int:
    """The size of batches of nearly the same size: as few as fit, or else small ones."""
    batches = -(-count // fitting(graph, LARGEST, count if whole else MOST))
    return -(-count // batches)


def gains(measured: Floats, wanted: Floats) -> Floats:
    """The factor, within GAINS, that brings one variance to another; 1 where both are 0."""
    least = _least(wanted)
    return np.clip(np.sqrt((wanted + least) / (measured + least)), *GAINS)


def _least(wanted: Floats) -> Floats:
    """A variance that is as good as none."""
    return 1e-9 * wanted + 1e-20


def _pooled(batches: Sequence[tuple[Array, Array, int]]) -> Moments:
    """The moments of all images from those of batches, each with its number of images."""
    means = np.array([mean.ravel() for mean, _, _ in batches], np.float64)
    variances = np.array([variance.ravel() for _, variance, _ in batches], np.float64)
    counts = np.array([count for *_, count in batches])
    share = (counts / counts.sum())[:, None]
    mean = (share * means).sum(axis=0)
    return Moments(mean, (share * (variances + (means - mean) ** 2)).sum(axis=0))


def _insert(
    graph: Graph, model: ModelProto, meters: Sequence[Meter], targets: ByName | None
) -> None:
    """Put meters into a copied model, whose outputs become their means and variances."""
    build = Builder(model, graph.scope.opsets.get("", 1))
    before: dict[int, list[NodeProto]] = defaultdict(list)
    after: dict[int, list[NodeProto]] = defaultdict(list)
    for meter in meters:
        node = model.graph.node[meter.place]
        if isinstance(meter, Norm):
            before[meter.place] = build.meter(meter, meter.value)
            if targets is not None:
                before[meter.place] += build.flat(meter, node)
        elif targets is None:
            after[meter.place] = build.meter(meter, meter.value)
        else:
            node.output[0] = f"{meter.name}.raw"
            after[meter.place] = build.meter(meter, node.output[0])
            after[meter.place] += build.standardised(meter, targets[meter.name])
    nodes = [
        part
        for at, node in enumerate(model.graph.node)
        for part in (*before[at], NodeProto.FromString(node.SerializeToString()), *after[at])
    ]
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    for meter in meters:
        for moment in ("mean", "variance"):
            model.graph.output.add(name=f"{meter.name}.{moment}")


class Builder:
    """Makes the nodes of meters for a model, and adds their constants to it."""

    def __init__(self, model: ModelProto, opset: int) -> None:
        self._model, self._opset = model, opset

    def meter(self, meter: Meter, value: str) -> list[NodeProto]:
        """Mean and variance of the channels of a value, as `NAME.mean` and `NAME.variance`."""
        name = meter.name
        return [
            self._mean(meter, value, f"{name}.mean"),
            helper.make_node("Sub", [value, f"{name}.mean"], [f"{name}.centred"]),
            helper.make_node("Mul", [f"{name}.centred"] * 2, [f"{name}.square"]),
            self._mean(meter, f"{name}.square", f"{name}.variance"),
        ]

    def flat(self, meter: Norm, node: NodeProto) -> list[NodeProto]:
        """The measured moments in place of the running ones of a BatchNormalization."""
        shape = self._constant(f"{meter.name}.channels", np.array([-1]))
        found = []
        for slot, moment in ((meter.mean, "mean"), (meter.variance, "variance")):
            node.input[slot.input] = f"{meter.name}.{moment}.flat"
            found.append(
                helper.make_node(
                    "Reshape", [f"{meter.name}.{moment}", shape], [node.input[slot.input]]
                )
            )
        return found

    def standardised(self, meter: Output, target: Moments) -> list[NodeProto]:
        """The metered value, centred, times `gains`, around the mean of the target."""
        name, wanted = meter.name, target.variance
        least = self._column(meter, "least", _least(wanted))
        top = self._column(meter, "wanted", wanted + _least(wanted))
        mean = self._column(meter, "target", target.mean)
        low, high = (
            self._constant(f"{name}.{end}", np.array(gain, np.float32))
            for end, gain in zip(("low", "high"), GAINS, strict=True)
        )
        at = [f"{name}.{step}" for step in ("spread", "ratio", "root", "floor", "gain", "scaled")]
        return [
            helper.make_node("Add", [f"{name}.variance", least], at[:1]),
            helper.make_node("Div", [top, at[0]], at[1:2]),
            helper.make_node("Sqrt", at[1:2], at[2:3]),
            helper.make_node("Max", [at[2], low], at[3:4]),
            helper.make_node("Min", [at[3], high], at[4:5]),
            helper.make_node("Mul", [f"{name}.centred", at[4]], at[5:6]),
            helper.make_node("Add", [at[5], mean], [meter.value]),
        ]

    def _mean(self, meter: Meter, value: str, name: str) -> NodeProto:
        axes = [axis for axis in range(len(meter.shape)) if axis != meter.axis]
        if self._opset < AXES_ARE_INPUTS:
            return helper.make_node("ReduceMean", [value], [name], axes=axes)
        given = self._constant(f"{name}.axes", np.array(axes))
        return helper.make_node("ReduceMean", [value, given], [name])

    def _column(self, meter: Meter, name: str, values: Floats) -> str:
        """A number a channel, to be broadcast to the metered value."""
        shape = [-1 if axis == meter.axis else 1 for axis in range(len(meter.shape))]
        return self._constant(f"{meter.name}.{name}", values.astype(np.float32).reshape(shape))

    def _constant(self, name: str, values: Array) -> str:
        self._model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name
