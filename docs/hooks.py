"""Hooks of MkDocs: pages from files beside docs/, the reference, a notebook of each tutorial."""

import json
import re
from pathlib import Path
from typing import Any

import esnsim

ROOT = Path(__file__).parents[1]
#: Files outside docs/ that become pages, and the names that links to them get.
BESIDE = {
    "README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md",
    "esnsim/embedded/README.md": "embedded.md",
}  # fmt: skip
PICTURES = "benchmarks/paper/results"
BLOCK = re.compile(r"```(\w+)\n(.*?)```\n", re.DOTALL)


#: What the functions give.
RESULTS = (
    "machines.simulator.Simulation", "machines.named.comparison.Comparison",
    "compression.compressed.Compressed", "sweeps.frontier.Sweep", "comparison.compare.Compared",
)  # fmt: skip


def on_config(config: Any) -> Any:
    """The version in the title."""
    config.site_name = f"esnsim {esnsim.__version__}"
    return config


def on_files(files: Any, config: Any) -> Any:
    """Pages from files outside docs/, the reference, and pictures of benchmarks."""
    from mkdocs.structure.files import File

    for source, name in BESIDE.items():
        text = (ROOT / source).read_text("utf-8")
        for other, page in BESIDE.items():
            text = text.replace(f"]({other})", f"]({page})")
        files.append(File.generated(config, name, content=text.replace("](docs/", "](")))
    files.append(File.generated(config, "reference.md", content=reference()))
    for picture in sorted((ROOT / PICTURES).glob("*.png")):
        files.append(File.generated(config, f"results/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to pictures outside docs/, and from a tutorial to its notebook."""
    markdown = markdown.replace(f"](../{PICTURES}/", "](results/")
    if page.file.src_uri.startswith("tutorials/"):
        name = Path(page.file.src_uri).with_suffix(".ipynb").name
        first, _, rest = markdown.partition("\n")
        link = f'<a href="../{name}" download>This page as a notebook</a>'
        return f"{first}\n\n{link}\n{rest}"
    return markdown


def on_post_build(config: Any) -> None:
    """The tutorials as notebooks."""
    for page in sorted((ROOT / "docs" / "tutorials").glob("*.md")):
        target = Path(config.site_dir, "tutorials", f"{page.stem}.ipynb")
        target.write_text(json.dumps(notebook(page.read_text("utf-8")), indent=1), "utf-8")


def reference() -> str:
    """The public names, each with its docstring."""
    homes = {name: esnsim._HOMES[name] for name in [*esnsim.__all__, "ESNTracker"]}
    functions = [name for name in homes if name[0].islower()]
    classes = [name for name in homes if name not in functions]
    parts = [f"::: esnsim.{homes[name]}.{name}" for name in [*functions, *classes]]
    parts += [f"::: esnsim.{result}" for result in ("results.Outcome", *RESULTS)]
    return "\n\n".join(["# Reference", *parts]) + "\n"


def notebook(page: str) -> dict[str, Any]:
    """A tutorial as a Jupyter notebook: prose, Python, commands, and files that cells write."""
    cells, at = [], 0
    for block in BLOCK.finditer(page):
        cells += [_cell("markdown", page[at : block.start()]), _cell("code", code(*block.groups()))]
        at = block.end()
    cells.append(_cell("markdown", page[at:]))
    cells = [cell for cell in cells if cell["source"]]
    return {
        "cells": [cell | {"id": f"cell-{place}"} for place, cell in enumerate(cells)],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip


def code(language: str, text: str) -> str:
    """A block as a cell of a notebook."""
    if language == "console":
        return re.sub(r"^\$ ", "!", text, flags=re.MULTILINE)
    if language == "python":
        return text
    return f"%%writefile {text.splitlines()[0].removeprefix('# ')}\n{text}"


def _cell(kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": text.strip()}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
