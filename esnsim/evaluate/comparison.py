"""A network on many machines by name: its layers counted on the activations of the float model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esnsim.errors import UsageError
from esnsim.evaluate import inference
from esnsim.evaluate.cells import cells_of, run_cells
from esnsim.evaluate.operands import Pair, products_on_images
from esnsim.evaluate.simulation import Activations, Watch, check_runs, used_images
from esnsim.graph.model import Model
from esnsim.images.sets import ImageSet
from esnsim.machines.activations import WIDEST
from esnsim.machines.base import Activations as Integers
from esnsim.machines.base import random_integers
from esnsim.machines.named.comparison import Comparison, Counter
from esnsim.machines.named.description import Described
from esnsim.machines.named.drawn import Drawn, read_drawn
from esnsim.machines.named.memory import Memory
from esnsim.machines.named.prices import Prices
from esnsim.machines.named.products import layers_of
from esnsim.quantization.quantizer import QuantizedNetwork
from esnsim.run.cut import CutGraph, cut


def captured(graph: CutGraph, images: ImageSet | None) -> dict[int, Integers]:
    """Activations of each layer that can run, in 8 bits, by index: of one of the images.

    All calibrate; where there are none integers are random.
    """
    if images is None:
        layers = ((mac.index, mac.layer) for mac in graph.macs)
        return {index: random_integers(layer, 8, (0, index)) for index, layer in layers}
    found: dict[int, Integers] = {}
    scales = inference.calibrated(graph, images, 8, None, signed=False)
    inference.layer_by_layer(graph, found.__setitem__, images.first(1), scales, lambda *_: None)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Machines by name, bits of their activations, what is behind them, the clock of digital ones.

    `density` says how activations are drawn where there are no images, as --density does.
    """

    machines: Mapping[str, Described]
    bits: int = 8
    memory: Memory | None = None
    prices: Prices | None = None
    clock: float | None = None
    density: str | None = None
    threads: int = 0


def compare_model(
    model: Model, network: QuantizedNetwork, choice: Choice, given: Activations,
    watch: Watch = lambda layer, images: None,
) -> Comparison:  # fmt: skip
    """A quantised network on machines by name: on the activations of `given`, or on drawn ones.

    Raises UsageError, ModelError where there are images and ONNX Runtime can't run the model.
    """
    if given.images is None:
        drawn = read_drawn(choice.density, choice.bits, given.seed)
        return compare_random(network, choice, drawn, watch)
    if choice.density is not None:
        raise UsageError("a density is of integers that are drawn: leave it, or the images, out")
    return compare_graph(cut(model, choice.threads), network, choice, given, watch)


def compare_random(
    network: QuantizedNetwork, choice: Choice, drawn: Drawn,
    watch: Watch = lambda layer, images: None,
) -> Comparison:  # fmt: skip
    """The same on integers that are drawn, which no graph has to run for: of all layers, cells of
    LSTM and GRU too, and of products of two activations whose matrices are known.

    Raises UsageError where there is none.
    """
    _check_bits(choice.bits)
    counter = Counter(network, choice.machines, choice.bits)
    for index, layer in enumerate(network.layers):
        watch(layer.layer.name, 1)
        counter.run(index, drawn.activations(layer, choice.bits, index))
    _products(counter, network, drawn, choice.bits, 1)
    if not counter.layers:
        raise UsageError("the model has no layer that multiplies: there is nothing to compare")
    return counter.comparison((), drawn.words, choice.memory, choice.prices, choice.clock)


def _products(
    counter: Counter, network: QuantizedNetwork, drawn: Drawn, bits: int, images: int,
    known: Mapping[int, Sequence[Pair]] | None = None,
) -> None:  # fmt: skip
    """Count products of two activations: those that are `known` on each image, by their place,
    others on integers that are drawn, as often as there are images.
    """
    for place, product in enumerate(network.network.products):
        if known and place in known:
            counter.run_alone(known[place])
            continue
        for pair in layers_of(product, bits, drawn.integers(bits, (place, 1))):
            counter.run_alone([pair] * images)


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= WIDEST:
        raise UsageError(f"activations of {bits} bits: give 1 to {WIDEST}")


def compare_graph(
    graph: CutGraph, network: QuantizedNetwork, choice: Choice, given: Activations,
    watch: Watch = lambda layer, images: None,
) -> Comparison:  # fmt: skip
    """A quantised network on machines by name, on images.

    Layers run on those of `given`, and so do products of two activations, but for those inside
    fused operators, whose integers are drawn as often as they are there. Raises UsageError where
    no layer can run, or images do not fit.
    """
    bits = choice.bits
    _check_bits(bits)
    if not cells_of(graph.graph):
        check_runs(graph)
    counter = Counter(network, choice.machines, bits)
    few, chosen = given.split()
    scales = inference.calibrated(graph, few, bits, given.percentile, given.signed)
    seen = np.zeros(1 << bits)

    def run(index: int, activations: Integers) -> None:
        counter.run(index, activations)
        codes = activations.integers.ravel().astype(np.int64) & len(seen) - 1
        np.add(seen, np.bincount(codes, minlength=len(seen)), out=seen)

    inference.layer_by_layer(graph, run, chosen, scales, watch)
    in_cells = {id(network.network.layers[i]) for i in run_cells(graph, given, bits, run)}
    skipped = [item for item in graph.not_simulated if id(item.layer) not in in_cells]
    used = used_images(given, few, chosen)
    known = products_on_images(graph, given, bits)
    _products(counter, network, Drawn(weights=seen), bits, chosen.count, known)
    return counter.comparison(skipped, used, choice.memory, choice.prices, choice.clock)
