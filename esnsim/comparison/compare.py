"""Models compared: each with the first, layer by layer and in total."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from esnsim.comparison.causes import PRUNED, layer_causes, total_causes
from esnsim.comparison.match import Pair, match
from esnsim.comparison.reported import Reported
from esnsim.costs.figures import Figures
from esnsim.costs.metric import metric_value
from esnsim.errors import ModelError
from esnsim.evaluate.scores import Evaluation, Scored
from esnsim.results import Outcome


@dataclass(frozen=True, slots=True)
class Side:
    """A model that is compared, of a `path` if it has one; no `evaluation` without images."""

    name: str
    reported: Reported
    path: str | None = None
    evaluation: Evaluation | None = None

    @property
    def totals(self) -> Figures:
        """What is summed over the network."""
        return self.reported.totals


@dataclass(frozen=True)
class Difference:
    """A model beside the first."""

    before: Side
    after: Side
    pairs: tuple[Pair, ...]

    @cached_property
    def changed(self) -> tuple[Pair, ...]:
        """The layers of which some figure is another, in the order of the graph."""
        return tuple(pair for pair in self.pairs if layer_causes(pair))

    @property
    def causes(self) -> tuple[str, ...]:
        """What made the difference: pruned, narrower, …"""
        pruned = any(PRUNED in layer_causes(pair) for pair in self.pairs)
        return total_causes(self.before.totals, self.after.totals, pruned)

    @property
    def tie(self) -> bool | None:
        """Whether images tell the two accuracies apart; None where one has none."""
        one, other = self.before.evaluation, self.after.evaluation
        return None if one is None or other is None else one.ties(other)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: float weights that became codes in two ways."""
        one, other = self.before, self.after
        if one.reported.quantizer == other.reported.quantizer:
            return ()
        return (
            f"float weights became codes in two ways, {_codes(one)} in '{one.name}' and "
            f"{_codes(other)} in '{other.name}': compare under the same options",
        )

    def ratio(self, metric: str) -> float | None:
        """A total over that of the first model, by the name of a metric; None over nothing."""
        return quotient(self.before.totals, self.after.totals, metric)

    def dearer(self, metric: str) -> list[tuple[Pair, float]]:
        """Layers of which a metric grew, the one that grew most first, and by how much."""
        grown = [(pair, increase(pair, metric)) for pair in self.pairs]
        return sorted((g for g in grown if g[1] > 0), key=lambda g: -g[1])


@dataclass(frozen=True, slots=True, repr=False)
class Compared(Outcome):
    """Models, and every one but the first beside it.

    `scored` is what of the outputs for so many `images` was scored.
    """

    sides: tuple[Side, ...]
    differences: tuple[Difference, ...]
    scored: Scored | None = None
    images: int = 0


def compare(sides: Sequence[Side], scored: Scored | None = None, images: int = 0) -> Compared:
    """Models beside the first. Raises ModelError where one has no layer in common with it."""
    first, *others = sides
    differences = tuple(_difference(first, other) for other in others)
    return Compared((first, *others), differences, scored, images)


def increase(pair: Pair, metric: str) -> float:
    """What a layer's metric grew by; it was, or is, nothing where a model has not the layer."""
    was, now = (metric_value(row, metric) if row else 0 for row in (pair.before, pair.after))
    return now - was


def quotient(before: Figures, after: Figures, metric: str) -> float | None:
    """A metric over what it was, None over nothing."""
    was = metric_value(before, metric)
    return metric_value(after, metric) / was if was else None


def _difference(first: Side, other: Side) -> Difference:
    pairs = match(first.reported.layers, other.reported.layers)
    if not any(pair.by for pair in pairs):
        raise ModelError(
            f"no layer of '{other.name}' is one of '{first.name}', neither by name nor by weight "
            "shape: compare models of one network"
        )
    return Difference(first, other, tuple(pairs))


def _codes(side: Side) -> str:
    codes = side.reported.quantizer
    return f"{codes.rule} steps" + (f" of {codes.bits} bits" if codes.bits else "")
