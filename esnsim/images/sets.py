"""Image sets: the embedded sample, arrays, idx and CIFAR files, folders of images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError
from esnsim.files.arrays import open_npy, read_npy, read_npz
from esnsim.files.opened import Stored
from esnsim.images.files import (
    PICTURES,
    class_pictures,
    labels_of,
    naming,
    pictures,
    read_cifar,
    read_picture,
    standard,
)
from esnsim.images.files import DataError as DataError
from esnsim.images.files import read_idx as read_idx

MOST_CLASSES = 1 << 31
SAMPLED = 32  # images at each end of a set that tell it from others
EMBEDDED = Path(__file__).parents[1] / "embedded" / "fashion_mnist_1000.npz"
TRAINING = EMBEDDED.with_name("fashion_mnist_train_512.npz")


@dataclass(frozen=True, slots=True)
class Preparation:
    """From pixels to what a network takes: bytes become [0, 1], then (x − mean) / std.

    Pictures are resized so that their shorter side has `resize` pixels and cropped in the middle
    to `crop` × `crop`; 0 leaves them. `mean` and `std` have a value a channel, or one for all;
    where three, grey pictures become RGB too.
    """

    resize: int = 0
    crop: int = 0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not all(map(isfinite, self.mean)):
            raise UsageError(f"--mean {_listed(self.mean)}: give finite numbers")
        if not all(isfinite(value) and value > 0 for value in self.std):
            raise UsageError(f"--std {_listed(self.std)}: give finite numbers above 0")

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


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Images in order, read when asked for: `read(start, stop)` gives (n, C, H, W) float32.

    They are for the model's one input, or for the one of the name `input`, of whatever shape and
    type it takes then; `arrays` (N, …) are for further inputs, and single numbers for all images.
    Labels are (N,), or of each place of an image (N, …); they may be from a file of another name.
    """

    name: str
    count: int
    read: Callable[[int, int], NDArray[Any]]
    labels: NDArray[np.int64] | None = None
    labels_name: str = ""
    input: str | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def first(self, count: int) -> "ImageSet":
        """The first images alone."""
        count = min(count, self.count)
        labels = None if self.labels is None else self.labels[:count]
        return replace(self, count=count, labels=labels)

    def after(self, count: int) -> "ImageSet":
        """The images without the first."""
        read = self.read
        return replace(
            self, count=max(0, self.count - count), read=lambda a, b: read(a + count, b + count),
            labels=None if self.labels is None else self.labels[count:],
            arrays={name: a[count:] if a.ndim else a for name, a in self.arrays.items()},
        )  # fmt: skip

    def fingerprint(self) -> Mapping[str, Any]:
        """The identity of images: how many, labels, some at each end as they are fed."""
        count, found = self.count, sha256()
        for start, stop in ((0, min(SAMPLED, count)), (max(0, count - SAMPLED), count)):
            found.update(self.read(start, stop).tobytes())
        found.update(b"" if self.labels is None else self.labels.tobytes())
        labels = self.labels is not None
        return {"count": count, "labels": labels, "sha256": found.hexdigest()}


def embedded() -> ImageSet:
    """The first 1,000 test images of Fashion-MNIST, pixels in [0, 1]."""
    return _npz(EMBEDDED, Preparation())


def embedded_training() -> ImageSet:
    """The first 512 training images of Fashion-MNIST, without labels: what calibrates."""
    return _npz(TRAINING, Preparation())


def load(
    path: Path, preparation: Preparation = Preparation(), labels: Path | None = None
) -> ImageSet:
    """The images of a file (.npz, .npy, idx, CIFAR's .bin) or of a folder. Raises DataError.

    .npz has `images` and perhaps `labels`, or an array (N, …) for each input of a model, which are
    fed as they are; beside an idx file its labels are found by MNIST's
    names. A folder holds the files of MNIST or CIFAR by their names, whose test images are taken
    before training images; or pictures; or a folder of pictures for each class, in alphabetical
    order. `labels`, an idx or .npy file, stands before all of these.
    """
    with naming(path):
        images = _load(path, preparation, own=labels is None)
    if labels is None:
        return images
    with naming(labels, "--labels"):
        return _labelled(images, _labels(labels), labels.name)


def _load(path: Path, preparation: Preparation, own: bool) -> ImageSet:
    """The images, with labels of their own or without."""
    if path.is_dir():
        files = standard(path)
        if not files:
            return _folder(path, preparation, own)
    elif path.exists() and not path.is_file():
        raise ValueError("it is neither a file nor a folder")
    else:
        files = [path]
    if files[0].suffix == ".npz":
        return _npz(path, preparation, own)
    if files[0].suffix == ".bin":
        images, classes = read_cifar(files)
        return _array(path.name, images, classes if own else None, preparation)
    array = open_npy(path) if path.suffix == ".npy" else read_idx(files[0])
    beside = labels_of(files[0]) if own else None
    found = _array(path.name, array, None, preparation)
    return _labelled(found, read_idx(beside), beside.name) if beside else found


def _labels(path: Path) -> NDArray[Any]:
    return read_npy(path) if path.suffix == ".npy" else read_idx(path)


def _npz(path: Path, preparation: Preparation, own: bool = True) -> ImageSet:
    arrays = read_npz(path)
    labels = arrays.pop("labels", None)
    classes = labels if own else None
    images = arrays.pop("images", None)
    if images is not None:
        found = _array(path.name, images, classes, preparation)
        return replace(found, arrays=_further(arrays, found.count))
    if preparation != Preparation():
        raise ValueError("arrays for inputs are fed as they are: leave --mean, --std, … out")
    name = next((name for name, array in arrays.items() if array.ndim), None)
    if name is None or not arrays[name].size:
        raise ValueError(f"it has no array 'images', but {', '.join(arrays)[:80] or 'none'}")
    first = arrays.pop(name)
    found = ImageSet(
        name=path.name, count=len(first), read=lambda a, b: first[a:b], input=name,
        arrays=_further(arrays, len(first)),
    )  # fmt: skip
    return _labelled(found, classes)


def _further(arrays: Mapping[str, NDArray[Any]], count: int) -> dict[str, NDArray[Any]]:
    for name, array in arrays.items():
        if array.ndim and len(array) != count:
            raise ValueError(
                f"'{name[:80]}' is for {len(array):,} images, the others for {count:,}"
            )
    return dict(arrays)


def _array(
    name: str,
    images: NDArray[Any] | Stored,
    labels: NDArray[Any] | None,
    preparation: Preparation,
) -> ImageSet:
    shape, kind = images.shape, images.dtype.kind
    if shape and not shape[0]:
        raise ValueError("it holds no images: give some")
    if len(shape) not in (3, 4) or not prod(shape) or kind not in "uif":
        raise ValueError(f"images are {images.dtype} of shape {shape}, not (N, C, H, W)")
    rows = images.rows if isinstance(images, Stored) else images.__getitem__

    def read(start: int, stop: int) -> NDArray[np.float32]:
        pixels = rows(slice(start, min(stop, shape[0])))
        return preparation(pixels if len(shape) == 4 else pixels[:, None])

    return _labelled(ImageSet(name=name, count=shape[0], read=read), labels)


def _labelled(images: ImageSet, labels: NDArray[Any] | None, name: str = "") -> ImageSet:
    """The images with labels, where any are given, from a file of the same name or this one."""
    if labels is None:
        return images
    if prod(labels.shape) == images.count:
        labels = labels.ravel()
    if labels.ndim == 0 or len(labels) != images.count or labels.dtype.kind not in "ui":
        raise ValueError(
            f"{labels.size:,} labels of type {labels.dtype} for {images.count:,} images: give a "
            "whole number for each"
        )
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high >= MOST_CLASSES:
        raise ValueError(f"labels go from {low} to {high}: give classes, counted from 0")
    return replace(images, labels=labels.astype(np.int64), labels_name=name)


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _folder(path: Path, preparation: Preparation, own: bool) -> ImageSet:
    files, labels = class_pictures(path)
    files = files or pictures(path)
    if not files:
        raise ValueError(f"no pictures in it ({', '.join(sorted(PICTURES))})")
    colour = 3 in (len(preparation.mean), len(preparation.std))

    def read(start: int, stop: int) -> NDArray[np.float32]:
        pixels = [
            read_picture(file, preparation.resize, preparation.crop, colour)
            for file in files[start:stop]
        ]
        if len({p.shape for p in pixels}) > 1:
            raise DataError(f"pictures of '{path}' differ in size: give --resize and --crop")
        return preparation(np.stack(pixels))

    found = ImageSet(name=path.name, count=len(files), read=read)
    return _labelled(found, np.array(labels)) if own and labels else found
