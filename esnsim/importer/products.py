"""The weighted matrix product in its general form, which most readers come down to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import numpy as np
from onnx import helper

from esnsim.errors import MisfitError
from esnsim.importer.channels import channel_ids
from esnsim.importer.values import Constant, Value
from esnsim.model.network import Array, Geometry, Ids, Matrices

Inputs = Sequence[Value | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A weight tensor in use, as a reader found it.

    `arrange` brings the stored array into `shape`, (M, C/g, *kernel); `channels` (C,) are the
    ids of the input channels; `output` places the ids of the filters into the output, None where
    more than the filters decides on it. `output_shape` is the whole output's. `part` tells the
    tensors of one node apart; `upright` says that its filters are the rows of the stored array.
    """

    constant: Constant
    shape: tuple[int, ...]
    arrange: Callable[[Array], Array]
    geometry: Geometry
    channels: Ids
    output: Callable[[Ids], Ids] | None = None
    output_shape: tuple[int, ...] | None = None
    part: str = ""
    images: int | None = None
    upright: bool = False

    @property
    def outer(self) -> int:
        """The size of the axes that images may lie along: `images` if given, else all rows."""
        return self.geometry.batch if self.images is None else self.images


class Unweighted(NamedTuple):
    """A product of two activations, and the size of the axes that images may lie along."""

    macs: int
    outer: int
    matrices: tuple[Matrices, ...] = ()


#: What a reader finds: weights in use, or a product of two activations.
Finding = Weighted | Unweighted


def multiply(
    a: Value, b: Value, name: str, trans_a: bool = False, trans_b: bool = False
) -> list[Finding]:
    """The matrix product a·b, its last axes exchanged where `trans_a`, `trans_b`."""
    if b.constant is not None:
        return [weight_right(_transposed(a) if trans_a else a, b.constant, name, trans_b)]
    if a.constant is not None:
        w = a.constant
        if trans_a:
            shape = (*w.shape[:-2], w.shape[-1], w.shape[-2])
            w = w.moved(lambda m: m.swapaxes(-1, -2), shape)
        return [weight_left(w, b, name, trans_b)]
    xs, ys = shape_of(a, name), shape_of(b, name)
    k = xs[-2] if trans_a and len(xs) > 1 else xs[-1]
    outer = broadcast(xs[:-2], ys[:-2], name)
    found = Matrices(prod(outer), prod(xs[-2:]) // k, k, prod(ys[-2:]) // k)
    return [Unweighted(prod(found), found.number, (found,))]


def _transposed(value: Value) -> Value:
    """A value with its last two axes exchanged, as far as readers look."""
    shape = value.shape
    if shape is None or len(shape) < 2:
        return value
    ids = value.channels.swapaxes(-1, -2) if value.channels is not None else None
    swapped = (*shape[:-2], shape[-1], shape[-2])
    return replace(
        value, type=helper.make_tensor_type_proto(value.elem_type, swapped), channels=ids
    )


def weight_right(x: Value, w: Constant, name: str, transposed: bool = False) -> Weighted:
    """x (…, R, K) times a constant w (…, K, N), or (…, N, K) where `transposed`."""
    xs = shape_of(x, name)
    vector = len(w.shape) == 1
    *batch, k, n = (*w.shape, 1) if vector else w.shape
    if transposed and not vector:
        k, n = n, k
    if not xs or xs[-1] != k:
        raise MisfitError(mismatch(name, f"{k} inputs", xs, w.shape))
    filters = prod(batch) * n

    def arrange(a: Array) -> Array:
        if vector:
            return a.reshape(1, k)
        return (a if transposed else a.swapaxes(-1, -2)).reshape(filters, k)

    tail = ([1] if len(xs) > 1 else [], [] if vector else [n])
    sizes = (xs[-2:-1], tail[1])
    found = _product(x, w, (filters, k), arrange, batch, len(xs) - 1, sizes, tail)
    return replace(found, upright=transposed and len(w.shape) == 2)


def weight_left(w: Constant, x: Value, name: str, x_transposed: bool = False) -> Weighted:
    """A constant w (…, M, K) times x (…, K, N), or x (…, N, K) where `x_transposed`."""
    xs = shape_of(x, name)
    vector = len(w.shape) == 1
    *batch, m, k = (1, *w.shape) if vector else w.shape
    axis = len(xs) - (1 if x_transposed or len(xs) == 1 else 2)
    if not xs or xs[axis] != k:
        raise MisfitError(mismatch(name, f"{k} inputs", xs, w.shape))
    filters = prod(batch) * m
    columns = xs[-2:-1] if x_transposed else xs[-1:] if len(xs) > 1 else ()
    tail = ([] if vector else [m], [1] if len(xs) > 1 else [])
    return _product(
        x, w, (filters, k), lambda a: a.reshape(filters, k), batch, axis, (tail[0], columns), tail
    )


def _product(
    x: Value,
    w: Constant,
    shape: tuple[int, int],
    arrange: Callable[[Array], Array],
    batch: Sequence[int],
    axis: int,
    sizes: tuple[Sequence[int], Sequence[int]],
    ones: tuple[Sequence[int], Sequence[int]],
) -> Weighted:
    """A product over `axis` of x. `sizes` are the output's last axes, `ones` the filters' there."""
    xs = shape_of(x, x.name)
    filters, k = shape
    outer = broadcast(xs[:-2], tuple(batch), x.name)
    output_shape = (*outer, *sizes[0], *sizes[1])
    groups = prod(batch)
    shared = min(len(batch), max(0, len(xs) - 2))  # batch axes that x has too
    axes = [*range(len(xs) - 2 - shared, len(xs) - 2), axis] if len(xs) > 1 else [axis]
    ids = channel_ids(x, axes, [*batch[len(batch) - shared :], k])
    copies = prod(batch[: len(batch) - shared])
    ids = ids if copies == 1 else np.tile(ids, copies)

    def output(filters: Ids) -> Ids:
        placed = filters.reshape([*batch, *ones[0], *ones[1]])
        return placed.reshape((1,) * (len(output_shape) - placed.ndim) + placed.shape)

    geometry = Geometry(batch=max(1, prod(output_shape) // filters), groups=max(1, groups))
    return Weighted(
        constant=w,
        shape=(filters, k),
        arrange=arrange,
        geometry=geometry,
        channels=ids,
        output=output,
        output_shape=output_shape,
    )


def broadcast(a: tuple[int, ...], b: tuple[int, ...], name: str) -> tuple[int, ...]:
    """The shape that two broadcast to. Raises MisfitError where they do not."""
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        raise MisfitError(
            f"'{name}' multiplies matrices of {by(a)} and {by(b)}: the model is damaged, or "
            "--input-shape does not fit it"
        ) from None


def at(inputs: Inputs, index: int) -> Value | None:
    """An input of a node, None where it has none at that place."""
    return inputs[index] if index < len(inputs) else None


def need(inputs: Inputs, index: int) -> Value:
    """An input that a reader cannot do without. Raises CannotCountError."""
    value = at(inputs, index)
    if value is None:
        raise CannotCountError(f"its input {index} is missing")
    return value


def shape_of(value: Value, name: str) -> tuple[int, ...]:
    """The shape of an activation; `ShapeUnknownError` where it is not known."""
    shape = value.shape
    if shape is None or 0 in shape:
        raise ShapeUnknownError(value)
    return shape


class ShapeUnknownError(Exception):
    """A reader needs the shape of a value that inference did not find; the message says so."""

    def __init__(self, value: Value) -> None:
        cause = f": {value.cause}" if value.cause else ""
        super().__init__(
            f"the shape of its input '{value.name}' is not known{cause}; try --input-shape"
        )


class CannotCountError(Exception):
    """A reader knows the operator but not this form of it; the message is the reason."""


def mismatch(name: str, needs: str, xs: tuple[int, ...], ws: tuple[int, ...]) -> str:
    """The message for a weight that does not fit its input."""
    return (
        f"'{name}' has weights of shape {by(ws)}, which need {needs}, but its input is "
        f"{by(xs)}: the model is damaged, or --input-shape does not fit it"
    )


def by(shape: Sequence[int]) -> str:
    """A shape as messages show it."""
    return "×".join(map(str, shape)) or "scalar"
