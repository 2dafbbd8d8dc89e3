"""TensorProto -> array, wherever the bytes are: inline, in the model file, in an external file."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from esnsim.errors import ModelError
from esnsim.files.opened import File, Stored, open_file
from esnsim.model.network import Array
from esnsim.onnxfile.wire import SPAN

MOST_ELEMENTS = 1 << 40  # elements of one tensor: beyond is a damaged or hostile header
AXES = 64  # of an array of NumPy
# Types that NumPy stores as they lie in the file, so that a view of the file will do.
PLAIN = {
    TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16,
    TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16,
    TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64, TensorProto.UINT64,
    TensorProto.BOOL,
}  # fmt: skip
PER_BYTE: dict[int, int] = {
    TensorProto.INT4: 2, TensorProto.UINT4: 2, TensorProto.FLOAT4E2M1: 2,
    TensorProto.INT2: 4, TensorProto.UINT2: 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Store:
    """The bytes that tensors may point to: the model file, and files in its folder.

    `origin` is the folder that the model itself lies in where its name is a link: the caches of
    model hubs link a model and its external data into one folder of blobs.
    """

    file: File | None = None
    folder: Path | None = None
    origin: Path | None = None

    def reader(self, tensor: TensorProto, name: str) -> Callable[[], Array]:
        """A function that gives the tensor's values; what the header claims is checked here."""
        shape = tensor_shape(tensor, name)
        span = self._span(tensor, name)
        held = span[2] if span else len(tensor.raw_data) if tensor.HasField("raw_data") else None
        expected = stored_bytes(tensor, name)
        if held not in (None, expected):
            raise ModelError(
                f"tensor '{name}' declares {'×'.join(map(str, shape)) or 'a scalar'} of "
                f"{type_name(tensor.data_type)} = {expected:,} bytes but holds {held:,}: "
                "the file is damaged; export the model again"
            )
        if span is None:
            return lambda: _inline(tensor, name)
        file, offset, length = span
        if tensor.data_type in PLAIN:
            return Stored(file, offset, shape, element_dtype(tensor.data_type, name))
        return lambda: _decode(tensor, file().read(offset, offset + length), shape)

    def raw(self, tensor: TensorProto, name: str) -> memoryview | None:
        """The bytes of a tensor that lie outside its message; None where it holds them itself."""
        span = self._span(tensor, name)
        if span is None:
            return None
        file, offset, length = span
        return file().read(offset, offset + length)

    def fill(self, tensor: TensorProto) -> None:
        """Put the bytes of a tensor that lie outside its message into it."""
        raw = self.raw(tensor, tensor.name)
        if raw is not None:
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = bytes(raw)

    def _span(self, tensor: TensorProto, name: str) -> tuple[Callable[[], File], int, int] | None:
        if not tensor.external_data and tensor.data_location != TensorProto.EXTERNAL:
            return None
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if SPAN in entries and self.file is not None:
            file = self.file
            return (lambda: file), *_spanned(entries[SPAN], len(file), name)
        if tensor.data_location != TensorProto.EXTERNAL:
            return None
        return self._external(entries, tensor, name)

    def _external(
        self, entries: dict[str, str], tensor: TensorProto, name: str
    ) -> tuple[Callable[[], File], int, int]:
        path = external_path(self.folder, entries.get("location", ""), name, self.origin)
        stamp = open_file(path).stamp
        try:
            offset = int(entries.get("offset", 0))
            length = int(entries.get("length", stored_bytes(tensor, name)))
        except ValueError:
            raise ModelError(f"tensor '{name}' has an offset or length that is no number") from None
        if offset < 0 or length < 0 or offset + length > stamp.size:
            raise ModelError(
                f"tensor '{name}' lies at bytes {offset:,} to {offset + length:,} of "
                f"'{path.name}', which has {stamp.size:,}: copy the file again"
            )
        return (lambda: open_file(path, stamp)), offset, length


def _spanned(text: str, size: int, name: str) -> tuple[int, int]:
    """Offset and length of "offset:length", which a damaged file may hold itself."""
    offset, _, length = text.partition(":")
    if not (offset.isdecimal() and length.isdecimal()) or len(text) > 40:
        raise ModelError(f"tensor '{name}' lies at '{text}': the file is damaged")
    if int(offset) + int(length) > size:
        raise ModelError(f"tensor '{name}' lies outside the file: the file is damaged")
    return int(offset), int(length)


def external_path(
    folder: Path | None, location: str, name: str, origin: Path | None = None
) -> Path:
    """The file of an external tensor; refused unless it is a plain file in the model's folder.

    Its name must stay in `folder`; a link there may lead to a file of the folder itself, or of
    `origin`, where the model's own link leads.
    """
    if folder is None:
        raise ModelError(
            f"tensor '{name}' is in the external file '{location}': "
            "read the model by its path, not as a ModelProto without its data"
        )
    root = Path(os.path.realpath(folder))
    path = root if "\0" in location else Path(os.path.realpath(root / location))
    named = Path(os.path.normpath(root / location.replace("\0", "")))
    inside = root in path.parents or (origin is not None and path.parent == origin)
    if os.path.isabs(location) or root not in named.parents or not inside:
        raise ModelError(
            f"tensor '{name}' points to '{location}', outside the model's folder: refused; "
            "external data must lie beside the model"
        )
    if not os.path.isfile(path):
        raise ModelError(
            f"tensor '{name}' needs the file '{location}' in '{folder}', which is not there: "
            "copy the external data beside the model"
        )
    return path


def tensor_shape(tensor: TensorProto, name: str) -> tuple[int, ...]:
    """The declared shape, refused where no file could hold it."""
    shape = tuple(tensor.dims)
    if len(shape) > AXES:
        raise ModelError(
            f"tensor '{name}' declares {len(shape):,} axes: none has more than {AXES}; the file is "
            "damaged"
        )
    if min(shape, default=0) < 0 or prod(shape) > MOST_ELEMENTS:
        raise ModelError(
            f"tensor '{name}' declares the shape {'×'.join(map(str, shape))}: "
            "no such tensor can be read; the file is damaged"
        )
    return shape


def type_name(data_type: int) -> str:
    """ONNX's name of an element type, in lower case."""
    try:
        return str(TensorProto.DataType.Name(data_type)).lower()
    except ValueError:
        return f"type {data_type}"


def stored_bytes(tensor: TensorProto, name: str) -> int:
    """How many bytes the tensor's raw data must have."""
    count = prod(tensor.dims)
    if tensor.data_type in PER_BYTE:
        return -(-count // PER_BYTE[tensor.data_type])
    return count * int(element_dtype(tensor.data_type, name).itemsize)


def element_dtype(data_type: int, name: str) -> np.dtype[np.generic]:
    """NumPy's (or ml_dtypes') type of an ONNX element type."""
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(data_type))
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"tensor '{name}' has element type {data_type}, which onnx {onnx.__version__} does "
            "not know: update onnx or export the model with a known type"
        ) from None


def _decode(tensor: TensorProto, held: memoryview, shape: tuple[int, ...]) -> Array:
    copy = TensorProto(dims=shape, data_type=tensor.data_type)
    copy.raw_data = bytes(held)
    return numpy_helper.to_array(copy)


def _inline(tensor: TensorProto, name: str) -> Array:
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"tensor '{name}' cannot be read ({error}): the file is damaged; export it again"
        ) from None
