"""Arrays of .npy and .npz files, read without trust: what a header declares has to be there."""

import io
import zipfile
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from esnsim.files.opened import Stored, open_file

LARGEST_BYTES = 1 << 33  # that an array file may declare
LARGEST_HEADER_BYTES = 10_000  # what NumPy takes
HARMLESS_BYTES = 1 << 28  # up to here whatever a compressed file unpacks to is read
RATIO = 100  # a file that unpacks to more than this many times its size is no data

CHUNK_BYTES = 1 << 24


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes, empty at the end."""


def open_npy(path: Path) -> Stored | NDArray[Any]:
    """The array of an .npy file, left on the disk where it lies row by row. Raises ValueError."""
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file)
        start, size = file.tell(), prod(shape) * dtype.itemsize
    opened = open_file(path)
    if size > len(opened) - start:
        raise ValueError(f"it declares {size:,} bytes and holds {len(opened) - start:,}")
    if fortran:
        return Stored(lambda: opened, start, shape[::-1], dtype)().T
    return Stored(lambda: opened, start, shape, dtype)


def read_npy(path: Path) -> NDArray[Any]:
    """The array of an .npy file in memory. Raises ValueError."""
    found = open_npy(path)
    return found() if isinstance(found, Stored) else found


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name. Raises ValueError, or what a damaged archive raises."""
    with zipfile.ZipFile(path) as archive:
        check_unpacked(unpacked_bytes(archive), path)
        return read_members(archive)


def unpacked_bytes(archive: zipfile.ZipFile) -> int:
    """What the members of an archive unpack to, as it says; more is not read."""
    return sum(entry.file_size for entry in archive.infolist())


def read_members(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """The arrays of an open .npz file by name. Errors as `read_npz`."""
    members = archive.infolist()
    return {each.filename.removesuffix(".npy"): _member(archive, each) for each in members}


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as stream:
        try:
            shape, fortran, dtype = _header(stream)
        except ValueError as error:
            raise ValueError(f"its member '{entry.filename[:80]}' is no array: {error}") from None
        size = prod(shape) * dtype.itemsize
        array = np.frombuffer(read_exactly(stream, size), dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _header(stream: Readable) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type. Raises ValueError."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an .npy file of version {version}")
    size = stream.read(2 * version[0])
    if (length := int.from_bytes(size, "little")) > LARGEST_HEADER_BYTES:
        raise ValueError(f"its header declares {length:,} bytes")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(io.BytesIO(size + stream.read(length)))
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if not all(0 <= size < 1 << 48 for size in shape):
        raise ValueError("it declares a shape that no array has")
    return shape, fortran, dtype


def read_exactly(stream: Readable, size: int) -> bytearray:
    """So many bytes of a stream, in pieces, as a size that is declared may not be there.

    Raises ValueError where there are fewer, or more.
    """
    data = bytearray()
    while len(data) < size:
        piece = stream.read(min(size - len(data), CHUNK_BYTES))
        if not piece:
            raise ValueError(f"it declares {size:,} bytes and holds {len(data):,}")
        data += piece
    if stream.read(1):  # at its end a compressed file compares the checksum
        raise ValueError(f"it declares {size:,} bytes and holds more")
    return data


def check_unpacked(size: int, path: Path) -> None:
    """Raise ValueError for a compressed file that unpacks to more bytes than images would."""
    if size > LARGEST_BYTES:
        raise ValueError(f"it unpacks to more than {LARGEST_BYTES:,} bytes")
    if size > HARMLESS_BYTES and size > RATIO * path.stat().st_size:
        raise ValueError(f"it unpacks to {size:,} bytes, over {RATIO} times its own size")
