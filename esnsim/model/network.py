"""A network as its weighted multiply-accumulates: geometry, layers, who reads whose channels."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]

#: Channel ids that no filter owns: always live (network input, mixed channels), never live.
LIVE, CONSTANT = 0, 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where each weight of a layer is used: a convolution of any rank, or a matrix product.

    A matrix product is a convolution without spatial axes whose batch counts its rows. The batch
    holds that of `images`; what is counted is one of them. `pads` holds (before, after) for each
    spatial axis. Sizes are in elements.
    """

    batch: int = 1
    input_size: tuple[int, ...] = ()
    kernel: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()
    images: int = 1

    def __post_init__(self) -> None:
        ranks = {len(self.input_size), len(self.kernel), len(self.strides), len(self.dilations)}
        if ranks != {len(self.pads)} or len(self.output_padding) not in (0, len(self.pads)):
            raise ValueError(f"input, kernel, strides, dilations and pads differ in rank: {self}")
        if self.images < 1 or self.batch % self.images:
            raise ValueError(f"a batch of {self.batch} does not hold {self.images} images alike")
        positive = (self.batch, self.groups, *self.input_size, *self.kernel)
        if min(positive + self.strides + self.dilations, default=1) < 1:
            raise ValueError(f"batch, groups, sizes, strides, dilations must be positive: {self}")
        if min(self.output_size, default=1) < 1:
            kernel, size = ("×".join(map(str, each)) for each in (self.kernel, self.input_size))
            raise ValueError(
                f"the kernel does not fit into the padded input: {kernel} into {size}, "
                f"dilations {self.dilations}, pads {self.pads}"
            )

    @property
    def output_size(self) -> tuple[int, ...]:
        """Spatial size of the output."""
        extents = [d * (k - 1) + 1 for d, k in zip(self.dilations, self.kernel, strict=True)]
        padding = [before + after for before, after in self.pads]
        if self.transposed:
            more = self.output_padding or (0,) * len(extents)
            return tuple(
                (n - 1) * s + e - p + o
                for n, s, e, p, o in zip(
                    self.input_size, self.strides, extents, padding, more, strict=True
                )
            )
        return tuple(
            (n + p - e) // s + 1
            for n, s, e, p in zip(self.input_size, self.strides, extents, padding, strict=True)
        )

    @property
    def rows(self) -> int:
        """The part of the batch that is of one image."""
        return self.batch // self.images

    @property
    def windows(self) -> int:
        """How often one weight is used: output positions, or input positions if transposed."""
        return self.rows * prod(self.input_size if self.transposed else self.output_size)


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """How the integers of an already quantised weight are to be read.

    `bits` is the width of the stored type. Midrise integers are the odd q = 2·W_int at half the
    step. `scale()` gives the step of every weight, broadcast to the weight's shape.
    """

    bits: int
    midrise: bool
    asymmetric: bool
    scale: Callable[[], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A weight tensor, filters first: shape (M, C/g, *kernel). Read when asked for.

    `load()` gives floats, or for quantised weights the integers without their zero point; its
    `rows(slice)`, if it has one, reads some filters alone. `origin` names the tensor in the file
    that the values come from, and two layers with the same origin share it. `gain` (M,) multiplies
    the filters (folded BatchNormalization).
    """

    name: str
    origin: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], Array]
    codes: Codes | None = None
    gain: NDArray[np.float64] | None = None

    @property
    def size(self) -> int:
        """Number of weights."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class BatchNorm:
    """The BatchNormalization that reads a layer alone; `gain` (M,) is γ/√(variance + ε)."""

    name: str
    gain: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A weighted multiply-accumulate operator.

    `channels` (C,) holds the channel id that each input channel reads; the filters own the ids
    from `first_filter` on. `repeats` counts the iterations of a Loop body. `activation_bits` is the
    width that the model itself quantises the layer's activations to, None where it does not. `at`
    is the place of its node in the file, which layers of one node and calls of one function share.
    """

    name: str
    op: str
    weight: Weight
    geometry: Geometry
    channels: Ids
    first_filter: int
    repeats: int = 1
    batchnorm: BatchNorm | None = None
    activation_bits: int | None = None
    at: str = ""

    def __post_init__(self) -> None:
        filters, fan_in = self.weight.shape[:2]
        groups = self.geometry.groups
        if filters % groups or len(self.channels) != fan_in * groups:
            raise ValueError(
                f"{filters} filters of {fan_in} channels in {groups} groups "
                f"cannot read {len(self.channels)} channels"
            )

    @property
    def filters(self) -> int:
        """Number of filters M (output channels)."""
        return self.weight.shape[0]

    @property
    def macs_per_weight(self) -> int:
        """c_l: how many multiply-accumulates one weight takes part in."""
        return self.geometry.windows * self.repeats

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of one inference."""
        return self.weight.size * self.macs_per_weight


class Skipped(NamedTuple):
    """A layer that is left out of something, and why."""

    layer: Layer
    reason: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Channels that depend on two others: id `first` + i is live if left[i] or right[i] is.

    Where right is a `gate`, one channel that meets several, those leave the network without it.
    """

    first: int
    left: Ids
    right: Ids
    gate: bool = False


class Matrices(NamedTuple):
    """So many products of (rows, depth) by (depth, columns)."""

    number: int
    rows: int
    depth: int
    columns: int


@dataclass(frozen=True, slots=True)
class Product:
    """A product of two activations: it has multiply-accumulates and no weights.

    `matrices` are the products of matrices that it consists of, where they are known.
    """

    name: str
    op: str
    macs: int
    matrices: tuple[Matrices, ...] = ()


@dataclass(frozen=True, slots=True)
class Uncounted:
    """An operator that may multiply and accumulate and that could not be counted."""

    name: str
    op: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a network comes from; its inputs hold `images`, and what is counted is one of them."""

    path: str | None
    size_bytes: int
    ir_version: int
    opsets: tuple[tuple[str, int], ...]
    producer: str
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    batchnorms: int
    images: int = 1
    input_values: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Weighted layers in graph order, and what surrounds them.

    `endless` names a Loop that is counted and is not run, as nothing would end it.
    """

    source: Source
    layers: tuple[Layer, ...]
    merges: tuple[Merge, ...]
    channel_ids: int
    products: tuple[Product, ...]
    uncounted: tuple[Uncounted, ...]
    notes: tuple[str, ...]
    endless: str = ""
