"""What the walk finds: layers, products, what could not be counted, and notes for the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import gcd, prod

import numpy as np
from onnx import NodeProto, helper

from esnsim.errors import ModelError
from esnsim.files.opened import Stored
from esnsim.importer.channels import Channels
from esnsim.importer.constants import attribute
from esnsim.importer.products import CannotCountError, Weighted
from esnsim.importer.quantized import dequantize, positive
from esnsim.importer.values import Value
from esnsim.model.network import Array, BatchNorm, Codes, Layer, Product, Uncounted, Weight
from esnsim.onnxfile.damage import reading

MOST_FILTERS = 1 << 22  # filters, or weights of one filter
MACS = 1 << 62  # of one operator
TEST_MODE_OPSET = 7  # before, BatchNormalization trained unless its is_test was set
FLOATS = ("float16", "float32", "float64", "bfloat16")


@dataclass(slots=True, kw_only=True)
class Record:
    """Filled in the order of the graph."""

    layers: list[Layer] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    uncounted: list[Uncounted] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)  # in order, each once
    channels: Channels = field(default_factory=Channels)
    batchnorms: int = 0
    outer: int = 0  # what divides all axes that images may lie along
    endless: str = ""  # a Loop that nothing ends before LONGEST trips
    chosen: dict[str, int] = field(default_factory=dict)  # branches of Ifs whose condition is known

    @property
    def macs(self) -> int:
        """Multiply-accumulates of layers and products."""
        return sum(layer.macs for layer in self.layers) + sum(p.macs for p in self.products)

    def note(self, text: str) -> None:
        """Say something in the report, once."""
        self.notes[text] = None

    def product(self, product: Product, outer: int) -> None:
        """Add a product of two activations; images may lie along axes of `outer` elements."""
        _check_macs(product.name, product.macs)
        self.products.append(product)
        self.outer = gcd(self.outer, outer)

    def extend(self, other: "Record") -> None:
        """Add what was recorded apart, in the same channels."""
        self.layers += other.layers
        self.products += other.products
        self.uncounted += other.uncounted
        self.notes |= other.notes
        self.batchnorms += other.batchnorms
        self.outer = gcd(self.outer, other.outer)
        self.endless = self.endless or other.endless
        self.chosen |= other.chosen

    def layer(
        self, found: Weighted, name: str, op: str, output: Value, repeats: int,
        activation_bits: int | None = None, at: str = "",
    ) -> Value:  # fmt: skip
        """Add a layer; the value that it gives."""
        name = f"{name}.{found.part}" if found.part else name
        sizes = (found.shape[0], prod(found.shape[1:]), len(found.channels))
        if max(sizes) > MOST_FILTERS or min(sizes) < 1:
            raise ModelError(
                f"'{name}' declares weights of shape {'×'.join(map(str, found.shape))}: "
                f"esnsim reads layers of 1 to {MOST_FILTERS:,} filters, each of as many weights"
            )
        weight = self._weight(found, name)
        ids = self.channels.filters(found.shape[0])
        try:
            layer = Layer(
                name, op, weight, found.geometry, found.channels, int(ids[0]), repeats,
                activation_bits=activation_bits, at=at,
            )  # fmt: skip
        except ValueError as error:
            raise ModelError(f"'{name}': {error}; the model is damaged") from None
        _check_macs(name, layer.macs)
        self.layers.append(layer)
        self.outer = gcd(self.outer, found.outer)
        proto = output.type
        if found.output_shape is not None:
            proto = helper.make_tensor_type_proto(output.elem_type, found.output_shape)
        channels = found.output(ids) if found.output is not None else None
        return replace(output, type=proto, channels=channels, producer=len(self.layers) - 1)

    def _weight(self, found: Weighted, name: str) -> Weight:
        constant, arrange, shape = found.constant, found.arrange, found.shape
        if constant.coded is None and constant.bits is not None:
            constant = dequantize(constant, None, None, 0, 0, name)
        origin, coded = constant.origin, constant.coded
        weight = partial(Weight, name=origin, origin=origin, shape=shape)

        def when_asked(read: Callable[[], Array]) -> Callable[[], Array]:
            def load() -> Array:
                with reading(f"the weight of '{name}'"):
                    return arrange(read())

            return load

        if coded is not None:
            coded = positive(coded)
            codes = Codes(coded.bits, coded.midrise, coded.asymmetric, when_asked(coded.scale))
            if coded.asymmetric:
                self.note("some weights are asymmetric: their zero point is one activation sum")
            dtype = f"int{coded.bits}"
            return weight(dtype=dtype, load=when_asked(coded.integers), codes=codes)
        dtype = constant.dtype.name
        if dtype not in FLOATS and constant.dtype.kind in "cOSU":
            raise CannotCountError(f"its weights are of type {dtype}")
        taken = dtype if dtype not in FLOATS else constant.uncoded
        if taken:
            self.note(f"weights of type {taken} are counted as floats")
        if found.upright and isinstance(constant.read, Stored):
            return weight(dtype=dtype, load=replace(constant.read, shape=shape))
        return weight(dtype=dtype, load=when_asked(constant.read))

    def batchnorm(
        self,
        node: NodeProto,
        name: str,
        inputs: Sequence[Value | None],
        producer: int | None,
        opset: int,
    ) -> None:
        """Note a BatchNormalization with the layer (`producer`) that it alone reads.

        One in training mode uses the batch's statistics: its gain is not known.
        """
        self.batchnorms += 1
        scale, _, _, variance = (v.constant if v else None for v in inputs[1:5])
        training = attribute(node, "training_mode", 0) or any(node.output[1:])  # before opset 14
        training = training or (opset < TEST_MODE_OPSET and not attribute(node, "is_test", 0))
        if producer is None or scale is None or variance is None or training:
            return
        layer, epsilon = self.layers[producer], attribute(node, "epsilon", 1e-5)
        shape = inputs[0].shape if inputs[0] is not None else None
        if not layer.geometry.kernel and (shape is None or len(shape) != 2):
            return  # of more axes than two, a matrix product has its filters on the last
        if scale.shape == variance.shape == (layer.filters,) and isinstance(epsilon, float):
            gamma, spread = (c.read().astype(np.float64) for c in (scale, variance))
            with np.errstate(all="ignore"):
                gain = gamma / np.sqrt(spread + epsilon)
            self.layers[producer] = replace(layer, batchnorm=BatchNorm(name, gain))


def _check_macs(name: str, macs: int) -> None:
    if macs > MACS:
        raise ModelError(
            f"'{name}' declares shapes of more than 2^62 multiply-accumulates: the file is damaged"
        )
