"""Training images by split: idx, CIFAR's binary version, folders of pictures; what is missing."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esnsim.errors import EsnsimError
from esnsim.training.data import read_images

RNG = np.random.default_rng(0)


def idx(folder: Path, zipped: bool) -> None:
    for part, count in (("train", 7), ("t10k", 3)):
        for kind, shape in (("images-idx3", (count, 5, 4)), ("labels-idx1", (count,))):
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            raw = header + (np.arange(np.prod(shape)) % 3).astype(np.uint8).tobytes()
            path = folder / f"{part}-{kind}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(raw) if zipped else raw)


def cifar(folder: Path, hundred: bool, count: int = 2) -> None:
    label = int(hundred)
    names = ["train.bin"] if hundred else [f"data_batch_{i}.bin" for i in range(1, 6)]
    for name in [*names, "test.bin" if hundred else "test_batch.bin"]:
        records = np.full((count, 3072 + 1 + hundred), 200, np.uint8)
        records[:, label] = (
            1 + np.arange(count) % 2
        )  # CIFAR-100's coarse label, 200 here, comes before
        records[:, 1 + label] = 7  # the first pixel of the red plane
        (folder / name).write_bytes(records.tobytes())


def pictures(folder: Path) -> None:
    for split in ("train", "val"):
        for label, mode, colour in (("cat", "RGB", (255, 0, 0)), ("dog", "L", 51)):
            (folder / split / label).mkdir(parents=True)
            for index in range(2):
                Image.new(mode, (300, 200 + index), colour).save(
                    folder / split / label / f"{index}.png"
                )


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_read_zipped_or_not(tmp_path: Path, zipped: bool) -> None:
    idx(tmp_path, zipped)
    train, test = (read_images(tmp_path, split) for split in ("train", "test"))
    assert (train.images.shape, test.images.shape) == ((7, 1, 5, 4), (3, 1, 5, 4))
    assert train.images[0, 0, 0].tolist() == [0, 1, 2, 0]
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert (train.classes, len(train.first(2).images)) == (3, 2)


@pytest.mark.parametrize("hundred", [False, True])
def test_cifar_is_read_in_its_binary_version(tmp_path: Path, hundred: bool) -> None:
    cifar(tmp_path, hundred)
    train, test = (read_images(tmp_path, split) for split in ("train", "test"))
    assert train.images.shape == ((2 if hundred else 10), 3, 32, 32)
    assert test.labels.tolist() == [1, 2]
    assert (test.images[0, 0, 0, :2].tolist(), test.images[0, 2, 31, 31]) == ([7, 200], 200)


def test_folders_of_pictures_are_classes_in_alphabetical_order(tmp_path: Path) -> None:
    pictures(tmp_path)
    test = read_images(tmp_path, "test")
    assert test.images.shape == (4, 3, 224, 224)
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert test.images[0, :, 0, 0].tolist() == [255, 0, 0]
    assert test.images[2, :, 223, 0].tolist() == [51, 51, 51]  # grey ones are RGB too


def without_labels(folder: Path) -> None:
    idx(folder, True)
    (folder / "train-labels-idx1-ubyte.gz").unlink()


def no_training(folder: Path) -> None:
    idx(folder, False)
    (folder / "train-images-idx3-ubyte").unlink()


def other_labels(folder: Path) -> None:
    idx(folder, False)
    (folder / "t10k-labels-idx1-ubyte").replace(folder / "train-labels-idx1-ubyte")


def cut_short(folder: Path) -> None:
    cifar(folder, False)
    (folder / "data_batch_3.bin").write_bytes(bytes(3072))


def one_batch_missing(folder: Path) -> None:
    cifar(folder, False)
    (folder / "data_batch_3.bin").unlink()


def test_cifar_is_told_by_its_names_and_not_by_its_size(tmp_path: Path) -> None:
    cifar(tmp_path, False, count=3074)  # as many bytes as 3073 records of CIFAR-100
    assert read_images(tmp_path, "test").images.shape == (3074, 3, 32, 32)
    (tmp_path / "test_batch.bin").write_bytes(bytes(3074))
    with pytest.raises(EsnsimError, match=r"test_batch\.bin' cannot be read: it has 3,074 bytes"):
        read_images(tmp_path, "test")


def no_picture(folder: Path) -> None:
    pictures(folder)
    (folder / "train" / "cat" / "0.png").write_bytes(b"not a picture")


def damaged_idx(folder: Path) -> None:
    idx(folder, False)
    (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda folder: None, "there are no train images in '.*': give a folder with the"),
    "test alone": (no_training, "there are no train images in"),
    "labels": (without_labels, r"there are no labels beside '.*train-images-idx3-ubyte\.gz': add"),
    "other labels": (
        other_labels,
        r"shape \(7, 5, 4\) and 'train-labels-.*' labels of shape \(3,\)",
    ),
    "batch": (
        one_batch_missing,
        r"of data_batch_1.*, data_batch_5\.bin it holds 4: add the others",
    ),
    "short": (cut_short, r"data_batch_3\.bin' cannot be read: it has 3,072 bytes, no multiple of"),
    "picture": (no_picture, r"0\.png' cannot be read as a picture"),
    "idx": (damaged_idx, r"train-images-idx3-ubyte' cannot be read: an idx file that declares"),
    "empty": (lambda f: (f / "train").mkdir(), r"train' has no class folders with pictures"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_missing_or_damaged_is_named(case: str, tmp_path: Path) -> None:
    make, message = BAD[case]
    make(tmp_path)
    with pytest.raises(EsnsimError, match=message):
        read_images(tmp_path, "train")
