"""What is known of a value in the graph: its type, and for constants how to read it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np
from onnx import TensorProto, TypeProto, helper

from esnsim.model.network import Array, Ids

SMALL = 1024  # elements: constants up to here are evaluated at once, as shapes depend on them
WIDEST = 16  # bits of a code; wider integers are taken as floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coded:
    """The integers behind a dequantised constant, zero point removed (midrise: odd q).

    `scale()` is the step of every element, in the constant's shape (usually a broadcast view).
    `bits` is the width of the stored type.
    """

    integers: Callable[[], Array]
    scale: Callable[[], Array]
    bits: int
    midrise: bool = False
    asymmetric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Constant:
    """A value that does not depend on the input, read when asked for.

    `origin` names the stored tensor whose elements it holds, all of them; `bits` is the width
    of its integers, which a Clip can make narrower than their type. `uncoded` names the type of
    quantised elements that have no integer codes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    origin: str
    read: Callable[[], Array]
    bits: int | None = None
    coded: Coded | None = None
    uncoded: str = ""

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def moved(self, move: Callable[[Array], Array], shape: tuple[int, ...]) -> "Constant":
        """The same elements in another order or shape, its codes with it."""
        coded = self.coded
        if coded is not None:
            integers, scale = coded.integers, coded.scale
            coded = replace(coded, integers=lambda: move(integers()), scale=lambda: move(scale()))
        return replace(self, shape=shape, read=lambda: move(self.read()), coded=coded)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Value:
    """A value of the graph. `channels` broadcasts to its shape; None is live everywhere.

    `producer` is the index of the layer whose direct output the value is. `cause` says which
    operator gave no shape, where that is why this value has none. `parts` are the tensors of a
    sequence or an optional, where they are known. `bits` is the width of the integers that floats
    stand for. `sums_to_one` is the axis along which the elements do, behind a Softmax.
    """

    name: str
    type: TypeProto | None = None
    constant: Constant | None = None
    channels: Ids | None = None
    producer: int | None = None
    cause: str = ""
    parts: "tuple[Value, ...] | None" = None
    bits: int | None = None
    sums_to_one: int | None = None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape where every dimension is known, else None."""
        return type_shape(self.type)

    @property
    def elem_type(self) -> int:
        """ONNX's element type, 0 where it is unknown."""
        return self.type.tensor_type.elem_type if self.type is not None else 0

    @property
    def dtype(self) -> np.dtype[np.generic] | None:
        """NumPy's element type, None where it is unknown."""
        try:
            return np.dtype(helper.tensor_dtype_to_np_dtype(self.elem_type))
        except (KeyError, TypeError, ValueError):
            return None


def type_shape(proto: TypeProto | None) -> tuple[int, ...] | None:
    """The shape of a tensor type where every dimension is known, else None."""
    if proto is None or not proto.tensor_type.HasField("shape"):
        return None
    dims = proto.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") and dim.dim_value >= 0 for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)


def known(array: Array, origin: str) -> Constant:
    """A constant that is in memory."""
    return Constant(
        shape=array.shape,
        dtype=array.dtype,
        origin=origin,
        read=lambda: array,
        bits=width_of(array.dtype),
    )


def constant_value(constant: Constant, name: str) -> Value:
    """The value of a constant."""
    try:
        elem_type = int(helper.np_dtype_to_tensor_dtype(constant.dtype))
    except (KeyError, ValueError):
        elem_type = TensorProto.UNDEFINED
    proto = helper.make_tensor_type_proto(elem_type, constant.shape)
    return Value(name=name, type=proto, constant=constant)


def thin(array: Array) -> Array:
    """A broadcast array with size 1 along the axes where it only repeats."""
    return array[tuple(slice(None if stride else 1) for stride in array.strides)]


@lru_cache
def width_of(dtype: np.dtype[np.generic]) -> int | None:
    """Bits of an integer type, None for the others."""
    if dtype.kind in "iu":
        return dtype.itemsize * 8
    name = dtype.name
    if name.startswith(("int", "uint")):  # ml_dtypes: int4, uint4, int2, uint2
        return int(name.lstrip("uint"))
    return None
