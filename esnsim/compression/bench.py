"""What the candidates of one model, pruned to one ratio, share: made once, used for all widths."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from esnsim.compression.correct.meters import Output, meters
from esnsim.compression.correct.moments import ByName
from esnsim.compression.correct.recalibrate import Corrector, float_moments
from esnsim.compression.frozen import frozen
from esnsim.compression.prune.shrink import shrink
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.evaluate.scores import Evaluation, Scored
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, sites, unquantisable_layers
from esnsim.graph.substitute import Changes, dequantized
from esnsim.images.sets import ImageSet
from esnsim.model.network import Array, Mask, Network, Skipped
from esnsim.quantization.quantizer import QuantizedNetwork


@dataclass(frozen=True, slots=True)
class Bench:
    """A model as it is, or without some of its filters, on its images.

    `whole` is the graph before. Layers that stay float, `left` with the reason, have fixed codes in
    `network`. `corrector` is None where statistics are not corrected; `removed` filters are pruned
    away.
    """

    whole: Model
    graph: Model
    network: Network
    sites: tuple[Site, ...]
    left: tuple[Skipped, ...]
    evaluator: Evaluator
    corrector: Corrector | None
    removed: int

    def changes(self, quantized: QuantizedNetwork) -> Changes:
        """Δ·W_int of every layer where its node reads it, and the statistics that follow."""
        found = {
            site.slot: site.to_operand(dequantized(quantized.layers[site.index]))
            for site in self.sites
        }
        return found if self.corrector is None else self.corrector(found)

    def evaluate(self, quantized: QuantizedNetwork) -> Evaluation:
        """The quantised network on the images, statistics corrected."""
        return self.evaluator(self.changes(quantized))


@accepts_pair
def bench(
    whole: Model,
    images: ImageSet,
    calibration: ImageSet | None = None,
    kept: Sequence[Mask] | None = None,
    reference: Array | None = None,
    threads: int = 0,
    scored: Scored | Scoring = GUESS,
) -> Bench:
    """A bench for a model, without the filters (M,) of each layer that are not `kept`.

    `calibration` are the images that statistics are corrected with, None where they are not;
    their targets, the `reference` outputs, and what is `scored`, are those of the whole model in
    float.
    """
    if reference is None or isinstance(scored, Scoring):
        floats = Evaluator(whole, images, reference, threads, scored=scored)
        reference, scored = floats.reference, floats.scored
    graph = whole if kept is None else shrink(whole, kept)
    corrector = None
    if calibration is not None:
        targets = _targets(whole, kept, calibration, threads)
        corrector = Corrector(graph, calibration, targets, threads)
    filters, left = (sum(layer.filters for layer in m.network.layers) for m in (whole, graph))
    found, stay = sites(graph), unquantisable_layers(graph)
    counted = frozen(graph.network, [layer for layer, _ in stay])
    graph = replace(graph, network=counted)
    evaluator = Evaluator(graph, images, reference, threads, scored=scored)
    return Bench(whole, graph, counted, found, stay, evaluator, corrector, filters - left)


def _targets(graph: Model, kept: Sequence[Mask] | None, images: ImageSet, threads: int) -> ByName:
    """The whole model's moments of outputs without BatchNormalization, of the filters left."""
    found = float_moments(graph, images, threads)
    if kept is None:
        return found
    layer = {site.slot: site.index for site in sites(graph)}
    outputs = [meter for meter in meters(graph) if isinstance(meter, Output)]
    return {meter.name: found[meter.name].kept(kept[layer[meter.weight]]) for meter in outputs}
