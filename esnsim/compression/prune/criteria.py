"""Which filters go first, and among which they compete: a table of criteria and one of scopes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esnsim.model.network import Layer
from esnsim.quantization.blocks import Matrix, each_filters
from esnsim.quantization.filter_sums import Floats, Ints

if TYPE_CHECKING:
    from esnsim.graph.model import Model


#: The score of each filter (M,) of a layer, None where the layer has none.
Scorer = Callable[[Layer], Floats | None]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A score by which the filters with the least go first."""

    scorer: "Callable[[Model], Scorer]"
    help: str


@dataclass(frozen=True, slots=True)
class Scope:
    """From sets of units, each of the same layers, and the units' scores (in place): the sets
    within which units compete.
    """

    competitors: Callable[[list[Ints], Floats], list[Ints]]
    help: str


def signal_norm(layer: Layer) -> Floats:
    """‖W_m‖² of each filter (M,), Section 3 of the paper."""
    return _by_filter(layer, lambda block: np.square(block).sum(axis=1))


def l1_norm(layer: Layer) -> Floats:
    """Σ|W_m| of each filter (M,)."""
    return _by_filter(layer, lambda block: np.abs(block).sum(axis=1))


def _by_filter(layer: Layer, norm: Callable[[Floats], Floats]) -> Floats:
    out = np.empty(layer.filters)

    def fill(rows: slice, block: Matrix) -> None:
        out[rows] = norm(block.astype(np.float64))

    each_filters(layer.weight, fill)
    return out


def _batchnorm_scales(model: "Model") -> Scorer:
    """|γ| of the BatchNormalization that a layer has to itself."""
    from esnsim.importer.scope import label

    found: dict[str, Floats] = {}
    for node in model.nodes:
        constant = model.scope.get(node.input[1]).constant if len(node.input) > 4 else None
        if node.op_type == "BatchNormalization" and constant is not None:
            found[label(node)] = np.abs(constant.read().astype(np.float64))
    return lambda layer: found.get(layer.batchnorm.name) if layer.batchnorm else None


def _over_the_network(spaces: list[Ints], scores: Floats) -> list[Ints]:
    """All in one, by their score relative to the mean of their own layers."""
    for space in spaces:
        scores[space] /= scores[space].mean() or 1.0
    return [np.concatenate(spaces)] if spaces else []


CRITERIA = {
    "norm": Criterion(lambda model: signal_norm, "least signal norm"),
    "l1": Criterion(lambda model: l1_norm, "least L1 norm"),
    "batchnorm": Criterion(_batchnorm_scales, "least scale of BatchNormalization"),
}
SCOPES = {
    "layer": Scope(lambda spaces, scores: spaces, "the share holds in every layer"),
    "network": Scope(_over_the_network, "over the network, relative to the layers' means"),
}
