"""What came of compressing a model, and what is told of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from warnings import warn

from onnx import ModelProto

from esnsim.compression.export.export import opset_of
from esnsim.compression.export.qdq import NARROW
from esnsim.compression.policies import POLICIES
from esnsim.compression.recipe import Recipe
from esnsim.compression.round.inputs import RANGES
from esnsim.compression.round.methods import COMPENSATED
from esnsim.compression.search import Trial
from esnsim.compression.workspace import Workspace
from esnsim.costs.cost import Cost
from esnsim.costs.metric import metric_value
from esnsim.errors import ModelError
from esnsim.evaluate.scores import Evaluation
from esnsim.images.sets import ImageSet
from esnsim.model.network import Layer, Skipped
from esnsim.results import Outcome

FEW = 32  # images that codes compensate over; where there are fewer, a note says so
WHOLE_MODEL = 1 << 31  # bytes that protobuf writes
WELL_USED = 0.9  # of a budget; where less was spent, a note says why


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
        """Whether the accuracies do not differ significantly; None without images."""
        floats, after = self.floats, self.evaluation
        return None if floats is None or after is None else floats.ties(after)

    @property
    def removed(self) -> int:
        """How many filters pruning took away."""
        return self.workspace.removed

    @property
    def nothing_removed(self) -> str | None:
        """That pruning took no filter away, where it was to; None where it did."""
        return nothing_removed(self.recipe, self.workspace)

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
        if images and work.evaluator and _one(images, work.evaluator.images):
            notes.append("the image that is scored calibrates too: give two or more")
        if used is not None and used < WELL_USED:
            policy = self.recipe.policy
            why = POLICIES[policy].limit
            notes.append(f"{policy} used {100 * used:.0f} % of the budget: {why}")
        return (*notes, *work.model.edits, *work.network.notes)

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


def _one(images: ImageSet, scored: ImageSet) -> bool:
    """Whether there is a single image for both."""
    if (images.count, scored.count) != (1, 1):
        return False
    return bool((images.read(0, 1) == scored.read(0, 1)).all())


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


def nothing_removed(recipe: Recipe, workspace: Workspace) -> str | None:
    """That pruning took no filter away, and why, where it was to; None where it did."""
    if not recipe.ratio or workspace.removed:
        return None
    reason = "layers have too few filters for it"
    for layer, why in workspace.unprunable[:1]:
        reason = f"layer '{layer.name}' keeps all its filters: {why}"
    return (
        f"a share of {recipe.ratio:g} removes no filter ({reason}): give a larger --prune, or "
        "leave it out"
    )
