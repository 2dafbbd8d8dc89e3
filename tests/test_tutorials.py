"""The tutorials run as they stand, from the first block to the last."""

import json
import runpy
import shlex
import warnings
from pathlib import Path

import pytest
import yaml

from esnsim.cli import main
from tests.test_docs import blocks

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.stem == "pytorch":
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, text in blocks(page):
        if kind == "python":
            with warnings.catch_warnings():
                warnings.filterwarnings("error", category=DeprecationWarning, module="esnsim")
                exec(text, names)
        elif kind == "toml":  # its first line is its name
            Path(text.splitlines()[0].removeprefix("# ")).write_text(text, "utf-8")
        else:
            assert kind == "console"
            for line in text.splitlines():
                assert main(shlex.split(line)[2:]) == 0, line


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_notebook_has_the_blocks_of_its_page(page: Path) -> None:
    hooks = runpy.run_path(str(DOCS / "hooks.py"))
    made = json.loads(json.dumps(hooks["notebook"](page.read_text("utf-8"))))
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    cells = [cell["source"] for cell in made["cells"] if cell["cell_type"] == "code"]
    assert cells == [hooks["code"](kind, text).strip() for kind, text in blocks(page)]
    assert not any("```" in cell["source"] for cell in made["cells"])
    assert any(cell.startswith("!esnsim ") for cell in cells)


def test_every_page_is_in_the_site() -> None:
    nav = json.dumps(yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text("utf-8"))["nav"])
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
    assert [page for page in pages if f'"{page}"' not in nav] == []
