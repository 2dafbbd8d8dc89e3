"""Images, or arrays, as what the inputs of a graph take, batch by batch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from onnx import ValueInfoProto

from esnsim.errors import ModelError, UsageError
from esnsim.graph.model import Model
from esnsim.images.sets import DataError, ImageSet
from esnsim.model.network import Array

BATCH_IMAGES = 64  # at most
BATCH_ELEMENTS = 1 << 24  # of one value
KEPT_BYTES = 1 << 28  # of prepared images, which are kept from candidate to candidate


@dataclass(frozen=True, slots=True)
class Input:
    """An input that takes images, along `axis`; `fixed` is the batch that the file fixes, or 0."""

    name: str
    dtype: np.dtype[Any]
    axis: int
    fixed: int


class Feeds:
    """The images as what a graph's inputs take, batch by batch; kept where they are small.

    A batch that the file fixes is filled with copies of the last image.
    """

    def __init__(self, graph: Model, images: ImageSet, batch: int = 0, free: bool = False) -> None:
        """`batch` 0 takes as many as fit; `free` takes no notice of a batch that the file fixes.

        Raises DataError or UsageError for images that do not fit, or inputs that nothing feeds.
        """
        if images.count < 1:
            raise DataError(f"'{images.name}' has no images: give at least one")
        stored = {tensor.name for tensor in graph.proto.graph.initializer}
        inputs = {i.name: i for i in graph.proto.graph.input if i.name not in stored}
        self._images = images
        self._constants = _constants(graph, inputs, images)
        arrays = {name for name in images.arrays if name not in self._constants}
        self._first = _first_name(inputs, images, arrays | self._constants.keys())
        self.inputs = {
            name: _input(inputs[name], graph, images, self._rows(name, 0, 1))
            for name in (self._first, *sorted(arrays))
        }
        self.fixed = 0 if free else max(each.fixed for each in self.inputs.values())
        self._batch = self.fixed or batch or fitting(graph, BATCH_ELEMENTS, BATCH_IMAGES)
        self._shapes = {name: graph.scope.get(name).shape for name in self._constants}
        self._kept: list[dict[str, Array]] = []

    def __iter__(self) -> Iterator[tuple[dict[str, Array], int]]:
        """Feeds, each with how many of its images count: the others fill a fixed batch."""
        images, batch = self._images, self._batch
        kept = iter(list(self._kept))
        small = images.count * sum(self._bytes(name) for name in self.inputs) <= KEPT_BYTES
        for start in range(0, images.count, batch):
            feed = next(kept, None)
            stop = min(start + batch, images.count)
            if feed is None:
                feed = self._feed(start, stop, batch if self.fixed else 0)
                if small:
                    self._kept.append(feed)
            yield feed, stop - start

    def whole(self) -> Iterator[tuple[dict[str, Array], int]]:
        """The feeds without those that are filled up, unless there are no others: for statistics.

        Of a batch that is filled up copies of the last image count too.
        """
        partial = self._images.count < self.fixed
        return ((f, self.size(f)) for f, count in self if partial or count == self.size(f))

    def some(self, count: int) -> dict[str, Array]:
        """A feed of so many images, copies of the last where there are not as many, or the batch
        that the file fixes is larger.
        """
        return self._feed(0, min(count, self._images.count), max(count, self.fixed))

    def altered(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """A batch of the size that the file fixes, and the same with another last image."""
        feed = self.some(self.fixed)
        other = {name: array.copy() for name, array in feed.items()}
        for name, each in self.inputs.items():
            last = np.moveaxis(other[name], each.axis, 0)[-1:]
            last[...] = last == 0
        return feed, other

    def size(self, feed: Mapping[str, Array]) -> int:
        """How many images a feed holds, with those that fill it."""
        return int(feed[self._first].shape[self.inputs[self._first].axis])

    def _feed(self, start: int, stop: int, size: int) -> dict[str, Array]:
        feed = {}
        for name, each in self.inputs.items():
            x = _cast(self._rows(name, start, stop), each, self._images, start)
            if len(x) < size:
                x = np.concatenate([x, np.repeat(x[-1:], size - len(x), axis=0)])
            feed[name] = np.ascontiguousarray(np.moveaxis(x, 0, each.axis))
        batch = max(size, stop - start)
        for name, value in self._constants.items():
            feed[name] = _filled(value, self._shapes[name], batch)
        return feed

    def _rows(self, name: str, start: int, stop: int) -> Array:
        """Images (n, …) of an input."""
        if name == self._first:
            return self._images.read(start, stop)
        return self._images.arrays[name][start:stop]

    def _bytes(self, name: str) -> int:
        """Of one image as an input takes it."""
        return int(prod(self._rows(name, 0, 1).shape)) * self.inputs[name].dtype.itemsize


def fitting(graph: Model, elements: int, most: int) -> int:
    """How many images may run at a time so that no value has more elements than that."""
    shapes = (graph.scope.get(name).shape for node in graph.nodes for name in node.output if name)
    largest = max((prod(shape[1:]) for shape in shapes if shape), default=1)
    return max(1, min(most, elements // max(1, largest)))


def _constants(
    graph: Model, inputs: Mapping[str, ValueInfoProto], images: ImageSet
) -> dict[str, Array]:
    """The inputs whose value is given and alike for all images."""
    found = {}
    for name in inputs:
        known = graph.scope.get(name).constant
        if name in images.arrays and not images.arrays[name].ndim:
            found[name] = images.arrays[name]
        elif known is not None and name not in images.arrays and name != images.input:
            found[name] = known.read()
    return found


def _first_name(inputs: Mapping[str, ValueInfoProto], images: ImageSet, others: set[str]) -> str:
    """The input that images feed: the one that they name, or the only one that is left."""
    unknown = [name for name in (images.input, *images.arrays) if name and name not in inputs]
    if unknown:
        raise DataError(
            f"'{images.name}' has an array '{unknown[0]}', but the model's inputs are "
            f"{', '.join(map(repr, inputs))}: name arrays as inputs, or 'images' and 'labels'"
        )
    left = [name for name in inputs if name not in others and name != images.input]
    left = [images.input, *left] if images.input else left
    if len(left) != 1:
        names = ", ".join(map(repr, inputs)) or "no inputs"
        raise UsageError(
            f"the model has {names}: images feed one input; give an .npz with an array for each, "
            "or --input-value NAME=NUMBER"
        )
    return left[0]


def _input(info: ValueInfoProto, graph: Model, images: ImageSet, row: Array) -> Input:
    """An input that takes rows like this one (1, …). Raises DataError where they do not fit."""
    name, value = info.name, graph.scope.get(info.name)
    if value.dtype is None:
        raise ModelError(f"input '{name}' is no tensor: esnsim runs models whose inputs are")
    dims = [max(0, dim.dim_value) for dim in info.type.tensor_type.shape.dim]  # some write −1
    sizes = list(value.shape or (0, *row.shape[1:]))
    given = images.input == name or name in images.arrays
    for axis in _axes(dims, len(sizes)) if given else [0]:
        if sizes[:axis] + sizes[axis + 1 :] == list(row.shape[1:]):
            fixed = dims[axis] if axis < len(dims) else 0
            found = Input(name, value.dtype, axis, fixed)
            _cast(row, found, images, 0)
            return found
    needs, got = ("×".join(map(str, s)) or "single" for s in (sizes[1:], row.shape[1:]))
    advice = "give other images, --resize and --crop, or --input-shape"
    if sorted(sizes[1:]) == sorted(row.shape[1:]):
        advice = "the axes are in another order, transpose them"
    raise DataError(
        f"images of '{images.name}' are {got}, but input '{name}' takes {needs}: {advice}"
    )


def _axes(dims: list[int], rank: int) -> list[int]:
    """The axes of an input along which images may lie, those of a free size first."""
    sizes = dims or [0] * rank
    return sorted(range(rank), key=lambda axis: (sizes[axis] > 0, axis))


def _cast(x: Array, to: Input, images: ImageSet, first: int) -> Array:
    """Values in an input's type. Raises DataError for other kinds, and what is not finite."""
    integers = ("i", "u")
    if x.dtype.kind != to.dtype.kind and not {x.dtype.kind, to.dtype.kind} <= set(integers):
        raise DataError(
            f"'{images.name}' holds {x.dtype} for input '{to.name}', which takes {to.dtype}: give "
            f"an .npz with an array '{to.name}' of that type"
        )
    with np.errstate(over="ignore"):
        found = x.astype(to.dtype)
    good = np.isfinite(found) if to.dtype.kind == "f" else found == x
    if not good.all():
        row = first + int(np.argmin(good.reshape(len(x), -1).all(axis=1)))
        raise DataError(
            f"image {row} of '{images.name}' (from 0) has values that are NaN, infinite or no "
            f"{to.dtype}: mend it"
        )
    return np.asarray(found)


def _filled(value: Array, shape: tuple[int, ...] | None, batch: int) -> Array:
    """A constant input; where a single number is given for an array, all of it is that number."""
    if value.ndim or not shape:
        return value
    return np.full((batch, *shape[1:]), value)
