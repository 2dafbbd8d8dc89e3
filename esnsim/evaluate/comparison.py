"""A network on many machines by name: its layers counted on the activations of the float model."""

from collections.abc import Mapping

from esnsim.errors import UsageError
from esnsim.evaluate import inference
from esnsim.evaluate.simulation import Activations, Watch, check_runs, used_images
from esnsim.images.sets import ImageSet
from esnsim.machines.activations import WIDEST
from esnsim.machines.base import Activations as Integers
from esnsim.machines.base import random_activations, random_integers
from esnsim.machines.named.comparison import Comparison, Counter
from esnsim.machines.named.description import Described
from esnsim.machines.named.memory import Memory
from esnsim.machines.named.prices import Prices
from esnsim.quantization.quantizer import QuantizedNetwork
from esnsim.run.cut import CutGraph


def captured(graph: CutGraph, images: ImageSet | None, bits: int = 8) -> dict[int, Integers]:
    """Activations of each layer that can run, by index: of one of the images, which all calibrate.

    Random integers where there are none.
    """
    if images is None:
        layers = ((mac.index, mac.layer) for mac in graph.macs)
        return {index: random_integers(layer, bits, (0, index)) for index, layer in layers}
    found: dict[int, Integers] = {}
    scales = inference.calibrated(graph, images, bits, None, signed=False)
    inference.layer_by_layer(graph, found.__setitem__, images.first(1), scales, lambda *_: None)
    return found


def compare_graph(
    graph: CutGraph, network: QuantizedNetwork, machines: Mapping[str, Described],
    given: Activations, bits: int = 8, memory: Memory | None = None,
    prices: Prices | None = None,
    watch: Watch = lambda layer, images: None,
) -> Comparison:  # fmt: skip
    """A quantised network on machines by name, with activations of `bits` bits, behind a memory,
    at the prices of a node.

    Layers run on those of `given`, or on random integers where it has no images. Raises UsageError
    where no layer can run, or images do not fit.
    """
    if not 1 <= bits <= WIDEST:
        raise UsageError(f"activations of {bits} bits: give 1 to {WIDEST}")
    check_runs(graph)
    counter = Counter(network, machines, bits)
    if given.images is None:
        for mac in graph.macs:
            layer = network.layers[mac.index]
            watch(layer.layer.name, 1)
            counter.run(mac.index, random_activations(layer, bits, (given.seed, mac.index)))
        return counter.comparison(graph.not_simulated, "random integers", memory, prices)
    few, chosen = given.split()
    scales = inference.calibrated(graph, few, bits, given.percentile, given.signed)
    inference.layer_by_layer(graph, counter.run, chosen, scales, watch)
    used = used_images(given, few, chosen)
    return counter.comparison(graph.not_simulated, used, memory, prices)
