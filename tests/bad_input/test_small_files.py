"""Small files that strangers wrote: one line or the right answer, in bounded time and memory."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from esnsim import EsnsimError
from esnsim.compression.allocate.targets import read_targets
from esnsim.images.sets import load
from esnsim.machines.presets import read_machine
from esnsim.quantization.files import read_values
from esnsim.training.history import as_csv
from tests.commandline import esnsim, refused
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
READERS = {
    "m.toml": (TOML, read_machine),
    "m.yaml": (YAML, read_machine),
    "w.json": (WIDTHS, lambda path: read_values(path, "width")),
    "w.csv": (TABLE, lambda path: read_values(path, "width")),
    "t.csv": (EPOCHS, read_targets),
}
PIECES = (
    b"", b"\0", b"\xff", b"[", b"]", b"{", b"}", b":", b"*a", b"&a ", b"nan", b"inf", b"-1", b'"',
    b"\n", b"true", b"null", b"1e999", b"9" * 400, b"0x" + b"f" * 5000, b"1:" * 300,
)  # fmt: skip


def damaged(data: bytes, seed: int) -> bytes:
    """The bytes with up to three pieces put in, left out or changed."""
    rng, found = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randrange(len(found) + 1), rng.choice((0, 1, 3, 20))
        found[at : at + size] = rng.choice(PIECES)
    return bytes(found)


def refusals(path: Path, data: bytes, read: Callable[[Path], object]) -> list[str]:
    """What is said of 150 damaged files; nothing but an EsnsimError is raised."""
    said = []
    for seed in range(150):
        path.write_bytes(damaged(data, seed))
        try:
            read(path)
        except EsnsimError as error:
            said.append(str(error))
    assert max(map(len, said)) < 2000
    return said


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_in_a_line(name: str, tmp_path: Path) -> None:
    data, read = READERS[name]
    (tmp_path / name).write_bytes(data)
    read(tmp_path / name)  # as it was, it is read
    assert 20 < len(refusals(tmp_path / name, data, read)) < 150


@pytest.mark.parametrize("kind", ["npz", "npy", "idx"])
def test_damaged_images_are_read_or_refused_in_a_line(kind: str, tmp_path: Path) -> None:
    path, images = tmp_path / f"x.{kind}", np.zeros((3, 1, 4, 5), np.float32)
    if kind == "npz":
        np.savez(path, images=images, labels=[0, 1, 2])
    elif kind == "npy":
        np.save(path, images)
    else:
        path = tmp_path / "x-idx3-ubyte"
        path.write_bytes(bytes([0, 0, 8, 3]) + b"\0\0\0\3\0\0\0\4\0\0\0\5" + bytes(60))
    load(path).read(0, 1)  # as it was, it is read
    said = refusals(path, path.read_bytes(), lambda each: load(each).read(0, 1))
    assert 20 < len(said) < 150


@pytest.mark.parametrize("option", ["--bits-per-filter", "--step"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_read(option: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    refused(esnsim("cost", MODEL, option, path), "it is no regular file", code=1)


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
