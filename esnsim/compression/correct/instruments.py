"""Nodes that measure, and correct what they measure, put into a copy of a graph's model.

In a batch, what is metered can be corrected by its batch before others read it: the statistics
of a BatchNormalization, or the output of a layer without one. So all upstream of a meter is
corrected when it is read: this is correction layer by layer, though the batch runs once.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from esnsim.compression.correct.meters import Meter, Norm, Output
from esnsim.compression.correct.moments import (
    GAINS,
    Anchor,
    ByName,
    Moments,
    anchor_of,
    least_of,
)
from esnsim.graph.model import Model
from esnsim.graph.substitute import replace_nodes
from esnsim.model.network import Array
from esnsim.quantization.filter_sums import Floats

AXES_ARE_INPUTS = 18  # opset from which ReduceMean takes its axes so


def insert(
    graph: Model, model: ModelProto, meters: Sequence[Meter], targets: ByName | None
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
                anchor = anchor_of(graph, meter, targets)
                before[meter.place] += build.statistics(meter, node, anchor)
        elif targets is None:
            after[meter.place] = build.meter(meter, meter.value)
        else:
            node.output[0] = f"{meter.name}.raw"
            after[meter.place] = build.meter(meter, node.output[0])
            after[meter.place] += build.standardised(meter, targets[meter.name])
    places = enumerate(model.graph.node)
    replace_nodes(model.graph, [n for at, node in places for n in (*before[at], node, *after[at])])
    del model.graph.output[:]
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

    def statistics(self, meter: Norm, node: NodeProto, anchor: Anchor) -> list[NodeProto]:
        """`anchor.statistics` of the measured moments, which a BatchNormalization then reads."""
        shape = self._constant(f"{meter.name}.channels", np.array([-1]))
        flat = [f"{meter.name}.{moment}.flat" for moment in ("mean", "variance")]
        found = [
            helper.make_node("Reshape", [name.removesuffix(".flat"), shape], [name])
            for name in flat
        ]
        if anchor.target is not None:
            found += self._anchored(meter, flat, anchor, anchor.target)
            flat = [f"{name}.new" for name in flat]
        node.input[meter.mean.input], node.input[meter.variance.input] = flat
        return found

    def _anchored(
        self, meter: Norm, flat: Sequence[str], anchor: Anchor, target: Moments
    ) -> list[NodeProto]:
        """As `Anchor.statistics`, from flat moments to the same names with `.new`."""
        mean, variance = flat
        least = least_of(target.variance)
        given = {
            "least": least, "scale": anchor.squares / (target.variance + least),
            "epsilon": np.array(anchor.epsilon), "inverse": 1 / anchor.squares,
            "offset": anchor.offset,
        }  # fmt: skip
        at = {
            key: self._constant(f"{meter.name}.{key}", np.asarray(value, meter.dtype))
            for key, value in given.items()
        }
        squares = self._chain(
            variance, ("Add", at["least"]), ("Mul", at["scale"]), ("Max", at["epsilon"])
        )
        last = squares[-1].output[0]
        moved = self._chain(last, ("Mul", at["inverse"]), ("Sqrt",), ("Mul", at["offset"]))
        return [
            *squares,
            *moved,
            helper.make_node("Sub", [last, at["epsilon"]], [f"{variance}.new"]),
            helper.make_node("Sub", [mean, moved[-1].output[0]], [f"{mean}.new"]),
        ]

    def standardised(self, meter: Output, target: Moments) -> list[NodeProto]:
        """The metered value, centred, times `gains`, around the mean of the target."""
        name, wanted = meter.name, target.variance
        least = self._column(meter, "least", least_of(wanted))
        top = self._column(meter, "wanted", wanted + least_of(wanted))
        mean = self._column(meter, "target", target.mean)
        low, high = (
            self._constant(f"{name}.{end}", np.array(gain, meter.dtype))
            for end, gain in zip(("low", "high"), GAINS, strict=True)
        )
        inverse = self._chain(f"{name}.variance", ("Add", least))
        ratio = helper.make_node("Div", [top, inverse[-1].output[0]], [f"{name}.ratio"])
        gain = self._chain(f"{name}.ratio", ("Sqrt",), ("Max", low), ("Min", high))
        scaled = self._chain(f"{name}.centred", ("Mul", gain[-1].output[0]))
        placed = helper.make_node("Add", [scaled[-1].output[0], mean], [meter.value])
        return [*inverse, ratio, *gain, *scaled, placed]

    def _chain(self, value: str, *steps: tuple[str, ...]) -> list[NodeProto]:
        """Operators one after the other, each with its other inputs."""
        nodes: list[NodeProto] = []
        for op, *others in steps:
            made = f"{value}.{op}"
            nodes.append(helper.make_node(op, [value, *others], [made]))
            value = made
        return nodes

    def _mean(self, meter: Meter, value: str, name: str) -> NodeProto:
        axes = [axis for axis in range(len(meter.shape)) if axis != meter.axis]
        if self._opset < AXES_ARE_INPUTS:
            return helper.make_node("ReduceMean", [value], [name], axes=axes)
        given = self._constant(f"{name}.axes", np.array(axes))
        return helper.make_node("ReduceMean", [value, given], [name])

    def _column(self, meter: Meter, name: str, values: Floats) -> str:
        """A number a channel, to be broadcast to the metered value."""
        shape = [-1 if axis == meter.axis else 1 for axis in range(len(meter.shape))]
        return self._constant(f"{meter.name}.{name}", values.astype(meter.dtype).reshape(shape))

    def _constant(self, name: str, values: Array) -> str:
        self._model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name
