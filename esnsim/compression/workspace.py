"""What all candidates of one model, pruned to one ratio, share: made once, used for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from warnings import warn

from esnsim.compression.correct.meters import Output, meters
from esnsim.compression.correct.moments import ByName
from esnsim.compression.correct.recalibrate import Corrector
from esnsim.compression.fixed import with_fixed_codes
from esnsim.compression.journal import Journal
from esnsim.compression.prune.shrink import shrink
from esnsim.compression.prune.units import unprunable_layers
from esnsim.compression.round.inputs import Setting
from esnsim.compression.round.layers import Candidate, refit_layers, round_layers
from esnsim.compression.round.methods import COMPENSATED, NEAREST, resolved
from esnsim.compression.round.reference import Reference
from esnsim.costs.cost import cost
from esnsim.costs.metric import metric_value
from esnsim.errors import UsageError
from esnsim.evaluate.comparison import captured
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.evaluate.scores import Evaluation, Scored
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, sites, unquantisable_layers
from esnsim.graph.substitute import Changes, dequantized_at, with_weights
from esnsim.images.sets import ImageSet
from esnsim.machines.named.aim import AT, Aim, read_aim
from esnsim.model.network import Array, Mask, Network, Skipped
from esnsim.quantization.quantizer import QuantizedNetwork, quantize
from esnsim.quantization.scheme import Scheme
from esnsim.run.cut import cut

CALIBRATION = 512  # images that calibrate, at most
AIMED = 64  # of them, that set the ranges of activations on a machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A model whose weights at `sites` are to be exchanged, and what tells what that is worth.

    `model` is `whole`, or what is left of it without pruned filters. Its `unquantisable` layers
    stay as they are and have fixed codes in `network`; of `unprunable` ones, if it was pruned, no
    filter could go. `calibration` are images whose labels nobody looks at. `evaluator` compares
    with `whole` in float, None without images; `corrector` corrects statistics towards `targets`,
    None where they stay. Codes are of a `rounding`, one of ROUNDINGS, on the activations of `kept`
    filters, which are quantised if they have `activation_bits`. The `journal` keeps rounded layers,
    the `reference` what `whole` gives on the images that calibrate.
    """

    whole: Model
    model: Model
    sites: tuple[Site, ...]
    unquantisable: tuple[Skipped, ...]
    unprunable: tuple[Skipped, ...] = ()
    calibration: ImageSet | None = None
    evaluator: Evaluator | None = None
    corrector: Corrector | None = None
    targets: ByName | None = None
    kept: Sequence[Mask] | None = None
    rounding: str = NEAREST
    activation_bits: int | None = None
    threads: int = 0
    journal: Journal | None = None
    reference: Reference | None = None
    aims: dict[str, Aim] = field(default_factory=dict, compare=False, repr=False)

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

    @property
    def statistics(self) -> Changes:
        """What changes where weights stay in float; a refitted model has it already."""
        return self.corrector({}) if self.corrector and self.rounding == NEAREST else {}

    def aim(self, metric: str) -> Aim | None:
        """The metric of a machine, on the activations of the model in float; None of all others."""
        if AT not in metric:
            return None
        if metric not in self.aims:
            images = self.calibration and self.calibration.first(AIMED)
            found = captured(cut(self.model, self.threads), images)
            self.aims[metric] = read_aim(metric, found)
        return self.aims[metric]

    def spent(self, quantized: QuantizedNetwork, metric: str) -> float:
        """What a candidate of this workspace takes, in units of the metric."""
        aim = self.aim(metric)
        return metric_value(cost(quantized).total, metric) if aim is None else aim.of(quantized)

    def candidate(self, scheme: Scheme) -> Candidate:
        """The codes of a scheme as they are rounded, and the constants that follow."""
        return self.rounded(quantize(self.network, scheme))

    def rounded(self, near: QuantizedNetwork) -> Candidate:
        """The candidate of nearest codes."""
        found = Candidate(near, dequantized_at(self.sites, near))
        if self.rounding == COMPENSATED:
            found = round_layers(self._setting, near)
            if not found.alone:  # else it stopped short of some statistics, too
                return found
        return found._replace(changes=self.corrector(found.changes)) if self.corrector else found

    def evaluate(self, near: QuantizedNetwork) -> Evaluation:
        """The candidate of nearest codes on the images. Raises UsageError where there are none."""
        return self.judged(self.rounded(near).changes)

    def judged(self, changes: Changes) -> Evaluation:
        """The model with other constants on the images. Raises UsageError where there are none."""
        if self.evaluator is None:
            raise UsageError("there is nothing to evaluate on: prepare the model with images")
        return self.evaluator(changes)

    def floats_on(self, images: ImageSet) -> Evaluator:
        """What compares with `whole` in float on other images, whose labels nobody looks at."""
        assert self.evaluator is not None
        unseen = replace(images, labels=None)
        return Evaluator(self.whole, unseen, threads=self.threads, scored=self.evaluator.scored)

    @property
    def _setting(self) -> Setting:
        """What layers are rounded on."""
        assert self.calibration is not None
        return Setting(
            whole=self.whole, model=self.model, images=self.calibration, kept=self.kept,
            targets=self.targets, activation_bits=self.activation_bits, threads=self.threads,
            journal=self.journal, reference=self.reference,
        )  # fmt: skip


def prepare(
    model: Model,
    images: ImageSet | None = None,
    calibration: ImageSet | None = None,
    kept: Sequence[Mask] | None = None,
    *,
    correct: bool = True,
    rounding: str | None = None,
    activation_bits: int | None = None,
    floats: Evaluator | None = None,
    threads: int = 0,
    scoring: Scoring | Scored = GUESS,
    journal: Journal | None = None,
    reference: Reference | None = None,
) -> Workspace:
    """A workspace for a model, without the filters (M,) of each layer that are not `kept`.

    Candidates are evaluated on `images`; where there are some, statistics are corrected with
    `calibration`, unless not `correct`. By the `rounding`, None for compensated where there is a
    `calibration`, what pruning leaves is refitted on it too. `floats` evaluates the whole model on
    these images, made here by default, under what the user says of `scoring`; `reference` knows it
    on those that calibrate, and rounded layers are kept in the `journal`. Raises UsageError,
    DataError, ModelError for images that do not fit the model.
    """
    rounding = resolved(rounding, calibration is not None)
    whole, unprunable = model, tuple[Skipped, ...]()
    targets = evaluator = corrector = None
    if calibration is not None and reference is None:
        reference = Reference(whole, calibration, threads)
    if images is not None and reference is not None and correct:
        targets = float_targets(whole, kept, reference)
    if kept is not None:
        unprunable, model = unprunable_layers(whole), shrink(whole, kept)
        if rounding == COMPENSATED and calibration is not None:
            setting = Setting(
                whole=whole, model=model, images=calibration, kept=kept, targets=targets,
                threads=threads, reference=reference,
            )  # fmt: skip
            model = model.reopened(with_weights(model, refit_layers(setting)))
    found, stay = sites(model), unquantisable_layers(model)
    network = with_fixed_codes(model.network, [layer for layer, _ in stay])
    model = replace(model, network=network)
    if images is not None:
        floats = floats or Evaluator(whole, images, threads=threads, scored=scoring)
        if targets is not None and calibration is not None:
            corrector = Corrector(model, calibration, targets, threads)
        evaluator = floats.of(model)
    return Workspace(
        whole=whole, model=model, sites=found, unquantisable=stay, unprunable=unprunable,
        calibration=calibration, evaluator=evaluator, corrector=corrector, targets=targets,
        kept=kept, rounding=rounding, activation_bits=activation_bits, threads=threads,
        journal=journal, reference=reference,
    )  # fmt: skip


def float_targets(model: Model, kept: Sequence[Mask] | None, reference: Reference) -> ByName:
    """The whole model's moments of outputs without BatchNormalization, of the filters left."""
    found = reference.moments
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
    return prepare(
        model, images, calibration, kept, rounding=NEAREST, floats=floats, threads=threads
    )
