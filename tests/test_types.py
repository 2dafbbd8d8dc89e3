"""The Python of the pages and of the README is what `mypy --strict` accepts."""

from pathlib import Path

import pytest

from tests.test_docs import PYTHON, blocks
from tests.test_readme import BLOCKS
from tests.test_tutorials import TUTORIALS

ROOT = Path(__file__).parents[1]
#: What the reader of docs/training.md has.
GIVEN = "from typing import Any\nimport onnx\nepochs: int\n"
GIVEN += "model: Any\nloader: Any\noptimizer: Any\ncriterion: Any\ntorch: Any\nexample: Any\n"
GIVEN += "images: Any\nlabels: Any\nrecipe: Any\nconv: Any\nteacher: Any\n"
GIVEN += "class lightning:\n    class Callback: ...\n"


def test_the_examples_of_the_pages_are_typed(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    pages: dict[str, list[str]] = {"readme": [text for kind, text in BLOCKS if kind == "python"]}
    for page, text in PYTHON:
        pages.setdefault(page, []).append(text)
    for tutorial in TUTORIALS:
        pages[f"tutorial_{tutorial.stem}"] = [t for kind, t in blocks(tutorial) if kind == "python"]
    assert len(pages) > 3
    for page, texts in pages.items():
        whole = "\n".join([GIVEN * (page == "training"), *texts])
        (tmp_path / f"{page}_page.py").write_text(whole, "utf-8")
    said, errors, code = api.run([
        "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"),
        "--no-warn-unused-ignores", "--follow-imports", "silent", str(tmp_path),
    ])  # fmt: skip
    assert code == 0, said + errors
