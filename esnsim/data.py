"""Image sets: the embedded sample, arrays, idx files, folders of images."""

import gzip
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import EsnsimError

EMBEDDED = Path(__file__).parent / "embedded" / "fashion_mnist_1000.npz"
LARGEST = 1 << 33  # bytes that an array file may declare
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}


class DataError(EsnsimError):
    """Images or labels that cannot be read, or that do not fit."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """From pixels to what a network takes: bytes become [0, 1], then (x − mean) / std.

    Pictures are resized so that their shorter side has `resize` pixels and cropped in the middle
    to `crop` × `crop`; 0 leaves them. `mean` and `std` have a value a channel, or one for all.
    """

    resize: int = 0
    crop: int = 0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(N, C, H, W) of bytes or floats -> float32."""
        x = pixels.astype(np.float32)
        if pixels.dtype == np.uint8:
            x /= 255
        for values in (self.mean, self.std):
            if len(values) not in (1, x.shape[1]):
                raise DataError(
                    f"{len(values)} values of mean or std for {x.shape[1]} channels: "
                    "give one for all, or one a channel"
                )
        mean, std = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (self.mean, self.std))
        return np.asarray((x - mean) / std)


#: What torchvision's ImageNet models are trained for.
IMAGENET = Preparation(256, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images in order, read when asked for: `read(start, stop)` gives (n, C, H, W) float32."""

    name: str
    count: int
    read: Callable[[int, int], NDArray[np.float32]]
    labels: NDArray[np.int64] | None = None

    def first(self, count: int) -> "ImageSet":
        """The first images alone."""
        count = min(count, self.count)
        labels = None if self.labels is None else self.labels[:count]
        return replace(self, count=count, labels=labels)

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        """All images, `size` at a time."""
        for start in range(0, self.count, size):
            yield self.read(start, min(start + size, self.count))


def embedded() -> ImageSet:
    """The first 1,000 test images of Fashion-MNIST, pixels in [0, 1]."""
    return _npz(EMBEDDED, Preparation())


def load(
    path: Path, preparation: Preparation = Preparation(), labels: Path | None = None
) -> ImageSet:
    """The images of a file (.npz, .npy, idx) or of a folder. Raises DataError.

    .npz has `images` and perhaps `labels`; .npy and idx files take labels from a file of their
    own. A folder holds pictures, or a folder of pictures for each class.
    """
    try:
        return _load(path, preparation, labels)
    except FileNotFoundError as error:
        raise DataError(f"there is no '{error.filename or path}': check --data") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"'{path}' cannot be read as images: {text}") from None


def read_idx(path: Path) -> NDArray[np.uint8]:
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


def _load(path: Path, preparation: Preparation, labels: Path | None) -> ImageSet:
    if path.is_dir():
        return _folder(path, preparation)
    if path.suffix == ".npz":
        return _npz(path, preparation)
    array = _npy(path) if path.suffix == ".npy" else read_idx(path)
    classes = None
    if labels is not None:
        classes = _npy(labels) if labels.suffix == ".npy" else read_idx(labels)
    return _array(path.name, array, classes, preparation)


def _npy(path: Path) -> NDArray[Any]:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _npz(path: Path, preparation: Preparation) -> ImageSet:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        if "images" not in arrays.files:
            raise ValueError(f"it has no array 'images', but {', '.join(arrays.files)}")
        labels = arrays["labels"] if "labels" in arrays.files else None
        return _array(path.name, arrays["images"], labels, preparation)


def _array(
    name: str, images: NDArray[Any], labels: NDArray[Any] | None, preparation: Preparation
) -> ImageSet:
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or not images.size or images.dtype.kind not in "uif":
        raise ValueError(f"images are {images.dtype} of shape {images.shape}, not (N, C, H, W)")
    if labels is not None:
        labels = labels.ravel()
        if len(labels) != len(images) or labels.dtype.kind not in "ui":
            raise ValueError(
                f"{len(labels)} labels of type {labels.dtype} for {len(images)} images"
            )
        labels = labels.astype(np.int64)
    return ImageSet(name, len(images), lambda a, b: preparation(images[a:b]), labels)


def _folder(path: Path, preparation: Preparation) -> ImageSet:
    classes = sorted(p for p in path.iterdir() if p.is_dir())
    files: list[Path] = []
    labels: list[int] = []
    for index, folder in enumerate(classes):
        found = _pictures(folder)
        files += found
        labels += [index] * len(found)
    files = files or _pictures(path)
    if not files:
        raise ValueError(f"no pictures in it ({', '.join(sorted(PICTURES))})")

    def read(start: int, stop: int) -> NDArray[np.float32]:
        pixels = [_picture(file, preparation) for file in files[start:stop]]
        if len({p.shape for p in pixels}) > 1:
            raise DataError(f"pictures of '{path}' differ in size: give --resize and --crop")
        return preparation(np.stack(pixels))

    return ImageSet(path.name, len(files), read, np.array(labels) if labels else None)


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.is_file())


def _picture(path: Path, preparation: Preparation) -> NDArray[np.uint8]:
    """(C, H, W) bytes: RGB, or one channel for a grey picture."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError("pictures need Pillow: pip install 'esnsim[images]'") from None
    with Image.open(path) as opened:
        image = opened.convert("L" if opened.mode in ("1", "L", "I;16") else "RGB")
    if preparation.resize:
        scale = preparation.resize / min(image.size)
        size = [max(1, round(n * scale)) for n in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    if preparation.crop:
        left, top = (round((n - preparation.crop) / 2) for n in image.size)
        image = image.crop((left, top, left + preparation.crop, top + preparation.crop))
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
