"""Files of images as arrays of bytes: idx (MNIST, Fashion-MNIST) and CIFAR's binary version."""

import gzip
import re
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

LARGEST = 1 << 33  # bytes that an array file may declare
PIXELS = 3 * 32 * 32  # of a CIFAR record, after its labels
#: What a folder is searched for, the test images first; CIFAR's parts belong together.
STANDARD = (
    ("t10k-images-idx3-ubyte",), ("t10k-images.idx3-ubyte",), ("test_batch.bin",), ("test.bin",),
    ("train-images-idx3-ubyte",), ("train-images.idx3-ubyte",),
    tuple(f"data_batch_{i}.bin" for i in range(1, 6)), ("train.bin",),
)  # fmt: skip


def read_idx(path: Path) -> Bytes:
    """An idx file of unsigned bytes (MNIST, Fashion-MNIST), gzipped or not. Raises ValueError."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as stream:
        head = stream.read(4)
        if len(head) < 4 or head[:3] != b"\x00\x00\x08" or not 1 <= head[3] <= 4:
            raise ValueError("not an idx file of unsigned bytes")
        shape = np.frombuffer(stream.read(4 * head[3]), ">u4").astype(int).tolist()
        if len(shape) != head[3] or prod(shape) > LARGEST:
            raise ValueError(f"an idx file that declares the shape {shape}")
        data = stream.read(prod(shape))
    if len(data) < prod(shape):
        raise ValueError(f"an idx file of {prod(shape):,} bytes that holds {len(data):,}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_cifar(path: Path) -> tuple[Bytes, Bytes]:
    """Images (N, 3, 32, 32) and labels (N,) of CIFAR's binary version, the fine ones of CIFAR-100.

    A record of CIFAR-100 has a coarse label before the fine one; `test.bin` and `train.bin` are
    its files, others are told by their size. Raises ValueError.
    """
    size = path.stat().st_size
    hundred = path.name in ("test.bin", "train.bin") or size % (1 + PIXELS) > 0
    record = PIXELS + 1 + hundred
    if not size or size % record:
        raise ValueError(
            f"it has {size:,} bytes, no multiple of CIFAR's records of {1 + PIXELS} "
            f"(CIFAR-10) or {2 + PIXELS} bytes (CIFAR-100, test.bin and train.bin)"
        )
    table = np.memmap(path, np.uint8, "r").reshape(-1, record)
    return table[:, record - PIXELS :].reshape(-1, 3, 32, 32), table[:, record - PIXELS - 1]


def standard(folder: Path) -> list[Path]:
    """The files of a data set of MNIST's or CIFAR's names in a folder, test images first.

    Nothing where there are none. Raises ValueError where a part of CIFAR-10 is missing.
    """
    for names in STANDARD:
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


def either(path: Path) -> Path | None:
    """A file, or the same gzipped, or None."""
    zipped = path.with_name(path.name + ".gz")
    return next((each for each in (path, zipped) if each.is_file()), None)
