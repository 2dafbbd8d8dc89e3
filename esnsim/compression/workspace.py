"""What all candidates of one model, pruned to one ratio, share: made once, used for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from warnings import warn

from esnsim.compression.correct.meters import Output, meters
from esnsim.compression.correct.moments import ByName
from esnsim.compression.correct.recalibrate import Corrector, float_moments
from esnsim.compression.fixed import with_fixed_codes
from esnsim.compression.prune.shrink import shrink
from esnsim.compression.prune.units import unprunable_layers
from esnsim.errors import UsageError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.evaluate.scores import Evaluation, Scored
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, sites, unquantisable_layers
from esnsim.graph.substitute import Changes, dequantized_at
from esnsim.images.sets import ImageSet
from esnsim.model.network import Array, Mask, Network, Skipped
from esnsim.quantization.quantizer import QuantizedNetwork

CALIBRATION = 256  # images that statistics are corrected with, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A model whose weights at `sites` are to be exchanged, and what tells what that is worth.

    `model` is `whole`, or what is left of it without pruned filters. Its `unquantisable` layers
    stay as they are and have fixed codes in `network`; of `unprunable` ones, if it was pruned, no
    filter could go. `calibration` are images whose labels nobody looks at. `evaluator` compares
    with `whole` in float, None without images; `corrector` corrects statistics, None where they
    stay.
    """

    whole: Model
    model: Model
    sites: tuple[Site, ...]
    unquantisable: tuple[Skipped, ...]
    unprunable: tuple[Skipped, ...] = ()
    calibration: ImageSet | None = None
    evaluator: Evaluator | None = None
    corrector: Corrector | None = None
    threads: int = 0

    @property
    def network(self) -> Network:
        """What is quantised."""
        return self.model.network

    @property
    def removed(self) -> int:
        """How many filters are pruned away."""
        before, after = (sum(x.filters for x in m.network.layers) for m in (self.whole, self.model))
        return before - after

    @property
    def floats(self) -> Evaluation | None:
        """The whole model in float on the images, None where there are none."""
        return None if self.evaluator is None else self.evaluator.floats

    def changes(self, quantized: QuantizedNetwork | None) -> Changes:
        """Δ·W_int of every layer where its node reads it, and the statistics that follow.

        None leaves the weights in float.
        """
        found = {} if quantized is None else dequantized_at(self.sites, quantized)
        return found if self.corrector is None else self.corrector(found)

    def evaluate(self, quantized: QuantizedNetwork | None) -> Evaluation:
        """The quantised network on the images, statistics corrected. Raises UsageError without."""
        if self.evaluator is None:
            raise UsageError("there is nothing to evaluate on: prepare the model with images")
        return self.evaluator(self.changes(quantized))


def prepare(
    model: Model,
    images: ImageSet | None = None,
    calibration: ImageSet | None = None,
    kept: Sequence[Mask] | None = None,
    *,
    correct: bool = True,
    floats: Evaluator | None = None,
    threads: int = 0,
    scoring: Scoring | Scored = GUESS,
) -> Workspace:
    """A workspace for a model, without the filters (M,) of each layer that are not `kept`.

    Candidates are evaluated on `images`; where there are some, statistics are corrected with
    `calibration`, unless not `correct`. `floats` evaluates the whole model on these images, made
    here by default, under what the user says of `scoring`. Raises UsageError, DataError,
    ModelError for images that do not fit the model.
    """
    whole, unprunable = model, tuple[Skipped, ...]()
    if kept is not None:
        unprunable, model = unprunable_layers(whole), shrink(whole, kept)
    found, stay = sites(model), unquantisable_layers(model)
    network = with_fixed_codes(model.network, [layer for layer, _ in stay])
    model = replace(model, network=network)
    calibration = None if calibration is None else calibration.first(CALIBRATION)
    evaluator = corrector = None
    if images is not None:
        floats = floats or Evaluator(whole, images, threads=threads, scored=scoring)
        if calibration is not None and correct:
            targets = float_targets(whole, kept, calibration, threads)
            corrector = Corrector(model, calibration, targets, threads)
        evaluator = Evaluator(model, images, floats.reference, threads, scored=floats.scored)
    return Workspace(
        whole=whole, model=model, sites=found, unquantisable=stay, unprunable=unprunable,
        calibration=calibration, evaluator=evaluator, corrector=corrector, threads=threads,
    )  # fmt: skip


def float_targets(
    model: Model, kept: Sequence[Mask] | None, images: ImageSet, threads: int
) -> ByName:
    """The whole model's moments of outputs without BatchNormalization, of the filters left."""
    found = float_moments(model, images, threads)
    if kept is None:
        return found
    layer = {site.slot: site.index for site in sites(model)}
    outputs = [meter for meter in meters(model) if isinstance(meter, Output)]
    return {meter.name: found[meter.name].kept(kept[layer[meter.weight]]) for meter in outputs}


@accepts_pair
def bench(
    model: Model,
    images: ImageSet,
    calibration: ImageSet | None = None,
    kept: Sequence[Mask] | None = None,
    reference: Array | None = None,
    threads: int = 0,
    scored: Scored | Scoring = GUESS,
) -> Workspace:
    """`prepare`, as it was called before 0.2."""
    warn("bench is now esnsim.compression.workspace.prepare", DeprecationWarning, stacklevel=3)
    floats = Evaluator(model, images, reference, threads, scored=scored)
    return prepare(model, images, calibration, kept, floats=floats, threads=threads)
