"""Bytes of a file, read where they are wanted.

Files are never mapped: one that is cut while it is mapped kills the process without a word.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import EsnsimError

BLOCK = 1 << 14  # bytes that a scan reads at once
TAG_BYTES = 20  # bytes of a tag and a length


class Stamp(NamedTuple):
    """The identity of a file: another one, or the same after a change, has another."""

    size: int
    modified: int
    inode: int


class File:
    """An open file that has to stay as it was when it was opened."""

    def __init__(self, file: FileIO, path: Path, stamp: Stamp | None = None) -> None:
        self._file, self._path = file, path
        self.stamp = stamp or _stamp(file)
        self._block, self._at = memoryview(b""), 0

    def __del__(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self.stamp.size

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes from `start` to `stop`. Raises EsnsimError where the file is another by now."""
        read = self._read(start, stop)
        self.check()
        return read.toreadonly()

    def block(self, at: int) -> tuple[memoryview, int]:
        """Bytes around a place, TAG_BYTES from there at least or the last, and where they begin.

        Whoever scans a file in blocks has to `check` it at the end.
        """
        end = self._at + len(self._block)
        if not (self._at <= at and (at + TAG_BYTES <= end or end == len(self))):
            self._block, self._at = self._read(at, min(at + BLOCK, len(self))), at
        return self._block, self._at

    def check(self) -> None:
        """Raise EsnsimError where size or time of the file have changed since it was opened."""
        if _stamp(self._file) != self.stamp:
            raise self._changed()

    def _read(self, start: int, stop: int) -> memoryview:
        target = np.empty(max(0, stop - start), np.uint8).data
        done = 0
        while done < len(target):
            try:
                count = os.preadv(self._file.fileno(), [target[done:]], start + done)
            except OSError as error:
                raise EsnsimError(f"cannot read '{self._path}': {error.strerror}") from None
            if not count:
                raise self._changed()
            done += count
        return target

    def _changed(self) -> EsnsimError:
        return EsnsimError(
            f"'{self._path}' was changed while it was read: run again when it is whole"
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """Reads an array that lies in a file as in memory: all of it, or rows of its first axis."""

    file: Callable[[], File]
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    def __call__(self) -> NDArray[Any]:
        """All of it."""
        return self._read(self.offset, self.shape)

    def rows(self, span: slice) -> NDArray[Any]:
        """The rows from `span.start` to `span.stop`."""
        row = prod(self.shape[1:]) * self.dtype.itemsize
        shape = (span.stop - span.start, *self.shape[1:])
        return self._read(self.offset + span.start * row, shape)

    def _read(self, start: int, shape: tuple[int, ...]) -> NDArray[Any]:
        held = self.file().read(start, start + prod(shape) * self.dtype.itemsize)
        return np.frombuffer(held, self.dtype, prod(shape)).reshape(shape)


def open_file(path: Path, stamp: Stamp | None = None) -> File:
    """A file to read from, as it was at its `stamp`. Raises EsnsimError where that fails."""
    try:
        return File(path.open("rb", buffering=0), path, stamp)
    except OSError as error:
        raise EsnsimError(
            f"cannot read '{path}': {error.strerror}; check its permissions"
        ) from None


def _stamp(file: FileIO) -> Stamp:
    found = os.fstat(file.fileno())
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)
