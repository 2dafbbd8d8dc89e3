"""Small files that strangers wrote: one line or the right answer, in bounded time and memory.

Each kind is damaged 150 times, always in the same ways; models in `tests/test_mutations.py`.
"""

import gzip
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from esnsim import EsnsimError
from esnsim.compression.allocate.targets import read_targets
from esnsim.images.sets import Preparation, load
from esnsim.machines.presets import read_array
from esnsim.quantization.files import read_values
from esnsim.sweeps.results import Results
from esnsim.training.history import as_csv
from tests.bad_input.damage import refusals
from tests.commandline import esnsim, refused
from tests.compress.points import baseline, point
from tests.compress.test_targets import history

MODEL = "builtin:resnet8"
TOML = b"""[digital]
rows = 8
lanes = 16
e_bit = "50fJ"
"""
YAML = b"digital:\n  rows: 8\n  lanes: 16\n  e_bit: 50fJ\n"
WIDTHS = json.dumps({"first": 4, "second": [1, 2, 3]}).encode()
TABLE = b"layer,bits\nfirst,4\nsecond,1 2 3\n"
EPOCHS = as_csv(history()).encode()
ANALOG = b"""analog:
  preset: isaac
  adc_bits: 7
  adc_range: calibrated
  read_noise: 0.002
"""


def saved(save: Callable[..., None], *values: object, **arrays: object) -> bytes:
    """What numpy writes."""
    file = io.BytesIO()
    save(file, *values, **arrays)
    return file.getvalue()


def first_image(path: Path) -> object:
    return load(path).read(0, 1)


IMAGES = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
IDX = bytes([0, 0, 8, 3]) + struct.pack(">3I", *IMAGES.shape) + IMAGES.tobytes()
READERS = {
    "m.toml": (TOML, read_array),
    "m.yaml": (YAML, read_array),
    "m.yml": (ANALOG, read_array),
    "w.json": (WIDTHS, lambda path: read_values(path, "width")),
    "w.csv": (TABLE, lambda path: read_values(path, "width")),
    "w.npz": (saved(np.savez, a=[1, 2], b=4), lambda path: read_values(path, "width")),
    "t.csv": (EPOCHS, read_targets),
    "x.npy": (saved(np.save, IMAGES), first_image),
    "x.npz": (saved(np.savez, images=IMAGES, labels=[0, 1, 2]), first_image),
    "compressed.npz": (saved(np.savez_compressed, ids=IMAGES, mask=[1, 2, 3]), first_image),
    "x-idx3-ubyte": (IDX, first_image),
    "x-idx3-ubyte.gz": (gzip.compress(IDX, mtime=0), first_image),
    "test_batch.bin": (bytes(range(7)) * 439 * 2, first_image),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_in_a_line(name: str, tmp_path: Path) -> None:
    data, read = READERS[name]
    (tmp_path / name).write_bytes(data)
    read(tmp_path / name)  # as it was, it is read
    assert 10 < len(refusals(tmp_path / name, data, read)) <= 150


@pytest.mark.parametrize("checked", [True, False])
def test_damaged_results_are_left_alone_or_hold_what_was_written(
    checked: bool, tmp_path: Path
) -> None:
    path, binding = tmp_path / "r.jsonl", {"images": {"count": 3}, "options": {}}
    points = [point(1000 * n, n / 10, 0.25, n) for n in range(1, 5)]
    with Results(path, binding) as results:
        for each in (baseline(), *points):
            results.add(each)
    data = path.read_bytes()
    if not checked:  # as versions before 0.2 wrote them
        records = [json.loads(line) for line in data.splitlines()]
        data = b"".join(
            json.dumps({k: v for k, v in r.items() if k != "crc32"}).encode() + b"\n"
            for r in records
        )

    def read(path: Path) -> None:
        before = path.read_bytes()
        try:
            with Results(path, binding, resume=True) as results:
                assert not checked or all(each in points for each in results.points.values())
        except EsnsimError:
            assert path.read_bytes() == before
            raise

    said = refusals(path, data, read)
    assert 10 < len(said) < 150
    assert all("r.jsonl" in each for each in said)


def picture(form: str) -> bytes:
    """A picture of some colours."""
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)
    image.fromarray(pixels).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["png", "jpeg", "bmp", "tiff"])
def test_damaged_pictures_in_a_folder_are_read_or_refused_by_name(
    form: str, tmp_path: Path
) -> None:
    data = picture(form)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        (tmp_path / label / f"a.{form}").write_bytes(data)
    said = refusals(tmp_path / "dog" / f"a.{form}", data, lambda path: load(tmp_path).read(0, 2))
    assert len(said) > 10
    assert all(f"dog/a.{form}' cannot be" in each or "differ in size" in each for each in said)


def declared(width: int, height: int) -> bytes:
    """The header of a PNG of so many pixels, and nothing behind it."""
    body = b"IHDR" + struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def bitmap(width: int, height: int) -> bytes:
    """The same of a BMP."""
    header = struct.pack("<3I2H6I", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<3I", 54, 0, 54) + header


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.png", declared(60_000, 60_000), "cannot be read as a picture"),
        ("a.bmp", bitmap(1 << 13, (1 << 13) + 1), "8,192 × 8,193 pixels, and"),
        ("a.png", declared(100, 100), "cannot be read as a picture"),
        ("x-idx3-ubyte.gz", gzip.compress(IDX[:4] + struct.pack(">3I", 1 << 14, 1 << 8, 1 << 8)),
         "it unpacks to 1,073,741,824 bytes, over 100 times its own size"),
    ],
    ids=["no end of pixels", "a pixel too many", "nothing behind it", "gzip"],
)  # fmt: skip
def test_what_a_header_alone_declares_is_not_allocated(
    name: str, data: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    pytest.importorskip("PIL.Image")
    source = path if name.endswith("gz") else tmp_path
    [message] = refusals(path, data, lambda _: load(source).read(0, 1), times=0)
    assert said in message


def npy(shape: str, descr: str = "'<f4'", body: bytes = bytes(784 * 4)) -> bytes:
    """An .npy file whose header says so."""
    return headed(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}", body)


def headed(header: str, body: bytes = b"", version: int = 1, length: int | None = None) -> bytes:
    """An .npy file of any header, and of any length of it."""
    size = struct.pack("<H" if version == 1 else "<I", len(header) if length is None else length)
    return b"\x93NUMPY" + bytes((version, 0)) + size + header.encode() + body


HEADERS: dict[str, tuple[bytes, str]] = {
    "more than is there": (npy("(100000, 1, 28, 28)"), "declares 313,600,000 bytes and holds"),
    "a terabyte": (npy("(1099511627776, 1, 28, 28)"), ""),
    "beyond 64 bits": (npy(f"({10**30}, 1, 28, 28)"), ""),
    "a product beyond 64 bits": (npy("(4294967296, 4294967296, 28, 28)"), ""),
    "a negative size": (npy("(-1, 1, 28, 28)"), "a shape that no array has"),
    "two negative sizes": (npy("(-1, -1, 28, 28)"), "a shape that no array has"),
    "a hundred axes": (npy(f"({'1, ' * 100})", body=bytes(4)), ""),
    "a fraction": (npy("(1.0, 1, 28, 28)"), ""),
    "elements of no size": (npy("(1073741824, 1, 28, 28)", "'|V0'", b""), ""),
    "elements of great size": (npy("(1,)", "('<f4', (1000000, 1000000))"), ""),
    "objects": (npy("(1, 1, 28, 28)", "'|O'"), "Python objects"),
    "a record": (npy("(1, 1, 28, 28)", "[('a', '<f2'), ('b', '<f2')]"), ""),
    "dates": (npy("(1, 1, 14, 28)", "'<M8[s]'"), ""),
    "brackets": (headed("(" * 900), ""),
    "braces": (headed("{" * 900), ""),
    "a sum": (headed("1" + "+1j" * 3000), ""),
    "signs": (headed("-" * 9000 + "1"), ""),
    "nothing": (headed("{}"), ""),
    "a long header": (headed("{", length=60_000), ""),
    "a header of gigabytes": (headed("{", version=2, length=4_000_000_000), ""),
    "an unknown version": (headed("{}", version=9), "version (9, 0)"),
}


@pytest.mark.parametrize("form", ["npy", "npz", "widths"])
@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_arrays_are_refused_in_a_line(name: str, form: str, tmp_path: Path) -> None:
    data, said = HEADERS[name]
    path = tmp_path / f"a.{form[:3].replace('wid', 'npz')}"
    if form != "npy":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("images.npy", data)
        data = file.getvalue()
    read = READERS["w.npz"][1] if form == "widths" else first_image
    [message] = refusals(path, data, read, times=0)
    assert said in message


def test_a_crop_beyond_the_picture_is_refused(tmp_path: Path) -> None:
    """It would be filled up to 30 GB of black."""
    (tmp_path / "a.png").write_bytes(picture("png"))
    crop = Preparation(crop=100_000)
    read = load(tmp_path, crop).read
    [message] = refusals(tmp_path / "a.png", picture("png"), lambda _: read(0, 1), times=0)
    assert "a.png' has 7 × 9 pixels: --crop 100000 is more" in message


@pytest.mark.parametrize("option", ["--bits-per-filter", "--step"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_read(option: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    refused(esnsim("cost", MODEL, option, path), "it is no regular file", code=1)


@pytest.mark.parametrize("place", ["digital:\n  rows: {}\n", "{}: 1\n", "digital: [[{}]]\n"])
@pytest.mark.parametrize("number", ["0x" + "f" * 20_000, "0b1" + "0" * 60_000, "1:" * 9000 + "1"])
def test_integers_without_end_are_refused(number: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(place.format(number))
    ended = esnsim("simulate", MODEL, "--array", tmp_path / "m.yaml")
    refused(ended, "m.yaml' is no YAML file", code=1)
    assert len(ended.err) < 1000
    (tmp_path / "m.toml").write_text(f"[digital]\nrows = {number}\n")
    refused(esnsim("simulate", MODEL, "--array", tmp_path / "m.toml"), "is no TOML file", code=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("digital: &a\n  rows: 8\nother: *a\n", "it has an alias"),
        ("digital:\n  rows: 8\n  rows: 9\n", "'rows' stands there twice"),
        ("a: " * 40_000, "it is larger than 65,536 bytes"),
    ],
)
def test_yaml_is_read_strictly(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(text)
    refused(esnsim("simulate", MODEL, "--array", tmp_path / "m.yaml"), said, code=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--csv", "-o", "c.json"), "--csv and 'c.json'"),
        (("--json", "-o", "c.csv"), "--json and 'c.csv'"),
        (("--bits", "4", "--bits-per-filter", "3"), "both say a width"),
        (("--alpha", "2"), "give --step filter-sigma too"),
    ],
)
def test_options_that_say_two_things_are_refused(words: tuple[str, ...], said: str) -> None:
    refused(esnsim("cost", MODEL, *words), said, code=2)
