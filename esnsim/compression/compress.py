"""A model compressed: to given codes, to a budget, or as far as its accuracy allows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from warnings import warn

from onnx import ModelProto

from esnsim.compression.allocate.effort import EFFORTS
from esnsim.compression.allocate.targets import read_targets
from esnsim.compression.export.build import build
from esnsim.compression.export.export import opset_of, upgraded
from esnsim.compression.export.qdq import NARROW
from esnsim.compression.journal import Journal, weights_digest
from esnsim.compression.paying import pruned, worth
from esnsim.compression.planning import planned
from esnsim.compression.policies import POLICIES, Plan, Problem
from esnsim.compression.prune.prune import choose
from esnsim.compression.recipe import Recipe
from esnsim.compression.round.inputs import RANGES
from esnsim.compression.round.layers import Candidate
from esnsim.compression.round.methods import COMPENSATED
from esnsim.compression.search import Goal, MissedError, Trial, search
from esnsim.compression.workspace import Workspace, prepare
from esnsim.costs.cost import Cost, cost
from esnsim.costs.metric import metric_value
from esnsim.errors import ModelError, UsageError, WidthError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.graph import accepts_pair
from esnsim.graph.model import Model
from esnsim.images.sets import ImageSet
from esnsim.images.split import OF_SCORED, first_of, split
from esnsim.machines.named.aim import AT
from esnsim.model.network import Layer, Mask, Skipped
from esnsim.quantization.filter_sums import Floats
from esnsim.quantization.quantizer import QuantizedNetwork, quantize
from esnsim.results import Outcome

ATTEMPTS, SMALLER = 4, 0.99  # at a budget of what codes are not charged by their width alone
FEW = 32  # images that codes compensate over; where there are fewer, a note says so
WHOLE_MODEL = 1 << 31  # bytes that protobuf writes
SPENT = 0.995  # of a budget is enough
WELL_USED = 0.9  # of a budget; where less was spent, a note says why

#: Hears of each step as it begins.
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Compressed(Outcome):
    """A compressed model, complete in memory.

    `before` is the cost of the model as it was given, `after` that of this one read anew, both as
    `esnsim cost` prints them. `floats` and `evaluation` are what the two are worth, None without
    images. `trials` are those of a search, in order. `alone` are layers whose codes could not be
    made to compensate. `on_machine` is what a machine takes before and after, where the metric is
    one's.
    """

    recipe: Recipe
    workspace: Workspace
    model: ModelProto
    before: Cost
    after: Cost
    floats: Evaluation | None
    evaluation: Evaluation | None
    trials: tuple[Trial, ...]
    alone: tuple[Layer, ...] = ()
    on_machine: tuple[float, float] | None = None

    @property
    def spent(self) -> tuple[float, float]:
        """The cost before and after, in units of the recipe's metric."""
        if self.on_machine is not None:
            return self.on_machine
        before, after = (
            metric_value(c.total, self.recipe.metric) for c in (self.before, self.after)
        )
        return before, after

    @property
    def ratio(self) -> float | None:
        """The cost before over that after; None where nothing is left."""
        before, after = self.spent
        return before / after if after else None

    @property
    def budget_used(self) -> float | None:
        """The share of the budget that was spent; None where there was none."""
        budget = self.recipe.budget
        return None if budget is None else self.spent[1] / budget if budget else 1.0

    @property
    def tie(self) -> bool | None:
        """Whether the accuracies can't be told apart; None without images."""
        floats, after = self.floats, self.evaluation
        return None if floats is None or after is None else floats.ties(after)

    @property
    def removed(self) -> int:
        """How many filters pruning took away."""
        return self.workspace.removed

    @property
    def nothing_removed(self) -> str | None:
        """That pruning took no filter away, where it was to; None where it did."""
        return _nothing_removed(self.recipe, self.workspace)

    @property
    def rounding(self) -> str:
        """How codes were rounded, and what pruning left refitted or not: one of ROUNDINGS."""
        return self.workspace.rounding

    @property
    def corrected_with(self) -> int:
        """How many images statistics were corrected with."""
        calibration = self.workspace.calibration
        return calibration.count if calibration and self.workspace.corrector else 0

    @property
    def activations_over(self) -> int:
        """How many images the ranges of activations are of."""
        calibration = self.workspace.calibration
        return min(RANGES, calibration.count) if calibration and self.recipe.activations else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What stayed as it was and why, what the budget left, and notes on the network."""
        work, used = self.workspace, self.budget_used
        notes = [*_by_reason(work.unquantisable, "stays as it is", "stay as they are")]
        notes += _by_reason(work.unprunable, "keeps all its filters", "keep all their filters")
        if self.alone:
            notes.append(
                f"{_named(self.alone)} in nearest codes: ONNX Runtime does not give "
                "what is read there"
            )
        if self.nothing_removed:
            notes.append(self.nothing_removed)
        opset = opset_of(self.model)
        if self.recipe.form == "qdq" and opset < NARROW and _narrow(self.after):
            notes.append(
                f"codes of up to 4 bits are stored in 8, as opset {opset} has no int4: raise the "
                f"model to opset {NARROW} for a smaller file"
            )
        images = work.calibration
        few = _different(images) if images else FEW
        if self.rounding == COMPENSATED and few < FEW:
            what = "images" if images and few == images.count else "different images"
            notes.append(f"codes compensate over {few} {what}: give {FEW} or more of the kind")
        if used is not None and used < WELL_USED:
            policy = self.recipe.policy
            why = POLICIES[policy].limit
            notes.append(f"{policy} used {100 * used:.0f} % of the budget: {why}")
        return (*notes, *work.network.notes)

    @property
    def found(self) -> Evaluation | None:
        """`evaluation`, as it was called before 0.2."""
        warn("Compressed.found is now evaluation", DeprecationWarning, stacklevel=2)
        return self.evaluation

    def to_bytes(self) -> bytes:
        """The model as the bytes of an ONNX file. Raises ModelError from 2 GB on."""
        size = self.model.ByteSize()
        if size >= WHOLE_MODEL:
            raise ModelError(
                f"the compressed model has {size:,} bytes, and ONNX holds 2 GB without external "
                "data: give fewer bits, or the format qdq"
            )
        return self.model.SerializeToString()


def _different(images: ImageSet) -> int:
    """How many of the first images are not alike."""
    first = images.first(FEW)
    return len({row.tobytes() for row in first.read(0, first.count)})


def _named(layers: Sequence[Layer], most: int = 3) -> str:
    """Some layers by name, and how many more there are."""
    names = ", ".join(f"'{layer.name}'" for layer in layers[:most])
    more = f" and {len(layers) - most:,} more" if len(layers) > most else ""
    return f"layer{'s' * (len(layers) > 1)} {names}{more}"


def _by_reason(skipped: Sequence[Skipped], one: str, many: str) -> Iterator[str]:
    """A note for all layers of one reason."""
    for reason in dict.fromkeys(each.reason for each in skipped):
        layers = [each.layer for each in skipped if each.reason == reason]
        yield f"{_named(layers)} {many if len(layers) > 1 else one}: {reason}"


def _narrow(found: Cost) -> bool:
    """Whether some layer's codes would fit into int4."""
    return any(0 < row.bits.max(initial=0) <= 4 for row in found.layers)


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
    if images is not None:
        if calibration is None:
            calibration, images = split(images, OF_SCORED)
        images = first_of(images, count) if count else images
    if images is None and recipe.searches:
        raise UsageError("a drop of accuracy, or an SQNR, needs images: give --data")
    if calibration is None and recipe.activations:
        raise UsageError("ranges of activations need images: give --data")
    if calibration is not None:
        calibration = calibration.first(EFFORTS[recipe.effort].images)
    progress("preparing")
    journal = _journal(resume, model, recipe, images, calibration)
    before, model = cost(quantize(model.network)), upgraded(model, recipe.form)
    kept = None
    if recipe.ratio:
        kept = choose(model, recipe.ratio, criterion=recipe.criterion, scope=recipe.scope)

    def prepared(kept: Sequence[Mask] | None, floats: Evaluator | None = None) -> Workspace:
        return prepare(
            model, images, calibration, kept, correct=recipe.correct, rounding=recipe.rounding,
            activation_bits=8 if recipe.activations else None, threads=threads, scoring=scoring,
            floats=floats, journal=journal,
        )  # fmt: skip

    workspace = prepared(kept)
    _check(recipe, workspace)
    floats = workspace.floats
    if recipe.ratio is None:
        chosen = _as_pays(workspace, recipe, prepared, progress)
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


def _journal(
    path: Path | None, model: Model, recipe: Recipe, images: ImageSet | None,
    calibration: ImageSet | None,
) -> Journal | None:  # fmt: skip
    """The file of finished layers, bound to the model, the images and the recipe."""
    if path is None:
        return None
    sets = [None if x is None else dict(x.fingerprint()) for x in (images, calibration)]
    return Journal(path, f"{weights_digest(model.network)} {recipe} {sets}")


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
    nothing = _nothing_removed(recipe, workspace)
    if nothing and not recipe.quantize:
        raise ModelError(nothing)


def _nothing_removed(recipe: Recipe, workspace: Workspace) -> str | None:
    if not recipe.ratio or workspace.removed:
        return None
    reason = "layers have too few filters for it"
    for layer, why in workspace.unprunable[:1]:
        reason = f"layer '{layer.name}' keeps all its filters: {why}"
    return (
        f"a share of {recipe.ratio:g} removes no filter ({reason}): give a larger --prune, or "
        "leave it out"
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A workspace and its candidate, None for floats, and what was tried to find it."""

    workspace: Workspace
    candidate: Candidate | None
    trials: tuple[Trial, ...] = ()


def _as_pays(
    workspace: Workspace,
    recipe: Recipe,
    prepared: Callable[[Sequence[Mask], Evaluator | None], Workspace],
    progress: Progress,
) -> _Chosen:
    """The best with any filters: of most SQNR within a budget, else the cheapest that is good."""
    floats, score, trials = workspace.evaluator, -inf, tuple[Trial, ...]()
    best: _Chosen | None = None
    error: WidthError | None = None
    for work, gains in pruned(workspace, lambda kept: prepared(kept, floats), recipe.effort):
        try:
            most = -score if best is not None and recipe.searches else None
            found = _chosen(work, recipe, workspace.floats, progress, gains, most)
        except MissedError:
            if best is None:
                raise
            break
        except WidthError as reason:  # fewer filters cost less
            error = error or reason
            continue
        trials += found.trials
        assert found.candidate is not None
        price = found.workspace.spent(found.candidate.quantized, recipe.metric)
        now = -price if recipe.searches else worth(work, found.candidate)
        if now <= score:
            break
        best, score = found, now
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
    best, asked = budget, budget
    for _ in range(ATTEMPTS if budget < inf else 0):
        spent = workspace.spent(quantize(workspace.network, plan(asked)), metric)
        if spent > budget or not spent:
            break
        best, asked = asked, asked * budget / spent
        if spent > SPENT * budget:
            break
    return best


def _within(workspace: Workspace, plan: Plan, recipe: Recipe) -> Candidate:
    """The candidate for a budget. Where rounding made codes larger, that for a smaller one."""
    budget = asked = inf if recipe.budget is None else recipe.budget
    asked = _spending(workspace, plan, recipe.metric, budget)
    for _ in range(ATTEMPTS):
        candidate = workspace.candidate(plan(asked))
        spent = workspace.spent(candidate.quantized, recipe.metric)
        if spent <= budget:
            break
        asked *= SMALLER * budget / spent
    return candidate
