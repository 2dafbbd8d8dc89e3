"""Products of two activations as layers of machines: one of the two stands for the weights."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.base import Activations
from esnsim.machines.random_layers import stored_layer
from esnsim.model.network import Codes, Geometry, Product
from esnsim.quantization.quantizer import QuantizedLayer

#: Integers of a shape, drawn from 0 to 2^bits − 1.
Draw = Callable[[tuple[int, ...]], NDArray[np.int64]]


def layers_of(
    product: Product, bits: int, draw: Draw
) -> Iterator[tuple[QuantizedLayer, Activations]]:
    """The products of matrices that it consists of, as layers on activations.

    The second matrix is what machines store: its columns are filters of `bits` bits, centred on
    zero; products side by side are convolution groups.
    """
    for place, found in enumerate(product.matrices):
        number, (_, rows, depth, columns) = number_of(product, found.number), found
        name = product.name if len(product.matrices) == 1 else f"{product.name} ({place + 1})"
        stored = draw((number * columns, depth)) - (1 << bits - 1)
        x = Activations(draw((rows, number * depth)))
        yield _layer(name, product.op, stored, number, rows, bits), x


def number_of(product: Product, number: int | None = None) -> int:
    """How many of its (first) products of matrices one image takes, in all repeats."""
    number = product.matrices[0].number if number is None else number
    return max(1, number * product.macs // sum(map(prod, product.matrices)))


def stored_product(
    product: Product, x: Activations, stored: NDArray[np.int64], bits: int
) -> tuple[QuantizedLayer, Activations]:
    """A product of activations (number, rows, depth) by integers (number, depth, columns) of
    `bits` bits, as a layer on activations.
    """
    number, rows, depth = x.integers.shape
    filters = stored.swapaxes(1, 2).reshape(-1, depth)
    rowwise = x.integers.swapaxes(0, 1).reshape(rows, number * depth)
    layer = _layer(product.name, product.op, filters, number, rows, bits)
    return layer, x._replace(integers=rowwise)


def _layer(
    name: str, op: str, values: NDArray[np.int64], number: int, rows: int, bits: int
) -> QuantizedLayer:
    """A layer of integers (filters, depth) in `number` groups, which `rows` rows meet."""
    stored = Codes(bits, False, False, lambda: np.ones(len(values), np.float32))
    made = stored_layer(values, Geometry(rows, groups=number), stored)
    return replace(made, layer=replace(made.layer, name=name, op=op))
