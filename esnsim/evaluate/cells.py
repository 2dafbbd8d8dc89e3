"""What the products of LSTM, GRU and RNN multiply on images: their inputs, and hidden states."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from esnsim.evaluate.feeds import Feeds
from esnsim.evaluate.simulation import Activations as Given
from esnsim.graph.model import Model
from esnsim.images.sets import ImageSet
from esnsim.importer.constants import attribute
from esnsim.machines.activations import Calibration, quantize
from esnsim.machines.base import Activations
from esnsim.model.network import Array
from esnsim.run.cut import CutGraph
from esnsim.run.inside import inside

OPERATORS = ("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM")
X, LENGTHS, INITIAL = 0, 4, 5  # places of inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A recurrent operator: the layers of its inputs (`w`) and of its hidden states (`r`, None
    where no value of the graph is what they multiply), and the names of the values.
    """

    w: int
    r: int | None
    x: str
    y: str
    initial: str
    batch_first: bool
    reverse: tuple[bool, ...]  # each direction

    @property
    def names(self) -> list[str]:
        """The values that it needs."""
        return [self.x, *(() if self.r is None else filter(None, (self.y, self.initial)))]

    def operands(self, values: Mapping[str, Array]) -> dict[int, Array]:
        """What each of its layers multiplies, (images, steps, channels), by index."""
        turn = (0, 1) if self.batch_first else (1, 0)
        x = values[self.x].transpose(*turn, 2)
        if self.r is None:
            return {self.w: x}
        y = values[self.y]  # (images, steps, directions, H) or (steps, directions, images, H)
        states = y if self.batch_first else y.transpose(2, 0, 1, 3)
        before = np.zeros_like(states[:, 0])
        if self.initial:
            initial = values[self.initial]
            before = initial if self.batch_first else initial.swapaxes(0, 1)
        parts = [
            _earlier(states[:, :, place], before[:, place], backwards)
            for place, backwards in enumerate(self.reverse)
        ]
        return {self.w: x, self.r: np.concatenate(parts, axis=2)}


def _earlier(states: Array, first: Array, backwards: bool) -> Array:
    """The state (images, steps, H) that each step starts from."""
    if backwards:
        return np.concatenate([states[:, 1:], first[:, None]], axis=1)
    return np.concatenate([first[:, None], states[:, :-1]], axis=1)


def cells_of(model: Model) -> list[Cell]:
    """The recurrent operators of the graph itself, in order."""
    found = (cell_of(model.nodes[place], index) for place, index in model.layer_at.items())
    return [cell for cell in found if cell is not None]


def cell_of(node: NodeProto, index: int) -> Cell | None:
    """A recurrent operator, the layer of its hidden states at `index`; None of what is none, and
    where steps are left out.
    """
    if node.op_type not in OPERATORS or _input(node, LENGTHS):
        return None
    direction = attribute(node, "direction", b"forward")
    reverse = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}
    gated = node.op_type == "GRU" and not attribute(node, "linear_before_reset", 0)
    return Cell(
        w=index - 1, r=None if gated else index, x=node.input[X], y=node.output[0],
        initial=_input(node, INITIAL), batch_first=bool(attribute(node, "layout", 0)),
        reverse=reverse.get(direction if isinstance(direction, bytes) else b"", (False,)),
    )  # fmt: skip


def _input(node: NodeProto, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""


def run_cells(
    graph: CutGraph, given: Given, bits: int, run: Callable[[int, Activations], object]
) -> set[int]:
    """Give `run` the activations of each layer of a recurrent operator, on the images of `given`.

    They are quantised as those of other layers. The layers that ran, by index.
    """
    cells = cells_of(graph.graph)
    if not cells:
        return set()
    few, chosen = given.split()
    values = inside(graph, [name for cell in cells for name in cell.names])
    layers = graph.graph.network.layers

    def operands(images: ImageSet) -> Iterator[tuple[int, Array]]:
        """Of each batch the rows (rows, channels) of its images, by index of the layer."""
        feeds = Feeds(graph.graph, images)
        for feed, count in feeds:
            found, size = values.run(feed), feeds.size(feed)
            for index, x in (pair for cell in cells for pair in cell.operands(found).items()):
                rows = x.reshape(-1, x.shape[2])
                if len(rows) == size * layers[index].geometry.rows:  # images lead
                    yield index, rows[: count * layers[index].geometry.rows]

    seen: dict[int, Calibration] = {}
    for index, rows in operands(few):
        seen.setdefault(index, Calibration()).add(rows)
    scales = {i: found.scale(bits, given.percentile, given.signed) for i, found in seen.items()}
    for index, rows in operands(chosen):
        scale = scales[index]
        run(index, Activations(quantize(rows, scale), scale.zero_point, scale.signed))
    return set(scales)
