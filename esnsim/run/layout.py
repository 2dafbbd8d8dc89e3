"""How an operator's activations and outputs lie: as its layer reads and gives them, and back.

Layers read columns x (batch, C, *input_size) and give y (batch, M, *output_size), both group by
group (see Geometry). Batches are those of the activation at hand, not of the imported shape.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from esnsim.model.network import Array

Shape = tuple[int, ...]


class Layout(Protocol):
    """Between an operator's tensors and its layer's columns."""

    def to_columns(self, x: Array) -> Array:
        """The operator's activation as the layer's x (batch, C, *input_size)."""

    def from_outputs(self, y: Array, shape: Shape) -> Array:
        """The layer's y (batch, M, *output_size) as the operator's output.

        `shape` is that of the activation.
        """

    def place(self, values: Array, shape: Shape) -> Array:
        """A value a filter (M,), to be broadcast to the operator's output."""


@dataclass(frozen=True, slots=True)
class Spatial:
    """A convolution's channels stand second, or last."""

    channels_last: bool = False

    def to_columns(self, x: Array) -> Array:
        """See Layout."""
        return np.moveaxis(x, -1, 1) if self.channels_last else x

    def from_outputs(self, y: Array, shape: Shape) -> Array:
        """See Layout."""
        return np.moveaxis(y, 1, -1) if self.channels_last else y

    def place(self, values: Array, shape: Shape) -> Array:
        """See Layout."""
        return values if self.channels_last else values.reshape(-1, *[1] * (len(shape) - 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A product in Einsum's letters: `x` the activation's axes, `out` the output's.

    Letters of `groups` stand in activation, weights and output, `contracted` not in the output,
    `free` not in the activation; what else `x` holds counts the uses of a weight. `sizes` are
    those of groups and free.
    """

    x: str
    out: str
    groups: str
    contracted: str
    free: str
    sizes: Mapping[str, int]

    @property
    def _uses(self) -> str:
        return "".join(c for c in self.x if c not in self.groups + self.contracted)

    def to_columns(self, x: Array) -> Array:
        """See Layout."""
        order = self._uses + self.groups + self.contracted
        uses = prod(x.shape[self.x.index(c)] for c in self._uses)
        reduction = prod(x.shape[self.x.index(c)] for c in self.groups + self.contracted)
        return x.transpose([self.x.index(c) for c in order]).reshape(uses, reduction)

    def from_outputs(self, y: Array, shape: Shape) -> Array:
        """See Layout."""
        return self._arrange(y, [shape[self.x.index(c)] for c in self._uses])

    def place(self, values: Array, shape: Shape) -> Array:
        """See Layout."""
        return self._arrange(values, [1] * len(self._uses))

    def _arrange(self, y: Array, uses: list[int]) -> Array:
        letters = self._uses + self.groups + self.free
        split = y.reshape(*uses, *(self.sizes[c] for c in self.groups + self.free))
        return split.transpose([letters.index(c) for c in self.out])


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix product with constant weights of `shape`, on the right side or on the left.

    Leading axes are broadcast as by MatMul; those that the weights have are groups.
    `x_transposed` and `w_transposed` tell whose last two axes are exchanged first.
    """

    shape: Shape
    left: bool = False
    x_transposed: bool = False
    w_transposed: bool = False

    def to_columns(self, x: Array) -> Array:
        """See Layout."""
        rows = self._rows(x)
        return self._labelled(rows.ndim).to_columns(rows)

    def from_outputs(self, y: Array, shape: Shape) -> Array:
        """See Layout."""
        rows = self._rows(np.broadcast_to(np.int8(0), shape))
        return self._squeezed(self._labelled(rows.ndim).from_outputs(y, rows.shape), len(shape))

    def place(self, values: Array, shape: Shape) -> Array:
        """See Layout."""
        rank = max(len(shape), 2, len(self.shape))
        return self._squeezed(self._labelled(rank).place(values, ()), len(shape))

    def _rows(self, x: Array) -> Array:
        """x as (*outer, rows, reduction), the left side of a product."""
        if x.ndim == 1:
            x = x[None]
        elif self.left != self.x_transposed:
            x = x.swapaxes(-1, -2)
        outer = np.broadcast_shapes(x.shape[:-2], self.shape[:-2])
        return np.broadcast_to(x, (*outer, *x.shape[-2:]))

    def _labelled(self, rank: int) -> Labelled:
        outer = "".join(chr(ord("A") + axis) for axis in range(rank - 2))
        batch = self.shape[:-2]
        sizes = dict(zip(outer[len(outer) - len(batch) :], batch, strict=True))
        groups = "".join(c for c, n in sizes.items() if n > 1)
        columns = self.left == self.w_transposed  # the filters lie along the last axis
        filters = self.shape[-1 if columns else -2] if len(self.shape) > 1 else 1
        out = outer + ("nr" if self.left else "rn")
        return Labelled(
            x=f"{outer}rk",
            out=out,
            groups=groups,
            contracted="k",
            free="n",
            sizes=sizes | {"n": filters},
        )

    def _squeezed(self, y: Array, x_rank: int) -> Array:
        """The output without the axes that stand for vectors."""
        rows, filters = (-1, -2) if self.left else (-2, -1)
        gone = [rows] * (x_rank == 1) + [filters] * (len(self.shape) == 1)
        return y.squeeze(tuple(gone))
