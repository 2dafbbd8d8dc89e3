"""A model compressed: to given codes, to a budget, or as far as its accuracy allows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt
from pathlib import Path

from esnsim.compression.allocate.effort import EFFORTS
from esnsim.compression.allocate.targets import read_targets
from esnsim.compression.compressed import Compressed, nothing_removed
from esnsim.compression.export.build import build
from esnsim.compression.export.export import upgraded
from esnsim.compression.journal import Journal, weights_digest
from esnsim.compression.paying import held_back, judge, pruned
from esnsim.compression.planning import planned
from esnsim.compression.policies import Plan, Problem
from esnsim.compression.prune.prune import choose
from esnsim.compression.recipe import Recipe
from esnsim.compression.round.layers import Candidate
from esnsim.compression.search import Goal, MissedError, Trial, search
from esnsim.compression.workspace import Workspace, prepare
from esnsim.costs.cost import cost
from esnsim.errors import ModelError, UsageError, WidthError
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.branches import specialised
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.images.sets import ImageSet
from esnsim.images.split import OF_SCORED, first_of, split
from esnsim.machines.named.aim import AT
from esnsim.model.network import Mask
from esnsim.quantization.filter_sums import Floats
from esnsim.quantization.quantizer import QuantizedNetwork, quantize

ATTEMPTS, SMALLER = 4, 0.99  # at a budget of what codes are not charged by their width alone
ASKED, SPENT, NEAR = 8, 0.995, 1.002  # times a plan is asked at most; of a budget: enough; alike
PATIENCE = 2  # shares of filters in a row that pay no more; one may on few images

#: Hears of each step as it begins.
Progress = Callable[[str], None]


@accepts_pair
def compress(
    model: Model,
    recipe: Recipe,
    images: ImageSet | None = None,
    calibration: ImageSet | None = None,
    threads: int = 0,
    progress: Progress = lambda step: None,
    scoring: Scoring = GUESS,
    count: int | None = None,
    resume: Path | None = None,
) -> Compressed:
    """Compress a model as a recipe says, and evaluate it on `count` of the `images`, or all.

    `calibration` are the images that statistics, sensitivities and ranges come from, by default
    the first of `images`, which are then not scored; labels are not looked at. `resume` is a file
    that keeps layers as they are done, which a second run goes on with. Raises WidthError
    for a budget below the least possible, ModelError where pruning alone removes nothing,
    UsageError for what does not go together.
    """
    images, calibration, held = _sets(recipe, images, calibration, count)
    progress("preparing")
    model = specialised(model)
    journal = _journal(resume, model, f"{recipe} {scoring}", images, calibration, held)
    before, model = cost(quantize(model.network)), upgraded(model, recipe.form)
    kept = None
    if recipe.ratio:
        kept = choose(model, recipe.ratio, criterion=recipe.criterion, scope=recipe.scope)

    def prepared(kept: Sequence[Mask] | None, whole: Workspace | None = None) -> Workspace:
        return prepare(
            model, images, calibration, kept, correct=recipe.correct, rounding=recipe.rounding,
            activation_bits=8 if recipe.activations else None, threads=threads, scoring=scoring,
            floats=whole.evaluator if whole else None, journal=journal,
            reference=whole.reference if whole else None,
        )  # fmt: skip

    workspace = prepared(kept)
    _check(recipe, workspace)
    floats = workspace.floats
    if recipe.ratio is None:
        chosen = _as_pays(workspace, recipe, held, prepared, progress)
    else:
        chosen = _chosen(workspace, recipe, floats, progress)
    progress("writing")
    workspace, candidate = chosen.workspace, chosen.candidate
    built, evaluation = build(workspace, candidate, recipe.form, recipe.activations)
    after = quantize(built.network)
    result = Compressed(
        recipe=recipe, workspace=workspace, model=built.proto, before=before,
        after=cost(after), floats=floats, evaluation=evaluation,
        trials=chosen.trials, alone=candidate.alone if candidate else (),
        on_machine=_on_machine(workspace, recipe.metric, after),
    )  # fmt: skip
    _check_spent(result)
    if journal is not None:
        journal.finish()
    return result


def _sets(
    recipe: Recipe, images: ImageSet | None, calibration: ImageSet | None, count: int | None
) -> tuple[ImageSet | None, ImageSet | None, ImageSet | None]:
    """The images that are scored, those that calibrate, and those that judge how many filters go.

    Raises UsageError for none, or few.
    """
    if images is not None:
        if calibration is None:
            calibration, images = split(images, OF_SCORED)
        images = first_of(images, count) if count else images
    if images is None and recipe.searches:
        raise UsageError("a drop of accuracy, or an SQNR, needs images: give --data")
    if calibration is None and recipe.activations:
        raise UsageError("ranges of activations need images: give --data")
    most = EFFORTS[recipe.effort].images
    if calibration is None:
        return images, None, None
    if recipe.ratio is None and not recipe.searches:
        return images, *held_back(calibration, most)
    return images, calibration.first(most), None


def _journal(
    path: Path | None, model: Model, options: str, *images: ImageSet | None
) -> Journal | None:
    """The file of finished layers, bound to the model, the images and what is done."""
    if path is None:
        return None
    sets = [None if x is None else dict(x.fingerprint()) for x in images]
    return Journal(path, f"{weights_digest(model.network)} {options} {sets}")


def _check_spent(result: Compressed) -> None:
    """Raise WidthError where more than the budget came out."""
    recipe, spent = result.recipe, result.spent[1]
    if recipe.budget is not None and spent > recipe.budget:
        raise WidthError(
            f"{recipe.metric} came out as {spent:,.10g}, above the budget of "
            f"{recipe.budget:,.10g}: weights that several layers share became several; give more"
        )


def _on_machine(
    workspace: Workspace, metric: str, after: QuantizedNetwork
) -> tuple[float, float] | None:
    """What a machine takes of the whole model, its weights in 8 bits, and of what became of it."""
    if AT not in metric:
        return None
    whole = replace(workspace, model=workspace.whole, aims={})
    return whole.spent(quantize(workspace.whole.network), metric), workspace.spent(after, metric)


def _check(recipe: Recipe, workspace: Workspace) -> None:
    """Raise UsageError where nothing is to be quantised, ModelError where nothing was pruned."""
    if recipe.quantize and not workspace.sites:
        reason = workspace.unquantisable[0].reason
        raise UsageError(f"there are no weights to quantise: {reason}")
    nothing = nothing_removed(recipe, workspace)
    if nothing and not recipe.quantize:
        raise ModelError(nothing)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A workspace and its candidate, None for floats, and what was tried to find it."""

    workspace: Workspace
    candidate: Candidate | None
    trials: tuple[Trial, ...] = ()


def _as_pays(
    workspace: Workspace,
    recipe: Recipe,
    held: ImageSet | None,
    prepared: Callable[[Sequence[Mask], Workspace], Workspace],
    progress: Progress,
) -> _Chosen:
    """The best with any filters: of most SQNR within a budget, else the cheapest that is good."""
    score, worse, trials = -inf, 0, tuple[Trial, ...]()
    judged = None if recipe.searches else judge(workspace, held)
    best: _Chosen | None = None
    error: WidthError | None = None
    for work, gains in pruned(workspace, lambda kept: prepared(kept, workspace), recipe.effort):
        now = -inf
        try:
            most = -score if best is not None and recipe.searches else None
            found = _chosen(work, recipe, workspace.floats, progress, gains, most)
        except MissedError:  # at the cost of the best so far
            if best is None:
                raise
        except WidthError as reason:  # fewer filters cost less
            error = error or reason
            continue
        else:
            trials += found.trials
            assert found.candidate is not None
            if judged is None:
                now = -work.spent(found.candidate.quantized, recipe.metric)
            else:
                now = judged.of(work.model)(found.candidate.changes).sqnr_db
        if best is None or now > score:
            best, score, worse = found, now, 0
        elif (worse := worse + 1) == PATIENCE:
            break
    if best is None:
        assert error is not None
        raise error
    return replace(best, trials=trials)


def _chosen(
    workspace: Workspace,
    recipe: Recipe,
    floats: Evaluation | None,
    progress: Progress,
    gains: Sequence[Floats] | None = None,
    most: float | None = None,
) -> _Chosen:
    """The candidate that a recipe asks for; a search spends `most` at the utmost."""
    if not recipe.quantize:
        return _Chosen(workspace, None)
    if recipe.scheme is not None:
        return _Chosen(workspace, workspace.candidate(recipe.scheme))
    problem = Problem(
        workspace=workspace, metric=recipe.metric, rule=recipe.rule, effort=recipe.effort,
        targets=read_targets(recipe.targets, recipe.epoch) if recipe.targets else None,
        gains=gains,
    )  # fmt: skip
    plan = planned(problem, recipe.policy, lambda: progress("planning"))
    if not recipe.searches or floats is None:
        return _Chosen(workspace, _within(workspace, plan, recipe))

    def evaluate(candidate: Candidate) -> Evaluation:
        found = build(workspace, candidate, recipe.form, recipe.activations)[1]
        assert found is not None
        return found

    goal = Goal(floats, recipe.drop, recipe.sqnr)
    return _Chosen(
        workspace, *search(workspace, plan, recipe.metric, goal, evaluate, progress, most)
    )


def _spending(workspace: Workspace, plan: Plan, metric: str, budget: float) -> float:
    """What to ask of a plan so that it spends a budget: filters that go make others cheaper."""
    asked = best = low = budget
    high, most = inf, 0.0
    for _ in range(ASKED if budget < inf else 0):
        spent = workspace.spent(quantize(workspace.network, plan(asked)), metric)
        low, high = (asked, high) if spent <= budget else (low, asked)
        if not spent or high <= NEAR * low:
            break
        if most < spent <= budget:
            best, most = asked, spent
        if most > SPENT * budget:
            break
        asked = asked * budget / spent if high == inf else sqrt(low * high)
    return best


def _within(workspace: Workspace, plan: Plan, recipe: Recipe) -> Candidate:
    """The candidate for a budget. Where rounding made codes larger, that for a smaller one."""
    budget = inf if recipe.budget is None else recipe.budget
    asked = _spending(workspace, plan, recipe.metric, budget)
    for _ in range(ATTEMPTS):
        candidate = workspace.candidate(plan(asked))
        spent = workspace.spent(candidate.quantized, recipe.metric)
        if spent <= budget:
            break
        asked *= SMALLER * budget / spent
    return candidate
