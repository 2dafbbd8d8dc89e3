"""Files of widths and steps that are wrong."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from esnsim import Scheme, WidthError, quantize
from esnsim.quantization import files
from esnsim.quantization.files import read_values
from tests.commandline import esnsim, refused
from tests.networks import chain
from tests.samples import one_layer

RANGE = "use whole numbers from 0 (pruned) to 16"
KIND = "the width of layer 'conv' is no number or list of numbers: got "


def refused_widths(folder: Path, name: str, content: bytes, *said: str) -> None:
    """A file of widths is refused."""
    path = folder / name
    path.write_bytes(content)
    refused(esnsim("cost", one_layer(folder), "--bits-per-filter", path), *said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"con": 4}',
            "widths are given for 'con', which no layer or weight is called: the layers",
        ),
        ('{"conv": [4, 4]}', "layer 'conv' has 4 filters but 2 widths are given"),
        ('{"conv": []}', "layer 'conv' has 4 filters but 0 widths are given"),
        ('{"conv": -1}', f"layer 'conv' is given the width -1: {RANGE}"),
        ('{"conv": [1, 2, 3, 17]}', f"layer 'conv' is given the width 17: {RANGE}"),
        ('{"conv": 2.5}', f"layer 'conv' is given the width 2.5: {RANGE}"),
        ('{"conv": 1e400}', f"layer 'conv' is given the width inf: {RANGE}"),
        ('{"conv": NaN}', f"layer 'conv' is given the width nan: {RANGE}"),
        ('{"conv": "4"}', f"{KIND}'4'"),
        ('{"conv": {"w": 4}}', f"{KIND}{{'w': 4}}"),
        ('{"conv": [[4, 4], [4, 4]]}', f"{KIND}[[4, 4], [4, 4]]"),
        ('{"conv": [4, [4], 4, 4]}', f"{KIND}[4, [4], 4, 4]"),
        ('{"conv": [4, null, 4, 4]}', f"{KIND}[4, None, 4, 4]"),
        ('{"conv": true}', f"{KIND}True"),
        ('{"conv": null}', f"{KIND}None"),
        ('{"conv": 1' + 400 * "0" + "}", f"{KIND}1000"),
        (
            '{"conv": 4, "conv": 5}',
            "cannot be read as widths: 'conv' stands there twice: leave one",
        ),
        ('{"conv": 4', "cannot be read as widths: Expecting"),
        ("", "cannot be read as widths: Expecting value"),
        ("[4]", "cannot be read as widths: it holds no object of layer name: width"),
        (100_000 * "[", "cannot be read as widths: "),
        ('{"schema": "esnsim.cost/1"}', "it is no report of esnsim cost, whose layers have 'bits_"),
        ('{"schema": "", "layers": [{"name": "conv"}]}', "it is no report of esnsim cost, whose"),
    ],
)
def test_a_bad_json_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    refused_widths(tmp_path, "bits.json", content.encode(), said)


def test_a_json_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    said = "cannot be read as widths: 'utf-8' codec can't decode"
    refused_widths(tmp_path, "bits.json", b'{"\xff": 4}', said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("conv,4\n", "cannot be read as widths: it has no header with 'layer' and 'bits'"),
        ("", "cannot be read as widths: it has no header with 'layer' and 'bits'"),
        ("layer,bits\nconv,four\n", "could not convert string to float: 'four'"),
        ("layer,bits\nconv,\n", "layer 'conv' has 4 filters but 0 widths are given"),
        ("layer,bits\nconv\n", "layer 'conv' has 4 filters but 0 widths are given"),
        ("layer,bits\nconv,4 4 4\n", "layer 'conv' has 4 filters but 3 widths are given"),
        ("layer,bits\nconv,null\n", f"{KIND}None"),
        ("layer,bits\nconv," + 200_000 * "4", "cannot be read as widths: field larger than"),
    ],
)
def test_a_bad_csv_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    refused_widths(tmp_path, "bits.csv", content.encode(), said)


def test_an_npz_file_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bits.npz"
    np.savez(path, conv=np.array([{"a": 1}], object))
    said = f"'{path}' cannot be read as widths: its member 'conv.npy' is no array: it holds Python"
    refused_widths(tmp_path, "bits.npz", path.read_bytes(), said)


def test_an_npz_file_that_unpacks_to_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files.LARGEST_BYTES == 1 << 28
    monkeypatch.setattr(files, "LARGEST_BYTES", 1 << 20)
    path = tmp_path / "bits.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv.npy", bytes((1 << 20) + 1))
    assert path.stat().st_size < 1 << 12
    said = "cannot be read as widths: it unpacks to more than 1,048,576 bytes"
    refused_widths(tmp_path, "bits.npz", path.read_bytes(), said)


@pytest.mark.parametrize("length", [0, 10, 100, 200])
def test_an_npz_file_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    np.savez(tmp_path / "bits.npz", conv=np.array([1, 2, 3, 4]))
    content = (tmp_path / "bits.npz").read_bytes()[:length]
    refused_widths(tmp_path, "bits.npz", content, "cannot be read as widths: ")


def test_an_array_that_declares_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,)}\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "bits.npz", "w") as archive:
        archive.writestr("conv.npy", array)
    content = (tmp_path / "bits.npz").read_bytes()
    refused_widths(tmp_path, "bits.npz", content, "cannot be read as widths: ")


@pytest.mark.parametrize("name", ["bits.json", "bits.csv", "bits.npz"])
def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    words = ("cost", one_layer(tmp_path), "--bits-per-filter", path)
    refused(esnsim(*words), f"there is no file '{path}': check the path")
    path.mkdir()
    refused(esnsim(*words), f"'{path}' cannot be read as widths: ", "Is a directory")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bits.json"
    with path.open("wb") as file:
        file.truncate((1 << 28) + 1)
    refused(
        esnsim("cost", one_layer(tmp_path), "--bits-per-filter", path),
        "cannot be read as widths: it is larger than 268,435,456 bytes",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"conv": 0}', "layer 'conv' is given the step 0: use positive numbers"),
        ('{"conv": [1, -1, 1, 1]}', "layer 'conv' is given the step -1: use positive numbers"),
        ('{"conv": Infinity}', "layer 'conv' is given the step inf: use positive numbers"),
        ('{"conv": [1, 1, null, 1]}', "layer 'conv' is given no step for a filter with weights"),
        ("{}", "no step is given for layer 'conv': add it, or name a rule"),
        ('{"conv": 1e-9}', "needs codes of more than 16 bits at its step: give a larger step"),
    ],
)
def test_a_bad_file_of_steps_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "steps.json"
    path.write_text(content)
    refused(esnsim("cost", one_layer(tmp_path), "--step", path), said)


@pytest.mark.parametrize("form", [".json", ".csv"])
def test_widths_that_count_one_half_as_no_bit_are_refused(tmp_path: Path, form: str) -> None:
    model, path = one_layer(tmp_path), tmp_path / f"report{form}"
    assert esnsim("cost", model, "--width", "paper", "-q", "-o", path).code == 0
    said = "it was written with --width paper, where filters of ±½ have 0 bits: use --width code"
    refused(esnsim("cost", model, "--bits-per-filter", path), said)
    assert esnsim("cost", model, "--step", path, "-q").code == 0


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(WidthError, match=r"'b.txt' is no file of widths: give .json, .csv, .npz"):
        read_values(Path("b.txt"), "width")


@pytest.mark.parametrize("value", [np.ones((1, 2)), np.ones((2, 1)), "4", [4, 4, 4]])
def test_widths_of_another_shape_are_refused(value: object) -> None:
    with pytest.raises(WidthError, match=r"is no number or list|has 2 filters but 3 widths"):
        quantize(chain([[1.0], [2.0]]), Scheme(widths={"layer0": value}))
