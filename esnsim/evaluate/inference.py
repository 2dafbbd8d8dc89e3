"""Images through a cut graph on a machine: layer by layer on the float model's activations, or
end to end, where errors reach the output.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError
from esnsim.images.sets import ImageSet
from esnsim.machines.activations import ActivationScale, Calibration, quantize
from esnsim.machines.base import Activations, Run, random_activations
from esnsim.machines.simulator import Accuracy, Simulator
from esnsim.model.network import Array
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.run.compute import float_compute
from esnsim.run.cut import CutGraph
from esnsim.run.macs import MacNode
from esnsim.run.quantized import quantized_compute

LARGEST = 1 << 24  # activations of one layer in a batch
MOST = 64  # images of a batch
DTYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
}  # fmt: skip

Others = Mapping[int, Array]
Scales = Mapping[int, ActivationScale]
#: Takes a layer's index and its activations.
Take = Callable[[int, Activations], object]
#: Is told of every layer before it runs, and how many images of a batch it is for.
Watch = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Votes:
    """Classes that two models choose for the same images, and the labels, if there are any."""

    simulated: NDArray[np.int64]
    float_model: NDArray[np.int64]
    labels: NDArray[np.int64] | None

    def accuracy(self) -> Accuracy:
        """Top-1 of both, and how often they agree."""
        same = float((self.simulated == self.float_model).mean())
        if self.labels is None:
            return Accuracy(len(self.simulated), None, None, same)
        right = [float((v == self.labels).mean()) for v in (self.simulated, self.float_model)]
        return Accuracy(len(self.labels), right[0], right[1], same)


def calibrated(
    graph: CutGraph, images: ImageSet, bits: int, percentile: float | None, signed: bool
) -> dict[int, ActivationScale]:
    """A scale for the activations of each layer that the model itself does not quantise."""
    ranges = {mac.index: Calibration() for mac in graph.macs if mac.own is None}

    exact = float_compute(graph)

    def compute(mac: MacNode, activation: Array, others: Others) -> Array:
        if mac.index in ranges and activation.dtype.kind == "f":
            ranges[mac.index].add(activation)
        return exact(mac, activation, others)

    for feed in feeds(graph, images):
        graph.run(feed, compute)
    return {i: found.scale(bits, percentile, signed) for i, found in ranges.items()}


def layer_by_layer(
    graph: CutGraph, run: Take, images: ImageSet, scales: Scales, watch: Watch
) -> None:
    """Run every layer on the activations that the float model has there."""

    exact = float_compute(graph)

    def compute(mac: MacNode, activation: Array, others: Others) -> Array:
        scale = mac.scale(others) or scales[mac.index]
        ints = activation if activation.dtype.kind in "iu" else quantize(activation, scale)
        watch(mac.layer.name, len(activation))
        x = mac.layout.to_columns(ints)
        run(mac.index, Activations(x, scale.zero_point, scale.signed))
        return exact(mac, activation, others)

    for feed in feeds(graph, images):
        graph.run(feed, compute)


def end_to_end(
    graph: CutGraph, machine: Simulator, images: ImageSet, scales: Scales, watch: Watch
) -> Accuracy:
    """Run the network with the machine in place of every MAC operator, beside the float model."""
    places = {id(layer): index for index, layer in enumerate(machine.network.layers)}

    def run(layer: QuantizedLayer, x: Array, zero_point: int, signed: bool) -> Run:
        index = places[id(layer)]
        watch(layer.layer.name, len(x) // layer.layer.geometry.batch)
        return machine.run(index, Activations(x, zero_point, signed))

    compute = quantized_compute(machine.network, run, scales)
    exact = float_compute(graph)
    found: list[NDArray[np.int64]] = []
    wanted: list[NDArray[np.int64]] = []
    for feed in feeds(graph, images):
        found.append(_classes(graph, graph.run(feed, compute)))
        wanted.append(_classes(graph, graph.run(feed, exact)))
    return Votes(np.concatenate(found), np.concatenate(wanted), images.labels).accuracy()


def on_random_integers(
    machine: Simulator, graph: CutGraph, seed: int, bits: int, watch: Watch
) -> None:
    """Run every layer on random integers, for one inference; others set converters' ranges."""
    for mac in graph.macs:
        layer = machine.network.layers[mac.index]
        watch(layer.layer.name, 1)
        if machine.machine.calibrates:
            machine.observe(mac.index, random_activations(layer, bits, (seed, mac.index, 1)))
        machine.run(mac.index, random_activations(layer, bits, (seed, mac.index)))


def feeds(graph: CutGraph, images: ImageSet) -> Iterator[dict[str, Array]]:
    """The images as the graph's input, as many at a time as it takes and memory allows."""
    if len(graph.inputs) != 1:
        raise UsageError(
            f"the model has the inputs {', '.join(graph.inputs)}: images feed one; leave --data "
            "out, and layers run on random integers"
        )
    [(name, kind)] = graph.inputs.items()
    if kind not in DTYPES:
        raise UsageError(f"input '{name}' is a {kind}: images feed {', '.join(DTYPES)}")
    largest = max(
        (len(m.layer.channels) * int(np.prod(m.layer.geometry.input_size)) for m in graph.macs),
        default=1,
    )
    for batch in images.batches(fixed_batch(graph) or max(1, min(MOST, LARGEST // largest))):
        yield {name: batch.astype(DTYPES[kind])}


def fixed_batch(graph: CutGraph) -> int | None:
    """The first dimension of the first input where the file fixes it."""
    first = next(i for i in graph.graph.proto.graph.input if i.name in graph.inputs)
    dims = first.type.tensor_type.shape.dim
    return dims[0].dim_value if dims and dims[0].dim_value > 0 else None


def _classes(graph: CutGraph, outputs: Mapping[str, Array]) -> NDArray[np.int64]:
    first = outputs[graph.outputs[0]]
    if first.ndim < 2:
        raise UsageError(
            f"output '{graph.outputs[0]}' has the shape {first.shape}: no class for each image; "
            "leave --end-to-end out"
        )
    return np.asarray(first.reshape(len(first), -1).argmax(axis=1))
