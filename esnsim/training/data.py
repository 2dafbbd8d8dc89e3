"""Training and test images as bytes in memory: MNIST's idx files, CIFAR, folders of images.

`esnsim.data` reads sets of images for inference; this reads both halves of a data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esnsim.data import DataError, read_idx
from esnsim.errors import EsnsimError

Bytes = NDArray[np.uint8]
CROP = 224  # height and width of images from folders
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
#: name of the split -> files; CIFAR-100 has a coarse label before the fine one
CIFAR10 = {
    "train": [f"data_batch_{i}.bin" for i in range(1, 6)],
    "test": ["test_batch.bin"],
}
CIFAR100 = {"train": ["train.bin"], "test": ["test.bin"]}
IDX = {"train": "train", "test": "t10k"}
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
    train/CLASS and val/CLASS of images. Raises EsnsimError where files are missing or damaged.
    """
    if (folder / FOLDERS[split]).is_dir():
        return _read_folder(folder / FOLDERS[split])
    if any((folder / name).exists() for name in CIFAR10["train"] + CIFAR10["test"]):
        return _read_cifar([folder / name for name in CIFAR10[split]], labels=1)
    if any((folder / name).exists() for names in CIFAR100.values() for name in names):
        return _read_cifar([folder / name for name in CIFAR100[split]], labels=2)
    images = _idx(_present(folder / f"{IDX[split]}-images-idx3-ubyte"))
    labels = _idx(_present(folder / f"{IDX[split]}-labels-idx1-ubyte"))
    return _checked(images[:, None], labels, folder)


def _idx(path: Path) -> Bytes:
    try:
        return read_idx(path)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"'{path}' is no idx file of bytes, or a damaged one: {error}") from None


def _read_cifar(paths: Sequence[Path], labels: int) -> ImageSet:
    """Records of `labels` label bytes, the last one counts, and 3×32×32 pixels."""
    rows = []
    for path in paths:
        raw = np.frombuffer(_present(path).read_bytes(), np.uint8)
        if not len(raw) or len(raw) % (labels + 3072):
            raise EsnsimError(
                f"'{path}' has {len(raw)} bytes, no multiple of a record of {labels + 3072}: "
                "get CIFAR's binary version again"
            )
        rows.append(raw.reshape(-1, labels + 3072))
    table = np.concatenate(rows)
    return ImageSet(table[:, labels:].reshape(-1, 3, 32, 32), table[:, labels - 1].astype(np.int64))


def _read_folder(folder: Path) -> ImageSet:
    """Class folders of images: the shorter side to 256/224 of the crop, the middle cut out."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted(name.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    if not files:
        raise EsnsimError(f"'{folder}' has no class folders with images ({', '.join(SUFFIXES)})")
    images = np.stack([_read_image(path) for path, _ in files])
    return ImageSet(images, np.array([label for _, label in files]))


def _read_image(path: Path) -> Bytes:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise EsnsimError("folders of images need Pillow: pip install pillow") from None
    try:
        with Image.open(path) as image:
            side = round(CROP * 256 / 224)
            scaled = ImageOps.fit(image.convert("RGB"), (side, side))
            margin = (side - CROP) // 2
            cut = scaled.crop((margin, margin, margin + CROP, margin + CROP))
            return np.asarray(cut).transpose(2, 0, 1)
    except (OSError, Image.DecompressionBombError) as error:
        raise EsnsimError(f"'{path}' cannot be read as an image ({error})") from None


def _checked(images: Bytes, labels: Bytes, folder: Path) -> ImageSet:
    if images.ndim != 4 or labels.ndim != 1 or len(images) != len(labels):
        raise EsnsimError(
            f"the idx files in '{folder}' hold images of shape {images.shape} and labels of shape "
            f"{labels.shape}: get both again"
        )
    return ImageSet(images, labels.astype(np.int64))


def _present(path: Path) -> Path:
    """The file, or the same with .gz."""
    zipped = path.with_name(path.name + ".gz")
    for candidate in (path, zipped):
        if candidate.is_file():
            return candidate
    raise EsnsimError(
        f"there is no '{path}' (nor {zipped.name}): give a folder with the idx files of MNIST or "
        "Fashion-MNIST, with CIFAR's .bin files, or with train/CLASS and val/CLASS of images"
    )
