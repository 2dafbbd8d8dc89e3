"""What products of two activations multiply on images: both matrices, read out of the graph."""

from collections.abc import Iterator
from math import prod

import numpy as np

from esnsim.evaluate.feeds import Feeds
from esnsim.evaluate.simulation import Activations as Given
from esnsim.graph.model import Model
from esnsim.images.sets import ImageSet
from esnsim.importer.scope import label
from esnsim.machines.activations import Calibration, quantize
from esnsim.machines.base import Activations
from esnsim.machines.named.products import number_of, stored_product
from esnsim.model.network import Array
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.run.cut import CutGraph
from esnsim.run.inside import inside

OPERATOR = "MatMul"
Pair = tuple[QuantizedLayer, Activations]


def operands_of(model: Model) -> dict[int, tuple[str, str]]:
    """The values that each MatMul of two activations reads, by its place among the products; of the
    graph itself, where its name is its own.
    """
    nodes = [node for node in model.nodes if node.op_type == OPERATOR]
    names = [label(node) for node in nodes]
    found = {}
    for place, product in enumerate(model.network.products):
        if product.op == OPERATOR and names.count(product.name) == 1 and product.matrices:
            left, right = nodes[names.index(product.name)].input
            found[place] = left, right
    return found


def products_on_images(graph: CutGraph, given: Given, bits: int) -> dict[int, list[Pair]]:
    """The products as layers on activations, one for each image of `given`, by their place.

    The second matrix is stored, signed and symmetric; the first is quantised as activations are.
    """
    known = operands_of(graph.graph)
    if not known:
        return {}
    few, chosen = given.split()
    values = inside(graph, [name for pair in known.values() for name in pair])
    products = graph.graph.network.products

    def matrices(images: ImageSet) -> Iterator[tuple[int, Array, Array]]:
        """Of each image both operands (products side by side, rows, columns)."""
        feeds = Feeds(graph.graph, images)
        for feed, count in feeds:
            found, size = values.run(feed), feeds.size(feed)
            for place, (left, right) in known.items():
                a, b = side_by_side(found[left], found[right])
                if len(a) == size * number_of(products[place]):  # images lead
                    a, b = (x.reshape(size, -1, *x.shape[1:]) for x in (a, b))
                    yield from ((place, a[image], b[image]) for image in range(count))

    seen: dict[int, tuple[Calibration, Calibration]] = {}
    for place, *pair in matrices(few):
        for calibration, x in zip(
            seen.setdefault(place, (Calibration(), Calibration())), pair, strict=True
        ):
            calibration.add(x)
    scales = {
        place: (first.scale(bits, given.percentile, given.signed), second.scale(bits, signed=True))
        for place, (first, second) in seen.items()
    }
    made: dict[int, list[Pair]] = {}
    for place, a, b in matrices(chosen):
        scale, stored = scales[place]
        rows = Activations(quantize(a, scale), scale.zero_point, scale.signed)
        codes = quantize(b, stored).astype(np.int64)
        made.setdefault(place, []).append(stored_product(products[place], rows, codes, bits))
    return made


def side_by_side(a: Array, b: Array) -> tuple[Array, Array]:
    """Operands of a MatMul as (products, rows, depth) and (products, depth, columns)."""
    if min(a.ndim, b.ndim) < 2:
        return a[:0], b[:0]
    outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    pair = (np.broadcast_to(x, (*outer, *x.shape[-2:])) for x in (a, b))
    left, right = (x.reshape(prod(outer), *x.shape[-2:]) for x in pair)
    return left, right
