"""The shapes of the network's inputs: what the file fixes, what the user gives, batch 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from numbers import Integral

import numpy as np
from onnx import GraphProto, TensorShapeProto, TypeProto, ValueInfoProto, helper

from esnsim.errors import ModelError
from esnsim.importer.values import Value, constant_value, known, type_shape

MOST_ELEMENTS = 1 << 40  # elements of an input
UNNAMED = {"?", "None", "-1"}  # what exporters call sizes that have nothing to do with each other

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Types of the inputs with all sizes fixed, the sizes of named dimensions, what was assumed."""

    types: dict[str, TypeProto]
    dimensions: dict[str, int]
    notes: tuple[str, ...]


def resolve(graph: GraphProto, given: Shapes) -> Resolved:
    """Fix the shapes of a graph's inputs: a free first dimension is a batch of 1.

    `given` maps input names to shapes; a single unnamed shape ("") is for the only input. Raises
    ModelError where shapes do not fit or are still free.
    """
    stored = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    inputs = [i for i in graph.input if i.name not in stored]
    given = _named(inputs, given)
    sizes: dict[str, int] = {}
    for info in inputs:
        if info.name in given:
            _match(info, given[info.name], sizes)
    batch = [info for info in inputs if info.name not in given and _has_free_batch(info, sizes)]
    sizes |= {_name(info.type.tensor_type.shape.dim[0]): 1 for info in batch}
    types = {}
    for info in inputs:
        if info.type.WhichOneof("value") in ("tensor_type", None):
            shape = given.get(info.name) or _fixed(info, sizes)
            types[info.name] = helper.make_tensor_type_proto(info.type.tensor_type.elem_type, shape)
        else:
            types[info.name] = info.type
    names = ", ".join(f"'{info.name}'" for info in batch)
    note = f"the batch of {names} is free and counted as 1 (--input-shape)"
    sizes.pop("", None)
    return Resolved(types, sizes, (note,) if batch else ())


def bind(proto: TypeProto, sizes: Mapping[str, int]) -> TypeProto:
    """The type with its named dimensions replaced by their sizes."""
    if type_shape(proto) is not None or not proto.tensor_type.HasField("shape"):
        return proto
    bound = TypeProto()
    bound.CopyFrom(proto)
    for dim in bound.tensor_type.shape.dim:
        if dim.dim_param in sizes:
            dim.dim_value = sizes[dim.dim_param]
    return bound


def _named(inputs: list[ValueInfoProto], given: Shapes) -> dict[str, tuple[int, ...]]:
    known = [i.name for i in inputs]
    if not isinstance(given, Mapping):
        raise ModelError(f"input shapes {given!r:.40}: give a mapping of names to shapes")
    result = {}
    for name, shape in given.items():
        if not name and len(known) != 1:
            raise ModelError(
                f"--input-shape needs a name, as the model has {len(known)} inputs: "
                f"{', '.join(known)}; give NAME=1,3,224,224"
            )
        name = name or known[0]
        if name not in known:
            raise ModelError(
                f"--input-shape names '{name}', which is no input of the model; "
                f"its inputs are {', '.join(known) or 'none'}"
            )
        result[name] = shape
    return result


def _match(info: ValueInfoProto, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Check a given shape against the declared one and learn its named dimensions."""
    whole = not isinstance(shape, str) and all(isinstance(size, Integral) for size in shape)
    if not whole or min(shape, default=1) < 1 or prod(shape) > MOST_ELEMENTS:
        given = _by(shape) if whole else repr(shape)
        raise ModelError(
            f"--input-shape {info.name}={given} is no usable shape: sizes must be positive whole "
            f"numbers and hold at most {MOST_ELEMENTS:,} elements"
        )
    if not info.type.tensor_type.HasField("shape"):
        return
    dims = info.type.tensor_type.shape.dim
    fits = len(dims) == len(shape) and all(
        not d.dim_value > 0 or d.dim_value == n for d, n in zip(dims, shape, strict=True)
    )
    if not fits:
        raise ModelError(
            f"--input-shape {info.name}={_by(shape)} does not fit the model, "
            f"which declares {_declared(info)}"
        )
    for dim, n in zip(dims, shape, strict=True):
        name = _name(dim)
        if name and sizes.setdefault(name, n) != n:
            raise ModelError(f"--input-shape gives '{name}' two sizes, {sizes[name]} and {n}")


def _has_free_batch(info: ValueInfoProto, sizes: Mapping[str, int]) -> bool:
    dims = info.type.tensor_type.shape.dim
    return bool(dims) and dims[0].dim_value <= 0 and _name(dims[0]) not in sizes


def _fixed(info: ValueInfoProto, sizes: Mapping[str, int]) -> tuple[int, ...]:
    if not info.type.tensor_type.HasField("shape"):
        raise ModelError(
            f"input '{info.name}' declares no shape: give it with --input-shape "
            f"{info.name}=1,3,224,224"
        )
    shape = tuple(
        dim.dim_value if dim.dim_value > 0
        else sizes.get(_name(dim), 0) if _name(dim) or axis == 0 else 0
        for axis, dim in enumerate(info.type.tensor_type.shape.dim)
    )  # fmt: skip
    if 0 in shape:
        raise ModelError(
            f"input '{info.name}' is {_declared(info)}: give its free sizes with --input-shape "
            f"{info.name}={_by(_likely(shape))}"
        )
    if prod(shape) > MOST_ELEMENTS:
        raise ModelError(f"input '{info.name}' is {_declared(info)}: too large to be real")
    return shape


def _likely(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with sizes that its free ones (0) may have: colours and pixels of images, or 128."""
    if len(shape) != 4:
        return tuple(n or 128 for n in shape)
    colours = 3 if shape[3] in (1, 3) else 1  # the axis of colours
    pixels = [n for axis, n in enumerate(shape) if n and axis not in (0, colours)]
    side = pixels[0] if pixels else 224
    free = {0: 1, colours: 3}
    return tuple(n or free.get(axis, side) for axis, n in enumerate(shape))


def _name(dim: TensorShapeProto.Dimension) -> str:
    """The name of a free size, empty where it has none that says anything."""
    return "" if dim.dim_param in UNNAMED else dim.dim_param


def _declared(info: ValueInfoProto) -> str:
    dims = info.type.tensor_type.shape.dim
    return (
        "×".join(str(d.dim_value) if d.dim_value > 0 else d.dim_param or "?" for d in dims)
        or "a scalar"
    )


def _by(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))


def given_values(inputs: Mapping[str, Value], given: Mapping[str, float]) -> dict[str, Value]:
    """The inputs whose value is given, as constants. Raises ModelError for those that can't be."""
    found = {}
    for name, number in given.items():
        value = inputs.get(name)
        if value is None:
            known_names = ", ".join(map(repr, inputs)) or "none"
            raise ModelError(f"--input-value names '{name}', but the inputs are {known_names}")
        shape, dtype = value.shape or (), value.dtype
        if dtype is None or prod(shape) != 1:
            raise ModelError(
                f"--input-value gives a number for '{name}', which is "
                f"{'×'.join(map(str, shape)) or 'no tensor'}: give values of inputs of one number"
            )
        array = np.full(shape, number).astype(dtype)
        if dtype.kind in "iu" and array.ravel()[0] != number:
            raise ModelError(f"--input-value {name}={number:g}: the input is of type {dtype}")
        found[name] = constant_value(known(array, name), name)
    return found
