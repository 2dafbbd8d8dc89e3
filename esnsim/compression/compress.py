"""A model compressed: to given codes, to a budget, or as far as its accuracy allows."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf, sqrt
from pathlib import Path

from onnx import ModelProto

from esnsim.compression.allocate.budget import spent
from esnsim.compression.allocate.targets import read_targets
from esnsim.compression.job import CALIBRATION, Job, made, prepared
from esnsim.compression.policies import Plan, Problem, find_policy
from esnsim.compression.recipe import Recipe
from esnsim.costs.cost import Cost, cost
from esnsim.errors import EsnsimError, UsageError, WidthError
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.images.sets import ImageSet
from esnsim.images.split import split
from esnsim.quantization.quantizer import QuantizedNetwork, quantize
from esnsim.quantization.scheme import Scheme

WIDEST = 8  # bits at which the search for an accuracy begins
SPAN, PRECISION = 32.0, 1.02  # it goes down to a part of that cost, and ends within a factor
ROUNDING = 1e-9  # of shares of images

#: Is told of each step as it begins.
Watch = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate of the search for an accuracy; `spent` is in units of the recipe's metric."""

    spent: float
    evaluation: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Compressed:
    """A compressed model, complete in memory.

    `before` is the cost of the model as it was given, `after` that of this one read anew, both as
    `esnsim cost` prints them. `found` is its evaluation, None without images.
    """

    job: Job
    model: ModelProto
    before: Cost
    after: Cost
    found: Evaluation | None
    trials: tuple[Trial, ...]

    def __repr__(self) -> str:
        from esnsim.report.compression.document import words

        return words(self, Path("model"), self.model.ByteSize())


@accepts_pair
def compress(
    model: Model,
    recipe: Recipe,
    images: ImageSet | None = None,
    calibration: ImageSet | None = None,
    threads: int = 0,
    watch: Watch = lambda step: None,
    scoring: Scoring = GUESS,
) -> Compressed:
    """Compress a model as a recipe says, and evaluate it on `images` where there are some.

    `calibration` are the images that statistics, sensitivities and ranges come from, by default
    the first of `images`, which are then not scored; labels are not looked at. Raises WidthError
    for a budget below the least possible, UsageError for what does not go together.
    """
    used = calibration
    if images is not None:
        used, images = split(images, CALIBRATION, calibration)
    if images is None and (recipe.drop is not None or recipe.sqnr is not None):
        raise UsageError("a drop of accuracy, or an SQNR, needs images: give --data")
    if used is None and recipe.activations:
        raise UsageError("ranges of activations need images: give --data")
    watch("preparing")
    before = cost(quantize(model.network))
    job = prepared(model, recipe, images, used, threads, scoring)
    quantized, trials = _chosen(job, watch)
    watch("writing")
    written, found = made(job, quantized)
    after = cost(quantize(written.network))
    if recipe.budget is not None and spent(after, recipe.metric) > recipe.budget:
        raise WidthError(
            f"{recipe.metric} came out as {spent(after, recipe.metric):,.10g}, above the budget of "
            f"{recipe.budget:,.10g}: weights that several layers share became several; give more"
        )
    return Compressed(
        job=job, model=written.proto, before=before, after=after, found=found, trials=trials
    )


def _chosen(job: Job, watch: Watch) -> tuple[QuantizedNetwork | None, tuple[Trial, ...]]:
    """The codes, None for floats, and what was tried to find them."""
    recipe, network = job.recipe, job.network
    if not recipe.quantize:
        return None, ()
    if recipe.scheme is not None:
        return quantize(network, recipe.scheme), ()
    watch("planning")
    targets = None if recipe.targets is None else read_targets(recipe.targets, recipe.epoch)
    plan = find_policy(recipe.policy).plan(
        Problem(
            network=network, metric=recipe.metric, rule=recipe.rule, targets=targets,
            workspace=job.bench, images=job.calibration, threads=job.threads,
            effort=recipe.effort,
        )
    )  # fmt: skip
    if recipe.drop is not None or recipe.sqnr is not None:
        return _searched(job, plan, watch)
    return quantize(network, plan(inf if recipe.budget is None else recipe.budget)), ()


def _searched(job: Job, plan: Plan, watch: Watch) -> tuple[QuantizedNetwork, tuple[Trial, ...]]:
    """The cheapest codes that are good enough: bisection over the budget, on a scale of ratios."""
    floats, metric = job.floats, job.recipe.metric
    assert floats is not None
    if job.recipe.drop is not None:
        _check_drop(floats)
    high = spent(cost(quantize(job.network, Scheme(bits=WIDEST))), metric)
    best, first = _tried(job, plan, high, watch)
    reason = _falls_short(job.recipe, floats, first.evaluation)
    if reason is not None:
        raise EsnsimError(f"at {WIDEST} bits {reason}, or prune less")
    low, trials = high / SPAN, [first]
    while high > PRECISION * low:
        budget = sqrt(low * high)
        with suppress(WidthError):  # a policy may not go as low as this
            quantized, trial = _tried(job, plan, budget, watch)
            trials.append(trial)
            if _falls_short(job.recipe, floats, trial.evaluation) is None:
                best, high = quantized, min(budget, trial.spent)
                continue
        low = budget
    return best, tuple(trials)


def _falls_short(recipe: Recipe, floats: Evaluation, found: Evaluation) -> str | None:
    """Why a candidate is not good enough, None where it is."""
    if recipe.sqnr is not None:
        least = f"the SQNR is {found.sqnr_db:.1f} dB: allow a lower --sqnr"
        return least if found.sqnr_db < recipe.sqnr else None
    lost = floats.known_accuracy - found.known_accuracy
    if lost <= (recipe.drop or 0) + ROUNDING:
        return None
    return f"the accuracy is {100 * lost:.2f} points below the float model's: allow a larger --drop"


def _check_drop(floats: Evaluation) -> None:
    """Raise UsageError where there is no accuracy that can be lost."""
    accuracy = f"{100 * floats.known_accuracy:.4g}%"
    if floats.at_chance:
        raise UsageError(
            f"the float model's {accuracy} are no better than always the same answer, so nothing "
            "can be lost: give --budget, other images, or another --score-output"
        )


def _tried(job: Job, plan: Plan, budget: float, watch: Watch) -> tuple[QuantizedNetwork, Trial]:
    quantized = quantize(job.network, plan(budget))
    price = spent(cost(quantized), job.recipe.metric)
    watch(f"{job.recipe.metric} {price:.3g}")
    found = made(job, quantized)[1]
    assert found is not None
    return quantized, Trial(price, found)
