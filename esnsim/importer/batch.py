"""A batch that the inputs hold: what is counted is one inference, one image of it."""

from collections.abc import Sequence
from dataclasses import replace

from esnsim.importer.record import Record
from esnsim.model.network import Layer, Product

Shape = tuple[int, ...]


def images_of(inputs: Sequence[Shape], outputs: Sequence[Shape | None], record: Record) -> int:
    """How many images the inputs of these shapes hold: 1 where their first axis is no batch.

    It is one where it leads in the outputs too (or stands second, where time leads), and divides
    the rows of every layer and the outer axes of every product of two activations: a network
    that mixes frames, tokens or channels along that axis leaves it somewhere.
    """
    size = next((shape[0] for shape in inputs if shape), 1)
    kept = all(
        (shape[:1] and shape[0] % size == 0) or size in shape[1:2]
        for shape in outputs
        if shape is not None
    )
    return size if kept and record.outer % size == 0 else 1


def one_image(record: Record, images: int) -> tuple[tuple[Layer, ...], tuple[Product, ...]]:
    """The layers and products, of which one of `images` is counted."""
    layers = tuple(
        replace(layer, geometry=replace(layer.geometry, images=images)) for layer in record.layers
    )
    return layers, tuple(replace(p, macs=p.macs // images) for p in record.products)
