"""Images through a cut graph on a machine: layer by layer on the float model's activations, or
end to end, where errors reach the output.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from esnsim.evaluate.evaluator import check_labels, joined
from esnsim.evaluate.feeds import Feeds
from esnsim.evaluate.outputs import GUESS, Scoring, find_scored, scored_name
from esnsim.evaluate.parts import Part, steps_of
from esnsim.evaluate.scores import EndToEnd, Scored, evaluation
from esnsim.images.sets import ImageSet
from esnsim.machines.activations import ActivationScale, quantize
from esnsim.machines.base import Activations, Run, random_activations
from esnsim.machines.simulator import Simulator
from esnsim.model.network import Array
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.run.compute import activation_scales, float_compute
from esnsim.run.cut import CutGraph
from esnsim.run.macs import MacNode
from esnsim.run.quantized import quantized_compute

Others = Mapping[int, Array]
Scales = Mapping[int, ActivationScale]
#: Takes a layer's index and its activations.
Take = Callable[[int, Activations], object]
#: Is told of every layer before it runs, and how many images of a batch it is for.
Watch = Callable[[str, int], None]


def calibrated(
    graph: CutGraph, images: ImageSet, bits: int, percentile: float | None, signed: bool
) -> dict[int, ActivationScale]:
    """A scale for the activations of each layer that the model itself does not quantise."""
    batches = (feed for feed, _ in Feeds(graph.graph, images).whole())
    return activation_scales(graph, batches, bits, percentile, signed)


def layer_by_layer(
    graph: CutGraph, run: Take, images: ImageSet, scales: Scales, watch: Watch
) -> None:
    """Run every layer on the activations that the float model has there."""

    exact = float_compute(graph)

    def compute(mac: MacNode, activation: Array, others: Others) -> Array:
        scale = mac.scale(others) or scales[mac.index]
        ints = activation if activation.dtype.kind in "iu" else quantize(activation, scale)
        watch(mac.layer.name, len(activation))
        x = part.of(mac.index, mac.layout.to_columns(ints))
        run(mac.index, Activations(x, scale.zero_point, scale.signed))
        return exact(mac, activation, others)

    feeds = Feeds(graph.graph, images)
    steps = steps_of(graph, feeds, images.count)
    for feed, count in feeds:
        part = Part(steps, count, feeds.size(feed))
        graph.run(feed, compute)


def end_to_end(
    graph: CutGraph, machine: Simulator, images: ImageSet, scales: Scales, watch: Watch,
    scoring: Scoring = GUESS,
) -> EndToEnd:  # fmt: skip
    """Run the network with the machine in place of every MAC operator, beside the float model."""
    places = {id(layer): index for index, layer in enumerate(machine.network.layers)}

    def run(layer: QuantizedLayer, x: Array, zero_point: int, signed: bool) -> Run:
        index = places[id(layer)]
        chosen = part.of(index, x)
        watch(layer.layer.name, len(chosen) // layer.layer.geometry.rows)
        done = machine.run(index, Activations(chosen, zero_point, signed))
        return replace(done, outputs=part.filled(index, done.outputs))

    compute = quantized_compute(machine.network, run, scales)
    exact = float_compute(graph)
    found, wanted = list[Array](), list[Array]()
    feeds = Feeds(graph.graph, images)
    steps = steps_of(graph, feeds, images.count)
    scored = _scored(graph, feeds, scoring, images.labels is not None)
    check_labels(images, scored)
    for outputs, by in ((wanted, exact), (found, compute)):
        for feed, count in feeds:
            part = Part(steps, count, feeds.size(feed))
            output = graph.run(feed, by)[scored.output]
            outputs.append(scored.by_image(output)[:count])
        graph.sessions.clear()  # the float model's weights leave before the machine's come
    reference = joined(wanted, scored)
    floats, simulated = (
        evaluation(each, reference, scored, images.labels)
        for each in (reference, joined(found, scored))
    )
    return EndToEnd(scored, floats, simulated)


def _scored(graph: CutGraph, feeds: Feeds, scoring: Scoring, labelled: bool) -> Scored:
    """What of the outputs is scored, found out by running a few images."""
    exact = float_compute(graph)
    name = scored_name(graph.graph, scoring)

    def probe(count: int) -> Array:
        return graph.run(feeds.some(count), exact)[name]

    return find_scored(graph.graph, probe, feeds.fixed, scoring, labelled)


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
