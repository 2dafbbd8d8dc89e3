"""What the pages of docs/ show can be typed: commands parse, Python runs, imports exist."""

import re
import shlex
from pathlib import Path

import pytest

from esnsim.cli import parser
from tests.samples import EMBEDDED

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
BLOCKS = [
    (page.stem, kind, text)
    for page in PAGES
    for kind, text in re.findall(r"```(\w+)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
]
COMMANDS = [
    line.removeprefix("$ ")
    for _, _, text in BLOCKS
    for line in text.replace("\\\n", " ").splitlines()
    if line.startswith("$ esnsim ")
]
PYTHON = [(page, text) for page, kind, text in BLOCKS if kind == "python"]
FRAGMENTS = {"training"}  # stand in a loop of the reader's


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_pages_parses(command: str) -> None:
    words = shlex.split(command)[1:]
    assert parser().parse_args(words).command == words[0]


@pytest.mark.parametrize("page", sorted({page for page, _ in PYTHON} - FRAGMENTS))
def test_the_python_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "resnet20.onnx").write_bytes((EMBEDDED / "resnet20.onnx").read_bytes())
    monkeypatch.chdir(tmp_path)
    for where, text in PYTHON:
        if where == page:
            exec(text, {})


@pytest.mark.parametrize("page", sorted(FRAGMENTS))
def test_what_the_fragments_of_a_page_import_is_there(page: str) -> None:
    pytest.importorskip("torch")
    lines = [line for where, text in PYTHON if where == page for line in text.splitlines()]
    imports = [line for line in lines if re.match(r"(from|import) ", line)]
    assert imports
    for line in imports:
        exec(line, {})
