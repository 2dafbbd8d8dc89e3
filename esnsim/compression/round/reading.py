"""What a layer reads, as it is had on a walk: a value of the graph, or the states of a cell."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from esnsim.compression.round.walk import Walk
from esnsim.evaluate.cells import Cell, cell_of
from esnsim.graph.model import Model
from esnsim.graph.sites import RECURRENT, Site
from esnsim.model.network import Array
from esnsim.run.layout import Layout, Matrix
from esnsim.run.macs import CannotCutError, MacNode, read_mac


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the graph that a layer reads in a layout; `mac` is its operator, if no cell."""

    name: str
    layout: Layout
    mac: MacNode | None = None

    def on(self, walk: Walk) -> list[Array]:
        """It, batch by batch, on a walk that is at the layer."""
        return walk.values(self.name)

    def columns(self, batches: Iterable[Array]) -> list[Array]:
        """Batches as what the layer reads (batch, C, …)."""
        return [self.layout.to_columns(batch) for batch in batches]


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """The hidden states that the steps of a `cell` at a place start from.

    `initial` is the first where that is constant, 0 without one.
    """

    name: str
    cell: Cell
    place: int
    initial: Array
    mac: ClassVar[None] = None

    def on(self, walk: Walk) -> list[Array]:
        """They, batch by batch (steps of images, channels), on a walk that is at the cell."""
        cell, after = self.cell, walk.tried(self.place)
        values = {cell.y: after, cell.x: walk.values(cell.x)}
        if cell.initial:
            held = walk.values(cell.initial) if walk.holds(cell.initial) else []
            values[cell.initial] = held or [self.initial] * len(after)
        found = list[Array]()
        for batch in range(len(after)):
            given = {name: each[batch] for name, each in values.items()}
            *_, rows = cell.operands(given).values()
            found.append(rows.reshape(-1, rows.shape[2]))
        return found

    def columns(self, batches: Iterable[Array]) -> list[Array]:
        """Batches as what the layer reads (batch, C)."""
        return [*batches]


Reading = Value | States


def reading(model: Model, site: Site) -> Reading | None:
    """The activations that a layer reads, None where they are unknown."""
    node, layer = model.nodes[site.place], site.layer
    if node.op_type in RECURRENT and site.input == 1:
        return Value(node.input[0], Matrix(layer.weight.shape, w_transposed=True))
    if node.op_type in RECURRENT:
        cell = cell_of(node, site.index)
        if cell is None or cell.r is None:
            return None
        initial = model.scope.get(cell.initial).constant if cell.initial else None
        if initial is None and cell.initial in model.constants:
            return None
        first = np.zeros(0) if initial is None else initial.read()
        return States(name=f"{site.place}.states", cell=cell, place=site.place, initial=first)
    try:
        mac = read_mac(model, node, layer, site.index)
    except CannotCutError:
        return None
    return Value(node.input[mac.activation], mac.layout, mac)
