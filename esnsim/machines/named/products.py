"""Products of two activations as layers of machines: one of the two stands for the weights."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.base import Activations
from esnsim.machines.random_layers import stored_layer
from esnsim.model.network import Codes, Geometry, Matrices, Product
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
    known = sum(map(prod, product.matrices))
    for place, found in enumerate(product.matrices):
        number = found.number * product.macs // known  # of one image, in all repeats
        name = product.name if len(product.matrices) == 1 else f"{product.name} ({place + 1})"
        yield _layer(name, product.op, found._replace(number=max(1, number)), bits, draw)


def _layer(
    name: str, op: str, found: Matrices, bits: int, draw: Draw
) -> tuple[QuantizedLayer, Activations]:
    number, rows, depth, columns = found
    values = draw((number * columns, depth)) - (1 << bits - 1)
    stored = Codes(bits, False, False, lambda: np.ones(len(values), np.float32))
    made = stored_layer(values, Geometry(rows, groups=number), stored)
    return (
        replace(made, layer=replace(made.layer, name=name, op=op)),
        Activations(draw((rows, number * depth))),
    )
