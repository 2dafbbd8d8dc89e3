"""Code, help and reports follow the table of terms (docs/terms.md)."""

import ast
import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from esnsim.cli import main
from esnsim.costs.figures import Metrics, Weightings
from esnsim.report.grid import fitting, width
from tests.commandline import Terminal, esnsim, refused, report

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/terms.md").read_text().splitlines()
    if line.startswith("| ")
][1:]
#: What is said in place of a term, and has to be the term.
OTHERS = {
    r"bit-?widths?": "width",
    r"(average|mean) (bits|precision)|bits on average": "mean width",
    r"MACs?\s?[*x]\s?bits?|bit-MACs?": "MAC×bit",
    r"(original|unquantised|full[- ]precision|fp32|baseline) (model|network)": "float model",
    r"samples? of (the|a) (data|set)|data points?": "image",
    r"(forward )?pass(es)? through the (net|network)": "inference",
    r"bit[- ]?ops\b": "BOPs",
}


def keys(schema: object) -> Iterator[str]:
    """The names of all properties of a JSON Schema."""
    for part in schema.values() if isinstance(schema, dict) else ():
        yield from keys(part)
    if isinstance(schema, dict):
        yield from schema.get("properties", {})


def test_every_name_of_the_table_is_one_of_json_or_python() -> None:
    known = {*dir(Metrics), *Metrics.__dataclass_fields__, *Weightings.__dataclass_fields__}
    for path in (ROOT / "esnsim/schemas").glob("*.json"):
        known |= set(keys(json.loads(path.read_text())))
    named = [name for row in ROWS for name in re.findall(r"`([^`]+)`", row[2])]
    assert len(named) > 12
    assert {name for name in named if name.split()[0].split(".")[-1] not in known} == {"simulate"}


def sentences(path: Path) -> Iterator[str]:
    """What a file says to people: its strings that are no docstrings."""
    tree = ast.parse(path.read_text())
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def test_help_and_reports_use_the_words_of_the_table() -> None:
    said = [
        (path.name, text)
        for path in (ROOT / "esnsim").rglob("*.py")
        for text in sentences(path)
        if " " in text
    ]
    assert len(said) > 500
    wrong = [
        (name, text, term)
        for name, text in said for other, term in OTHERS.items()
        if re.search(rf"\b({other})\b", text, re.IGNORECASE)
    ]  # fmt: skip
    assert wrong == []


MODEL = "builtin:resnet8"


@pytest.mark.parametrize("text", ["3M", "3m", "3000k", "3000K", "0.003g", "3e6"])
def test_numbers_are_read_in_any_case(text: str) -> None:
    ended = esnsim("cost", MODEL, "--fail-above", f"macs={text}", "--top", 1)
    assert ended.code == 3
    assert "over 3,000,000" in ended.err or "3.00M" in ended.err or "3,000,000" in ended.err


def test_an_exponent_without_digits_is_no_prefix() -> None:
    refused(esnsim("cost", MODEL, "--fail-above", "macs=5e"), "'5e' is no number", code=2)


@pytest.mark.parametrize(
    ("word", "file"), [("0.5%", "0.005"), ('"0.5%"', "0.005"), ("0.005", "0.5 %")]
)
def test_a_percentage_of_a_file_is_the_share(word: str, file: str, tmp_path: Path) -> None:
    found = []
    for text in (word, file):
        (tmp_path / "m.yaml").write_text(f"analog: {{read_noise: {text}, percentile: 99.5%}}")
        words = ("--array", tmp_path / "m.yaml", "--json")
        found.append(report(esnsim("simulate", "builtin:resnet8", *words))["machine"])
    assert found[0] == found[1]
    assert (found[0]["read_noise"], found[0]["percentile"]) == (0.005, 99.5)


@pytest.mark.parametrize("text", ["99.9", "99.9%"])
def test_a_percentile_may_have_its_sign(text: str) -> None:
    ended = esnsim("simulate", MODEL, "--percentile", text, "--json")
    assert ended.code == 0, ended.err


COMMANDS = {
    "cost": "cost builtin:resnet20 --bits-per-filter 4",
    "all digits": "cost builtin:resnet20 --exact --sort esn_a --top 9",
    "array": "simulate builtin:resnet8 --end-to-end --images 9",
    "crossbar": "simulate builtin:resnet8 --array isaac",
    "schedules": "simulate builtin:resnet8 --compare schedules",
    "kinds": "simulate builtin:resnet8 --compare digital analog",
    "accelerators": "simulate builtin:resnet8 --machines stripes,scnn,tpu --memory bitsim",
    "prices": "simulate builtin:resnet8 --array isaac --e-cell 1fJ --adc-law scaled --exact",
    "pareto": "pareto builtin:resnet8 builtin:resnet20_05x --ratios 0 --bits 4 --images 9 "
    "--metric esn_a.weights --no-correct --rounding nearest --results r.jsonl",
    "compress": "compress model.onnx --data images.npz -o c.onnx --bits 4 --images 9",
    "compare": "compare builtin:resnet8 builtin:resnet20 --images 9",
    "machines": "machines",
    "models": "models",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_reports_fit_a_screen_of_80_columns(
    name: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("model.onnx", "images.npz"):
        shutil.copy(place / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    with redirect_stdout(screen), redirect_stderr(io.StringIO()):
        assert main(COMMANDS[name].split()) == 0
    lines = screen.getvalue().splitlines()
    assert len(lines) > 3
    assert max(map(width, lines)) <= 80


def test_columns_are_left_out_in_order_until_the_others_fit() -> None:
    lines = [("layer", "op", "MACs", "share"), ("a" * 50, "Conv", "1" * 20, "1.0%")]
    for columns, left in ((None, 4), (44, 4), (43, 3), (39, 3), (38, 2), (5, 2)):
        shown = fitting(lines, ("op", "MACs"), columns)
        wanted = [
            line for line in zip(*lines, strict=True) if line[0] not in ("op", "MACs")[: 4 - left]
        ]
        assert list(zip(*shown, strict=True)) == wanted
