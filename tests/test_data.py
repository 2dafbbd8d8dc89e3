"""Image sets of every format, and what is refused."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from esnsim.images import sets as data
from esnsim.images.sets import IMAGENET, DataError, Preparation

PIXELS = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)


def idx(path: Path, array: np.ndarray, zipped: bool = False) -> Path:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    raw = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    return path


def records(*labels: int, hundred: bool = False, seed: int = 0) -> bytes:
    """CIFAR's: (coarse,) label, then the red, green and blue plane of 32×32."""
    rng = np.random.default_rng(seed)
    coarse = [b"\x13"] if hundred else [b""]
    return b"".join(
        coarse[0] + bytes([label]) + rng.integers(0, 256, 3072, np.uint8).tobytes()
        for label in labels
    )


def picture(path: Path, size: tuple[int, int] = (6, 4), colour: object = (255, 0, 51)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "RGB" if isinstance(colour, tuple) else "L"
    Image.new(mode, size, colour).save(path)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("names", ["images-idx3-ubyte", "images.idx3-ubyte"])
def test_labels_are_found_beside_an_idx_file(tmp_path: Path, zipped: bool, names: str) -> None:
    end = ".gz" if zipped else ""
    path = idx(tmp_path / f"train-{names}{end}", PIXELS, zipped)
    assert data.load(path).labels is None
    beside = names.replace("images", "labels").replace("idx3", "idx1")
    idx(tmp_path / f"train-{beside}", np.array([3, 1, 2, 0, 4]))
    found = data.load(path)
    assert found.labels.tolist() == [3, 1, 2, 0, 4]
    assert found.count == 5
    np.testing.assert_allclose(found.read(1, 3)[:, 0], PIXELS[1:3] / np.float32(255))


def test_of_a_folder_of_idx_files_the_test_images_are_taken(tmp_path: Path) -> None:
    idx(tmp_path / "train-images-idx3-ubyte", PIXELS)
    assert data.load(tmp_path).count == 5
    idx(tmp_path / "t10k-images-idx3-ubyte.gz", PIXELS[:2], True)
    idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.array([7, 8]), True)
    found = data.load(tmp_path)
    assert (found.name, found.count, found.labels.tolist()) == (tmp_path.name, 2, [7, 8])


@pytest.mark.parametrize("hundred", [False, True])
def test_cifar_is_read_in_its_binary_version(tmp_path: Path, hundred: bool) -> None:
    raw = records(4, 9, 0, hundred=hundred)
    for name in ("test.bin" if hundred else "test_batch.bin", "mine.bin"):
        path = tmp_path / name
        path.write_bytes(raw)
        found = data.load(path)
        assert found.labels.tolist() == [4, 9, 0]
        x = found.read(0, 3)
        assert x.shape == (3, 3, 32, 32)
        at = 3073 + hundred
        assert x[1, 0, 0, 1] == np.float32(raw[at + 1 + hundred + 1] / np.float32(255))
        assert x[1, 2, 31, 30] == np.float32(raw[at + 1 + hundred + 3070] / np.float32(255))


def test_of_a_folder_of_cifar_the_test_images_are_taken(tmp_path: Path) -> None:
    for i in range(1, 6):
        (tmp_path / f"data_batch_{i}.bin").write_bytes(records(i, seed=i))
    found = data.load(tmp_path)
    assert found.labels.tolist() == [1, 2, 3, 4, 5]
    assert found.read(4, 5).shape == (1, 3, 32, 32)
    (tmp_path / "test_batch.bin").write_bytes(records(8, 9))
    assert data.load(tmp_path).labels.tolist() == [8, 9]


def test_arrays_are_read_with_their_labels(tmp_path: Path) -> None:
    floats = np.random.default_rng(0).normal(size=(4, 2, 3, 5)).astype(np.float32)
    np.savez(tmp_path / "a.npz", images=floats, labels=np.array([1, 0, 2, 1]))
    np.savez(tmp_path / "b.npz", images=floats)
    np.save(tmp_path / "c.npy", floats)
    np.save(tmp_path / "labels.npy", np.array([3, 3, 0, 1], np.int16))
    assert data.load(tmp_path / "a.npz").labels.tolist() == [1, 0, 2, 1]
    assert data.load(tmp_path / "b.npz").labels is None
    for name in ("a.npz", "b.npz", "c.npy"):
        found = data.load(tmp_path / name, labels=tmp_path / "labels.npy")
        assert found.labels.tolist() == [3, 3, 0, 1]
        np.testing.assert_array_equal(found.read(1, 4), floats[1:4])
    assert data.load(tmp_path / "a.npz").first(2).labels.tolist() == [1, 0]


def test_folders_of_pictures_are_classes_in_alphabetical_order(tmp_path: Path) -> None:
    for name in ("dog/2.png", "cat/b.jpg", "cat/a.png", "cat/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            picture(tmp_path / name)
    found = data.load(tmp_path)
    assert found.labels.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.read(0, 1)[0, :, 0, 0], [1, 0, 0.2])


def test_bare_pictures_have_the_labels_that_are_given(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for name, grey in (("b.png", 255), ("a.png", 51)):
        picture(folder / name, colour=grey)
    found = data.load(folder)
    assert found.labels is None
    np.testing.assert_allclose(found.read(0, 2)[:, 0, 0, 0], [0.2, 1])
    assert found.read(0, 2).shape == (2, 1, 4, 6)
    labels = idx(tmp_path / "labels", np.array([6, 2]))
    assert data.load(folder, labels=labels).labels.tolist() == [6, 2]


def test_pictures_are_resized_cropped_and_normalised(tmp_path: Path) -> None:
    picture(tmp_path / "wide.png", (300, 100))
    picture(tmp_path / "high.png", (90, 400))
    some = Preparation(40, 32, (1.0, 0.0, 0.2), (0.5, 1.0, 0.1))
    x = data.load(tmp_path, some).read(0, 2)
    assert x.shape == (2, 3, 32, 32)
    np.testing.assert_allclose(x[:, :, 16, 16], [[0, 0, 0]] * 2, atol=1e-6)
    assert data.load(tmp_path, IMAGENET).read(0, 1).shape == (1, 3, 224, 224)


def test_grey_pictures_are_rgb_where_a_mean_is_of_three_channels(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", colour=51)
    picture(tmp_path / "b.png")
    assert data.load(tmp_path).read(0, 1).shape == (1, 1, 4, 6)
    x = data.load(tmp_path, Preparation(mean=(0.2, 0.0, 0.1))).read(0, 2)
    np.testing.assert_allclose(x[:, :, 2, 3], [[0, 0.2, 0.1], [0.8, 0, 0.1]], atol=1e-6)


def cut_off(folder: Path) -> Path:
    path = folder / "a.bin"
    path.write_bytes(records(1, 2)[:-1])
    return path


def one_batch_missing(folder: Path) -> Path:
    for i in (1, 2, 4, 5):
        (folder / f"data_batch_{i}.bin").write_bytes(records(i))
    return folder


def pickled(folder: Path) -> Path:
    np.save(folder / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return folder / "a.npy"


def lying(folder: Path) -> Path:
    path = folder / "a-images-idx3-ubyte"
    path.write_bytes(b"\0\0\x08\x03" + np.array([60000, 28, 28], ">u4").tobytes() + b"\1" * 100)
    return path


def garbled(folder: Path) -> Path:
    path = idx(folder / "a-images-idx3-ubyte.gz", PIXELS, True)
    raw = bytearray(path.read_bytes())
    raw[10] = 0xFF  # no type of block, behind gzip's header
    path.write_bytes(raw)
    return path


def absurd(folder: Path) -> Path:
    path = folder / "a-images-idx3-ubyte"
    path.write_bytes(b"\0\0\x08\x03" + np.array([1 << 31] * 3, ">u4").tobytes())
    return path


def without_images(folder: Path) -> Path:
    np.savez(folder / "a.npz", labels=np.arange(5))
    return folder / "a.npz"


def mismatched(folder: Path) -> Path:
    np.savez(folder / "a.npz", images=PIXELS, labels=np.arange(4))
    return folder / "a.npz"


def fractional(folder: Path) -> Path:
    np.savez(folder / "a.npz", images=PIXELS, labels=np.linspace(0, 1, 5))
    return folder / "a.npz"


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda folder: folder / "no.npz", "there is no '.*no.npz'"),
    "empty folder": (lambda folder: folder, "no pictures in it"),
    "CIFAR cut off": (cut_off, r"6,145 bytes, no multiple of CIFAR's records of 3073"),
    "CIFAR batch": (one_batch_missing, r"data_batch_5.bin it holds 4: add the others"),
    "pickle": (pickled, "a.npy' cannot be read: .*Python objects"),
    "idx that lies": (lying, "declares 47,040,000 bytes and holds 100"),
    "gzip": (garbled, "a-images-idx3-ubyte.gz' cannot be read: Error -3 while decompressing"),
    "idx that is absurd": (absurd, "declares the shape"),
    "no images": (without_images, "no array 'images', but none"),
    "labels": (mismatched, "4 labels of type int64 for 5 images"),
    "fractions": (fractional, "5 labels of type float64 for 5 images"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_a_line(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    with pytest.raises(DataError, match=message) as error:
        data.load(make(tmp_path))
    assert "\n" not in str(error.value)


def test_labels_of_another_set_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "p" / "a.png")
    labels = idx(tmp_path / "labels", np.array([6, 2]))
    with pytest.raises(DataError, match="/labels' cannot be read: 2 labels of type uint8 for 1 im"):
        data.load(tmp_path / "p", labels=labels)
    with pytest.raises(DataError, match=r"there is no '.*/none\.npy': check --labels"):
        data.load(tmp_path / "p", labels=tmp_path / "none.npy")


def test_labels_that_stand_before_others_are_named_and_those_are_not_looked_at(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=np.arange(4))
    labels = idx(tmp_path / "l", np.arange(5))
    found = data.load(tmp_path / "a.npz", labels=labels)
    assert (found.labels_name, found.labels.tolist()) == ("l", [0, 1, 2, 3, 4])


def test_pictures_that_cannot_be_read_or_differ_in_size_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", (8, 8))
    with pytest.raises(DataError, match="differ in size: give --resize and --crop"):
        data.load(tmp_path).read(0, 2)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"b\.png' cannot be read as a picture") as error:
        data.load(tmp_path).read(1, 2)
    assert "\n" not in str(error.value)


def test_means_for_other_channels_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="2 values of mean or std for 3 channels"):
        data.load(tmp_path, Preparation(mean=(0.1, 0.2))).read(0, 1)
