"""Results as Python has them: one screen, a document, rows, pictures, files; all five kinds."""

import csv
import io
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import onnx
import pytest
from jsonschema import Draft202012Validator

import esnsim
from tests.commandline import esnsim as command
from tests.samples import EMBEDDED

SCHEMAS = {
    "cost": "cost-1", "simulate": "simulate-2", "machines": "machines-1",
    "compress": "compress-1", "sweep": "pareto-1", "compare": "compare-1",
}  # fmt: skip
WITHOUT = "import sys; sys.modules['{0}'] = None; import esnsim\n{1}"


@pytest.fixture(params=SCHEMAS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def result(kind: str, results: dict[str, Any]) -> Any:
    return results[kind]


def test_a_repr_is_one_screen(result: Any) -> None:
    assert 1 < len(repr(result).splitlines()) < 45
    assert max(map(len, repr(result).splitlines())) <= 110


def test_a_dict_is_the_commands_document(kind: str, result: Any) -> None:
    schema = json.loads((files("esnsim") / "schemas" / f"{SCHEMAS[kind]}.json").read_text("utf-8"))
    document = result.to_dict()
    assert not [error.message for error in Draft202012Validator(schema).iter_errors(document)]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_rows_are_those_of_the_commands(results: dict[str, Any], place: Path) -> None:
    model = place / "model.onnx"
    for kind, words in {
        "cost": ["cost", model],
        "simulate": ["simulate", model],
        "machines": ["simulate", model, "--machines", "stripes,isaac", "--memory", "bitsim"],
    }.items():
        printed = list(csv.DictReader(io.StringIO(command(*words, "--csv").out)))
        rows = list(csv.DictReader(io.StringIO(results[kind].to_csv())))
        assert rows == printed


def test_a_dataframe_has_the_rows_and_columns_of_the_csv(result: Any) -> None:
    pytest.importorskip("pandas")
    frame = result.to_dataframe()
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert (len(frame), list(frame.columns)) == (len(rows), list(rows[0]))


def test_lists_stay_lists_in_a_dataframe(results: dict[str, Any]) -> None:
    pytest.importorskip("pandas")
    first = results["cost"].layers[0]
    assert results["cost"].to_dataframe()["bits_per_filter"][0] == first.bits.tolist()


def test_a_notebook_shows_a_table_and_pictures(result: Any) -> None:
    pytest.importorskip("matplotlib")
    shown = result._repr_html_()
    assert shown.count("<table>") == 1
    assert 2 <= shown.count("<tr>") <= 11
    assert "<svg" in shown
    assert "var(--" not in shown


def test_a_plot_has_a_panel_a_picture(result: Any) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure = result.plot()
    assert [axes.get_title() for axes in figure.axes]
    assert pyplot.fignum_exists(figure.number)
    pyplot.close(figure)


def test_a_result_is_saved_as_json_and_csv(result: Any, tmp_path: Path) -> None:
    result.save(tmp_path / "a.json")
    result.save(str(tmp_path / "a.CSV"))
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == result.to_dict()
    assert (tmp_path / "a.CSV").read_text("utf-8") == result.to_csv()


def test_a_suffix_says_the_form(results: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    starts = {".html": b"<!doctype html>", ".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    for suffix, start in starts.items():
        results["cost"].save(tmp_path / f"a{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes().startswith(start)
    with pytest.raises(esnsim.UsageError, match=r"says no form: give a file that ends in .json"):
        results["cost"].save(tmp_path / "a.txt")
    with pytest.raises(esnsim.EsnsimError, match="cannot write"):
        results["cost"].save(tmp_path / "nowhere" / "a.json")


def test_a_compressed_model_is_saved_as_onnx(results: dict[str, Any], tmp_path: Path) -> None:
    compressed = results["compress"]
    compressed.save(tmp_path / "small.onnx")
    read = esnsim.cost(tmp_path / "small.onnx")
    assert read.total.esn_d_tilde == compressed.after.total.esn_d_tilde
    with pytest.raises(esnsim.UsageError, match="says no form"):
        results["cost"].save(tmp_path / "other.onnx")


def test_saving_never_replaces_what_a_result_was_made_of(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    beside = tmp_path / "weights.csv"
    onnx.save(
        onnx.load(EMBEDDED / "resnet8.onnx"), model, save_as_external_data=True,
        location=beside.name, size_threshold=0, format="protobuf",
    )  # fmt: skip
    link = tmp_path / "link.json"
    link.symlink_to(model)
    before = model.read_bytes(), beside.read_bytes()
    result = esnsim.cost(str(model))
    for path in (model, beside, link):
        with pytest.raises(esnsim.UsageError, match="would overwrite"):
            result.save(path)
    assert (model.read_bytes(), beside.read_bytes()) == before
    result.save(tmp_path / "report.json")
    result.save(tmp_path / "report.json")


@pytest.mark.parametrize(
    ("absent", "call", "said"),
    [
        ("pandas", "to_dataframe()", "to_dataframe needs pandas: pip install pandas"),
        ("matplotlib", "plot()", r"pictures need matplotlib: pip install 'esnsim\[report\]'"),
        ("matplotlib", "save('a.png')", r"pictures need matplotlib: pip install"),
        ("jinja2", "save('a.html')", r"pages need Jinja2: pip install 'esnsim\[report\]'"),
    ],
)
def test_what_is_not_installed_is_named(
    absent: str, call: str, said: str, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(esnsim.EsnsimError, match=said):
        eval(f"result.{call}", {"result": results["cost"]})
    assert not list(tmp_path.iterdir())


def test_esntracker_without_torch_is_an_error_of_one_line() -> None:
    script = WITHOUT.format(
        "torch",
        "from esnsim import *\n"
        "try:\n    esnsim.ESNTracker\nexcept esnsim.EsnsimError as error:\n    print(error)",
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout == "ESNTracker needs PyTorch: pip install 'esnsim[train]'\n"


def test_machines_are_at_hand() -> None:
    assert esnsim.machines.by_name()["loom"].kind == "lanes"
    assert esnsim.machines.ArraySpec is esnsim.ArraySpec
    for name in esnsim.machines.__all__:
        assert getattr(esnsim.machines, name).__doc__


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: esnsim.cost("builtin:resnet8", bits=4),
            r"cost takes no 'bits': give scheme=Scheme\(bits=…\)",
        ),
        (
            lambda: esnsim.simulate("builtin:resnet8", array="maki"),
            "simulate takes no 'array': give machine=",
        ),
        (lambda: esnsim.compress("none.onnx", bits=4), "compress takes no 'bits': give scheme="),
        (lambda: esnsim.sweep("builtin:resnet8", data=3), "sweep takes no 'data': give images="),
        (
            lambda: esnsim.cost("builtin:resnet8", wdith="code"),
            "cost takes no 'wdith': give some of source, w",
        ),
    ],
)
def test_an_argument_that_there_is_not_is_told_by_what_there_is(call: Any, said: str) -> None:
    with pytest.raises(esnsim.UsageError, match=said):
        call()
