"""Files of images as arrays of bytes: idx (MNIST, Fashion-MNIST), CIFAR's binary version, pictures.

What a damaged file raises becomes a DataError that names it.
"""

import gzip
import lzma
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import EsnsimError
from esnsim.files.arrays import LARGEST_BYTES, check_unpacked, read_exactly

Bytes = NDArray[np.uint8]

#: What reading a damaged file raises.
DAMAGE = (
    OSError, ValueError, EOFError, TypeError, KeyError, OverflowError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, SyntaxError, TokenError,
)  # fmt: skip
MOST_PIXELS = 1 << 26  # of one picture
PIXELS = 3 * 32 * 32  # of a CIFAR record, after its labels
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
#: What a folder is searched for; CIFAR's parts belong together.
STANDARD = {
    "test": (
        ("t10k-images-idx3-ubyte",), ("t10k-images.idx3-ubyte",),
        ("test_batch.bin",), ("test.bin",),
    ),
    "train": (
        ("train-images-idx3-ubyte",), ("train-images.idx3-ubyte",),
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)), ("train.bin",),
    ),
}  # fmt: skip
NAMES = {name for sets in STANDARD.values() for names in sets for name in names}
HUNDRED = ("test.bin", "train.bin")  # CIFAR-100's


class DataError(EsnsimError):
    """Images or labels that cannot be read, or that do not fit."""


@contextmanager
def naming(path: Path, option: str = "--data") -> Iterator[None]:
    """What is wrong with a file or a folder of an option becomes a DataError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"there is no '{error.filename or path}': check {option}") from None
    except DAMAGE as error:
        raise DataError(f"'{path}' cannot be read: {_line(error)}") from None


def read_idx(path: Path) -> Bytes:
    """An idx file of unsigned bytes (MNIST, Fashion-MNIST), gzipped or not. Raises DataError."""
    with naming(path):
        return _read_idx(path)


def _read_idx(path: Path) -> Bytes:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as stream:
        head = stream.read(4)
        if len(head) < 4 or head[:3] != b"\x00\x00\x08" or not 1 <= head[3] <= 4:
            raise ValueError("not an idx file of unsigned bytes")
        sizes = stream.read(4 * head[3])
        shape = np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4").astype(int).tolist()
        if len(shape) != head[3] or prod(shape) > LARGEST_BYTES:
            raise ValueError(f"an idx file that declares the shape {shape}")
        if zipped:
            check_unpacked(prod(shape), path)
        data = read_exactly(stream, prod(shape))
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_cifar(paths: Sequence[Path]) -> tuple[Bytes, Bytes]:
    """Images (N, 3, 32, 32) and labels (N,) of CIFAR's binary version, the fine ones of CIFAR-100.

    The files are parts of one set. A record of CIFAR-100 has a coarse label before the fine one;
    files of other names than those of either set are told by their size. Raises DataError.
    """
    parts = []
    for path in paths:
        with naming(path):
            parts.append(_read_cifar(path))
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return images, labels


def _read_cifar(path: Path) -> tuple[Bytes, Bytes]:
    size = path.stat().st_size
    hundred = path.name in HUNDRED if path.name in NAMES else size % (1 + PIXELS) > 0
    record = PIXELS + 1 + hundred
    if not size or size % record:
        raise ValueError(
            f"it has {size:,} bytes, no multiple of CIFAR's records of {1 + PIXELS} "
            f"(CIFAR-10) or {2 + PIXELS} bytes (CIFAR-100, test.bin and train.bin)"
        )
    table = np.fromfile(path, np.uint8, size).reshape(-1, record)
    return table[:, record - PIXELS :].reshape(-1, 3, 32, 32), table[:, record - PIXELS - 1]


def read_picture(path: Path, resize: int = 0, crop: int = 0, colour: bool = False) -> Bytes:
    """A picture (C, H, W): RGB, or one channel for a grey one unless `colour`.

    Resized so that its shorter side has `resize` pixels and cropped in the middle to `crop` ×
    `crop`; 0 leaves it. Raises DataError.
    """
    try:
        from PIL import Image
    except ImportError:
        raise DataError("pictures need Pillow: pip install 'esnsim[images]'") from None
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as opened:
            _check_size(opened.size, path, "it has")
            grey = not colour and opened.mode in ("1", "L", "I;16")
            image = opened.convert("L" if grey else "RGB")
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise DataError(
            f"'{path}' cannot be read as a picture ({_line(error)}): mend or remove it"
        ) from None
    if resize:
        width, height = (max(1, round(n * resize / min(image.size))) for n in image.size)
        _check_size((width, height), path, f"with --resize {resize} it has")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if crop:
        if crop > min(image.size):
            raise DataError(
                f"'{path}' has {image.width} × {image.height} pixels: --crop {crop} is more; give "
                "less, or a larger --resize"
            )
        left, top = (round((n - crop) / 2) for n in image.size)
        image = image.crop((left, top, left + crop, top + crop))
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _check_size(size: tuple[int, int], path: Path, what: str) -> None:
    if prod(size) > MOST_PIXELS:
        raise DataError(
            f"'{path}': {what} {size[0]:,} × {size[1]:,} pixels, and {MOST_PIXELS:,} are the most: "
            "make it smaller, or remove it"
        )


def pictures(folder: Path) -> list[Path]:
    """The pictures that lie in a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.is_file())


def class_pictures(folder: Path) -> tuple[list[Path], list[int]]:
    """The pictures of a folder of classes and their classes, from 0 on in alphabetical order."""
    classes = sorted(p for p in folder.iterdir() if p.is_dir())
    found = [(path, index) for index, each in enumerate(classes) for path in pictures(each)]
    return [path for path, _ in found], [index for _, index in found]


def standard(folder: Path, splits: Sequence[str] = ("test", "train")) -> list[Path]:
    """The files of a data set of MNIST's or CIFAR's names in a folder, of the first split there is.

    Nothing where there are none. Raises ValueError where a part of CIFAR-10 is missing.
    """
    for names in (names for split in splits for names in STANDARD[split]):
        found = [path for path in (either(folder / name) for name in names) if path is not None]
        if len(found) == len(names):
            return found
        if found:
            raise ValueError(f"of {', '.join(names)} it holds {len(found)}: add the others")
    return []


def labels_of(path: Path) -> Path | None:
    """The idx file of labels beside one of images, by the names of MNIST; None without one."""
    name = re.sub(r"images([-.])idx3", r"labels\1idx1", path.name.removesuffix(".gz"))
    return either(path.with_name(name)) if name != path.name.removesuffix(".gz") else None


def holds_arrays(path: Path) -> bool:
    """Whether a file or a folder holds images as arrays, and not as pictures."""
    return path.is_file() or any(either(path / name) for name in NAMES)


def members(path: Path) -> list[Path]:
    """The files that reading a file or a folder of images may open."""
    found = [path]
    if path.is_dir():
        found = [file for file in (either(path / name) for name in sorted(NAMES)) if file]
        found += pictures(path) + class_pictures(path)[0]
    return found + [labels for labels in map(labels_of, found) if labels]


def either(path: Path) -> Path | None:
    """A file, or the same gzipped, or None."""
    zipped = path.with_name(path.name + ".gz")
    return next((each for each in (path, zipped) if each.is_file()), None)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
