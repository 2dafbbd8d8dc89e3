"""Reshapes and transpositions that, taken together, only permute or pick channels.

Between them channels lie along several axes, where those that stay after pruning need not make a
grid. The smaller model picks the channels by a Gather instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esnsim.compression.prune.ties import axes_of, ids_of
from esnsim.graph.model import Model
from esnsim.importer.channels import MOST_IDS
from esnsim.importer.constants import evaluate
from esnsim.importer.shapes import STANDARD
from esnsim.model.network import Array

MOVERS = {"Flatten", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """`output` holds, along `axis`, the channels of `source` at `positions`.

    `place` is the node that gives it, and `inside` are the values between the two.
    """

    source: str
    output: str
    axis: int
    positions: NDArray[np.int64]
    place: int
    inside: frozenset[str]


def shuffles(graph: Model) -> tuple[Shuffle, ...]:
    """The shuffles of a graph, each between two values whose channels lie along one axis."""
    entries = {
        node.input[0]: None
        for node in graph.nodes
        if _moves(graph, node.input, node.op_type, node.domain)
        and not _spread(graph, node.input[0])
        and any(_spread(graph, name) for name in node.output)
    }
    return tuple(s for name in entries for s in _region(graph, name))


def _region(graph: Model, source: str) -> list[Shuffle]:
    """The shuffles that start at a value; none where something else reads what lies inside."""
    shape = graph.scope.get(source).shape
    ids = ids_of(graph, source)
    if shape is None or ids is None or int(np.prod(shape)) > MOST_IDS:
        return []
    whole = np.arange(np.prod(shape)).reshape(shape)
    moved: dict[str, Array] = {source: whole}
    exits: list[tuple[str, int]] = []
    frontier = [source]
    while frontier:
        name = frontier.pop()
        for place in graph.readers.get(name, ()):
            node = graph.nodes[place]
            spread = any(_spread(graph, output) for output in node.output)
            if name == source and not spread:
                continue
            if name in graph.outputs or not _moves(graph, node.input, node.op_type, node.domain):
                return []
            results = _run(graph, place, moved[name])
            if len(results) != len(node.output):
                return []
            for output, index in zip(node.output, results, strict=True):
                moved[output] = index
                inner = _spread(graph, output)
                frontier += [output] if inner else []
                exits += [] if inner else [(output, place)]
    inside = frozenset(moved) - {source} - {name for name, _ in exits}
    found = [_picked(whole, moved[name], axes_of(ids)) for name, _ in exits]
    return [
        Shuffle(
            source=source,
            output=name,
            axis=picked[0],
            positions=picked[1],
            place=place,
            inside=inside,
        )
        for (name, place), picked in zip(exits, found, strict=True)
        if picked is not None and None not in found
    ]


def _picked(whole: Array, index: Array, axes: list[int]) -> tuple[int, NDArray[np.int64]] | None:
    """The positions along the one axis of `whole` that `index` holds, if that is all it does."""
    if len(axes) != 1 or index.ndim != whole.ndim:
        return None
    axis = axes[0]
    first = np.moveaxis(index, axis, 0).reshape(index.shape[axis], -1)[:, 0]
    positions = np.unravel_index(first, whole.shape)[axis]
    if not np.array_equal(whole.take(positions, axis), index):
        return None
    return axis, positions


def _run(graph: Model, place: int, index: Array) -> list[Array]:
    """The outputs of a node for this first input."""
    node = graph.nodes[place]
    constants = [graph.scope.get(name).constant if name else None for name in node.input[1:]]
    arrays = [index, *(c.read() if c else None for c in constants)]
    return evaluate(node, arrays, graph.scope.opsets)


def _moves(graph: Model, inputs: Sequence[str], op: str, domain: str) -> bool:
    """Whether a node moves the elements of its first input, in a way known beforehand."""
    return (
        op in MOVERS
        and domain in STANDARD
        and ids_of(graph, inputs[0]) is not None
        and all(graph.scope.get(name).constant is not None for name in inputs[1:] if name)
    )


def _spread(graph: Model, name: str) -> bool:
    ids = ids_of(graph, name)
    return ids is not None and len(axes_of(ids)) > 1
