"""Training and test images as bytes in memory: MNIST's idx files, CIFAR, folders of pictures.

`esnsim.images.sets` reads sets of images for inference; this reads both halves of a data set.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esnsim.images.files import (
    Bytes,
    DataError,
    class_pictures,
    labels_of,
    naming,
    read_cifar,
    read_idx,
    read_picture,
    standard,
)
from esnsim.images.sets import IMAGENET

FOLDERS = {"train": "train", "test": "val"}


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images (N, C, H, W), uint8, and their labels (N,) from 0 on."""

    images: Bytes
    labels: NDArray[np.int64]

    def first(self, count: int | None) -> "ImageSet":
        """The first `count` images, or all."""
        return ImageSet(self.images[:count], self.labels[:count])

    @property
    def classes(self) -> int:
        """Number of classes, by the largest label."""
        return int(self.labels.max()) + 1


def read_images(folder: Path, split: str) -> ImageSet:
    """The `train` or `test` images of a folder, by the files that lie in it.

    idx files of MNIST's names, gzipped or not; CIFAR-10 or CIFAR-100, binary version; or folders
    train/CLASS and val/CLASS of pictures, prepared as for ImageNet. Raises DataError where files
    are missing or damaged.
    """
    if (folder / FOLDERS[split]).is_dir():
        return _read_pictures(folder / FOLDERS[split])
    with naming(folder):
        files = standard(folder, [split])
    if not files:
        raise DataError(
            f"there are no {split} images in '{folder}': give a folder with the idx files of MNIST "
            "or Fashion-MNIST, with CIFAR's .bin files, or with train/CLASS and val/CLASS of "
            "pictures"
        )
    if files[0].suffix == ".bin":
        images, labels = read_cifar(files)
        return ImageSet(images, labels.astype(np.int64))
    return _read_idx(files[0])


def _read_idx(path: Path) -> ImageSet:
    beside = labels_of(path)
    if beside is None:
        raise DataError(f"there are no labels beside '{path}': add their idx file")
    images, labels = read_idx(path), read_idx(beside)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"'{path}' holds images of shape {images.shape} and '{beside.name}' labels of shape "
            f"{labels.shape}: get both again"
        )
    return ImageSet(images[:, None], labels.astype(np.int64))


def _read_pictures(folder: Path) -> ImageSet:
    files, labels = class_pictures(folder)
    if not files:
        raise DataError(f"'{folder}' has no class folders with pictures in them: add them")
    images = np.empty((len(files), 3, IMAGENET.crop, IMAGENET.crop), np.uint8)
    for image, path in zip(images, files, strict=True):
        image[:] = read_picture(path, IMAGENET.resize, IMAGENET.crop, colour=True)
    return ImageSet(images, np.array(labels))
