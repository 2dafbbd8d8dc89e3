"""A model made ready for its recipe, and the candidates that can be made of it."""

from dataclasses import dataclass

from esnsim.compression.bench import Bench, bench
from esnsim.compression.export.activations import with_activations
from esnsim.compression.export.export import exported, opset_of, upgrade_opset
from esnsim.compression.export.formats import FORMATS
from esnsim.compression.frozen import frozen
from esnsim.compression.prune.prune import choose
from esnsim.compression.prune.shrink import shrink
from esnsim.compression.prune.units import unprunable_layers
from esnsim.compression.recipe import Recipe
from esnsim.errors import UsageError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, sites, unquantisable_layers
from esnsim.graph.substitute import Changes, dequantized, with_weights
from esnsim.images.sets import ImageSet
from esnsim.model.network import Network, Skipped
from esnsim.quantization.quantizer import QuantizedNetwork

CALIBRATION = 256  # images that statistics are corrected with
RANGES = 64  # images that the ranges of activations are read off


@dataclass(frozen=True, slots=True)
class Job:
    """A model after pruning, without `removed` filters.

    `network` is what is quantised: layers that stay as they are, `left` with the reason, have the
    codes that they are counted by. `unpruned` are those that pruning left whole, with the reason.
    `floats` is the whole model in float on the images; that and
    `bench` are None where there are none. `calibration` are images without labels, or None.
    """

    recipe: Recipe
    graph: Model
    network: Network
    sites: tuple[Site, ...]
    left: tuple[Skipped, ...]
    unpruned: tuple[Skipped, ...]
    removed: int
    images: ImageSet | None
    calibration: ImageSet | None
    bench: Bench | None
    floats: Evaluation | None
    threads: int


def prepared(
    model: Model,
    recipe: Recipe,
    images: ImageSet | None = None,
    calibration: ImageSet | None = None,
    threads: int = 0,
    scoring: Scoring = GUESS,
) -> Job:
    """A model raised to an opset that its format takes, and pruned.

    Raises UsageError where nothing is left to quantise, ModelError, DataError.
    """
    if opset_of(model.proto) < FORMATS[recipe.form].least_opset:
        model = model.reopened(upgrade_opset(with_weights(model, {}), recipe.form))
    kept, unpruned = None, tuple[Skipped, ...]()
    if recipe.ratio:
        unpruned = unprunable_layers(model)
        kept = choose(model, recipe.ratio, criterion=recipe.criterion, scope=recipe.scope)
    if images is None:
        graph = model if kept is None else shrink(model, kept)
        found, left = sites(graph), unquantisable_layers(graph)
        smaller = frozen(graph.network, [layer for layer, _ in left])
        shared = floats = None
    else:
        used = calibration.first(CALIBRATION) if calibration and recipe.correct else None
        shared = bench(model, images, used, kept, threads=threads, scored=scoring)
        graph, smaller, found, left = shared.graph, shared.network, shared.sites, shared.left
        floats = shared.evaluator.floats
    if recipe.quantize and not found:
        raise UsageError(f"there are no weights to quantise: {left[0][1]}")
    filters, rest = (sum(layer.filters for layer in n.layers) for n in (model.network, smaller))
    return Job(
        recipe, graph, smaller, found, left, unpruned, filters - rest, images, calibration,
        shared, floats, threads,
    )  # fmt: skip


def made(job: Job, quantized: QuantizedNetwork | None) -> tuple[Model, Evaluation | None]:
    """The model with the codes of a candidate, or in float, and its evaluation on the images."""
    recipe, shapes = job.recipe, dict(job.network.source.inputs)
    changes = _changes(job, quantized)
    if quantized is None:
        proto = with_weights(job.graph, changes)
    else:
        proto = exported(job.graph, job.sites, quantized, recipe.form, changes)
    if recipe.activations and job.calibration is not None:
        proto = with_activations(proto, job.calibration.first(RANGES), shapes, job.threads)
    model = job.graph.reopened(proto)
    if job.images is None or job.bench is None:
        return model, None
    if not FORMATS[recipe.form].runs:
        return model, job.bench.evaluator(changes)
    floats = job.bench.evaluator
    evaluator = Evaluator(model, job.images, floats.reference, job.threads, scored=floats.scored)
    return model, evaluator({})


def _changes(job: Job, quantized: QuantizedNetwork | None) -> Changes:
    """The constants of a candidate: weights Δ·W_int, and statistics."""
    if quantized is None:
        corrector = job.bench.corrector if job.bench else None
        return corrector({}) if corrector else {}
    if job.bench is not None:
        return job.bench.changes(quantized)
    return {s.slot: s.to_operand(dequantized(quantized.layers[s.index])) for s in job.sites}
