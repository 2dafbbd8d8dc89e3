"""Which layer of one model is which of another: by name, then by weight shape and order."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from esnsim.comparison.reported import Row

By = Literal["name", "shape"]
KEYS: dict[By, Callable[[Row], Hashable]] = {
    "name": lambda row: row.name, "shape": lambda row: row.weight_shape,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """A layer in two models, None where one of them has it not; `by` says how it was found."""

    before: Row | None
    after: Row | None
    by: By | None = None


def match(first: Sequence[Row], second: Sequence[Row]) -> list[Pair]:
    """Every layer of both models once: those of the first in order, then those of the second alone.

    Names and shapes that several layers have are matched in the order of the graph.
    """
    found: dict[int, tuple[int, By]] = {}
    for by, key in KEYS.items():
        rest = [i for i in range(len(first)) if i not in found]
        taken = {place for place, _ in found.values()}
        free = [j for j in range(len(second)) if j not in taken]
        places = dict(zip(_counted(key(second[j]) for j in free), free, strict=True))
        for i, counted in zip(rest, _counted(key(first[i]) for i in rest), strict=True):
            if counted in places:
                found[i] = places[counted], by
    taken = {place for place, _ in found.values()}
    return [
        Pair(row, second[found[i][0]], found[i][1]) if i in found else Pair(row, None)
        for i, row in enumerate(first)
    ] + [Pair(None, row) for j, row in enumerate(second) if j not in taken]


def _counted(keys: Iterable[Hashable]) -> Iterable[tuple[Hashable, int]]:
    """Each key with how often it was there before."""
    seen: Counter[Hashable] = Counter()
    for key in keys:
        yield key, seen[key]
        seen[key] += 1
