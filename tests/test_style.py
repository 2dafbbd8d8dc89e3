"""Habits of the source that no linter checks (CONTRIBUTING.md)."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import esnsim

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "esnsim").rglob("*.py"), *(ROOT / "kernels").rglob("*.py")])
#: Records that users make, and may by place.
BY_PLACE = {
    "ArraySpec", "CrossbarSpec", "Geometry", "ImageSet", "Layer", "Network", "Scheme", "Weight",
}  # fmt: skip
#: Names of limits that say how much of nothing.
BARE = re.compile(r"^(LARGEST|LONGEST|MOST|LIMIT|MANY|START)\b", re.MULTILINE)
OPERATIONS = (ast.Mult, ast.Div, ast.FloorDiv, ast.Pow)


@cache
def _all_nodes() -> list[tuple[Path, ast.AST]]:
    parsed = [(path, ast.parse(path.read_text("utf-8"))) for path in SOURCES]
    kinds = (ast.ClassDef, ast.FunctionDef, ast.BinOp)
    return [
        (path.relative_to(ROOT), node)
        for path, tree in parsed for node in ast.walk(tree) if isinstance(node, kinds)
    ]  # fmt: skip


def _nodes(kind: type[ast.AST], folder: str = "") -> Iterator[tuple[Path, ast.AST]]:
    for path, node in _all_nodes():
        if isinstance(node, kind) and path.is_relative_to(Path("esnsim", folder) if folder else ""):
            yield path, node


def test_records_of_five_and_more_fields_take_them_by_name() -> None:
    found = [
        f"{path}: {node.name}"
        for path, node in _nodes(ast.ClassDef)
        for decorator in node.decorator_list
        if "dataclass" in ast.unparse(decorator) and "kw_only=True" not in ast.unparse(decorator)
        if sum(_is_field(part) for part in node.body) > 4 and node.name not in BY_PLACE
    ]
    assert not found


def _is_field(part: ast.stmt) -> bool:
    return isinstance(part, ast.AnnAssign) and "ClassVar" not in ast.unparse(part.annotation)


def test_limits_say_their_unit() -> None:
    assert not [path for path in SOURCES if BARE.search(path.read_text("utf-8"))]


def test_functions_of_kernels_take_at_most_twelve_arguments() -> None:
    """What lies together is a NamedTuple of arrays."""
    found = [
        f"{path}: {node.name}"
        for path, node in _nodes(ast.FunctionDef)
        if path.parts[0] == "kernels" and len(node.args.args) > 12
    ]
    assert not found


def test_functions_of_commands_are_at_most_forty_lines() -> None:
    found = [
        f"{path}: {node.name}"
        for path, node in _nodes(ast.FunctionDef, "commands")
        if node.end_lineno - node.lineno >= 40
    ]
    assert not found


def test_commands_compute_nothing() -> None:
    """What they print is a result's; options.py reads numbers, and so may scale them."""
    found = [
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for path, node in _nodes(ast.BinOp, "commands")
        if isinstance(node.op, OPERATIONS) and path.name != "options.py"
    ]
    assert not found


def test_reports_and_pages_divide_nothing() -> None:
    """Totals, shares and ratios are a result's; what draws may scale."""
    drawing = {"draw.py", "grid.py", "page.py", "picture.py", "progress.py"}
    other = re.compile(r"(1|BAR \* count|-?MESSAGE_CHARACTERS|files\(__package__\)) /")  # and words
    found = [
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for folder in ("report", "page")
        for path, node in _nodes(ast.BinOp, folder)
        if isinstance(node.op, ast.Div | ast.FloorDiv) and path.name not in drawing
        if not other.match(ast.unparse(node))
    ]
    assert not found


def test_the_table_of_files_has_each_source_file_once() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text("utf-8").split("\n## ")[0]
    rows, folder = [], ""
    for more, name in re.findall(r"^\| (… )?`([^`]+)` \|", table, re.MULTILINE):
        folder = folder if more else name
        rows.append(folder + name if more else name.replace("…", "esnsim_kernels"))
    files = [str(path.relative_to(ROOT)) for path in SOURCES if path.stem != "__init__"]
    named = [row for row in rows if row.endswith(".py") and row.startswith(("esnsim", "kernels"))]
    assert sorted(named) == sorted([*files, "esnsim/__init__.py"])
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("name", esnsim.__all__)
def test_a_public_callable_stays_one_after_every_module_is_imported(name: str) -> None:
    pytest.importorskip("torch")
    for module in walk_packages(esnsim.__path__, "esnsim."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    assert callable(getattr(esnsim, name))
