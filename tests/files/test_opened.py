"""A file that changes while it is read: one line, whatever is read of it and whenever."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from esnsim import EsnsimError, cost, quantize, read_onnx
from esnsim.files.opened import BLOCK, TAG_BYTES, open_file
from esnsim.images.sets import load
from esnsim.onnxfile.wire import skeleton
from tests.importer.models import model, ramp


def cut(path: Path) -> None:
    os.truncate(path, 10)


def overwritten(path: Path) -> None:
    """Other bytes, as many."""
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(0, 0))  # clocks are coarse


EXTERNAL = {True: {"save_as_external_data": True, "location": "m.data"}, False: {}}
CHANGES = (cut, overwritten)
changed = pytest.raises(EsnsimError, match=r"^'.*' was changed while it was read: run again when")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("external", [False, True])
def test_a_model_that_changes_after_it_was_opened(
    tmp_path: Path, change: Callable[[Path], None], external: bool
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model("y = Conv(x, w)", w=ramp(64, 3, 3, 3)), path, **EXTERNAL[external])
    network = read_onnx(path)
    change(tmp_path / "m.data" if external else path)
    with changed:
        cost(quantize(network))


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_changes_between_being_opened_and_scanned(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model("y = Conv(x, w)", w=ramp(64, 3, 3, 3)), path)
    file = open_file(path)
    change(path)
    with changed:
        skeleton(file)


def test_external_data_that_is_replaced_is_not_read_for_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model("y = Conv(x, w)", w=ramp(64, 3, 3, 3)), path, **EXTERNAL[True])
    network = read_onnx(path)
    data = (tmp_path / "m.data").read_bytes()
    (tmp_path / "other").write_bytes(data)
    os.replace(tmp_path / "other", tmp_path / "m.data")
    with changed:
        network.layers[0].weight.load()


def test_a_model_that_is_replaced_is_still_the_one_that_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model("y = Conv(x, w)", w=ramp(64, 3, 3, 3)), path)
    network = read_onnx(path)
    (tmp_path / "other").write_bytes(b"another")
    os.replace(tmp_path / "other", path)
    np.testing.assert_array_equal(network.layers[0].weight.load(), ramp(64, 3, 3, 3))


@pytest.mark.parametrize("change", CHANGES)
def test_images_that_change(tmp_path: Path, change: Callable[[Path], None]) -> None:
    np.save(tmp_path / "x.npy", np.ones((50, 1, 6, 5), np.float32))
    images = load(tmp_path / "x.npy")
    assert images.read(0, 2).shape == (2, 1, 6, 5)
    change(tmp_path / "x.npy")
    with changed:
        images.read(2, 4)


@pytest.mark.parametrize("order", ["C", "F"])
def test_images_are_read_row_by_row_in_either_order(tmp_path: Path, order: str) -> None:
    pixels = ramp(7, 2, 3, 4).copy(order)
    np.save(tmp_path / "x.npy", pixels)
    images = load(tmp_path / "x.npy")
    for start, stop in ((0, 3), (3, 7), (5, 9)):
        np.testing.assert_array_equal(images.read(start, stop), pixels[start:stop])


def test_blocks_hold_what_lies_there_to_the_last_byte(tmp_path: Path) -> None:
    data = np.arange(2 * BLOCK + 5, dtype=np.uint32).astype(np.uint8).tobytes()
    (tmp_path / "f").write_bytes(data)
    file = open_file(tmp_path / "f")
    for at in (0, 5, BLOCK - 3, BLOCK, 3, 2 * BLOCK + 4, len(data) - 1):
        block, start = file.block(at)
        wanted = data[at : at + TAG_BYTES]
        assert bytes(block[at - start :][: len(wanted)]) == wanted


def test_filters_are_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    nodes = "a = Conv(x, w) f = Flatten(a) y = Gemm<transB=1>(f, v)"
    onnx.save(model(nodes, w=ramp(64, 3, 3, 3), v=ramp(8, 768)), path)
    for layer in read_onnx(path).layers:
        whole = layer.weight.load()
        rows = layer.weight.load.rows(slice(3, 7))  # type: ignore[attr-defined]
        np.testing.assert_array_equal(rows, whole[3:7])
