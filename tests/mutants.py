"""A mutation tester for the rooms where numbers are made: `make mutants` (docs/testing.md).

One operator or constant of a file is changed at a time, in a copy of the tree, and the tests of
that room are run: they have to fail. `--each N` draws N changes a file, with a `--seed`.
"""

import argparse
import ast
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
ROOMS = {
    "esnsim/costs/equations.py": "tests/test_metrics.py tests/test_laws.py",
    "esnsim/quantization/filter_sums.py": "tests/test_quantizer.py tests/test_metrics.py",
    "esnsim/quantization/scheme.py": "tests/test_quantizer.py tests/bad_input/test_widths.py",
    "esnsim/machines/array/schedule.py": "tests/test_digital.py",
    "esnsim/machines/array/result.py": "tests/simulate/test_inference.py",
    "esnsim/machines/crossbar/converters.py": "tests/analog",
    "esnsim/compression/allocate/budget.py": "tests/compress/test_policies.py",
    "esnsim/evaluate/scores.py": "tests/evaluate tests/compress/test_evaluate.py",
}
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd,
}  # fmt: skip


def operator_of(node: ast.AST) -> ast.AST | None:
    """The operator of an expression, of a comparison the first."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.UnaryOp | ast.AugAssign):
        return node.op
    return node.ops[0] if isinstance(node, ast.Compare) else None


def changes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Places in the walk over a tree at which something can be changed, and what it is."""
    formatted = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    for place, node in enumerate(ast.walk(tree)):
        operator = operator_of(node)
        if type(operator) in SWAPPED:
            yield place, f"{type(operator).__name__} in {ast.unparse(node)}"
        number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
        if number and id(node) not in formatted:
            yield place, f"constant {ast.unparse(node)}"


def changed(tree: ast.Module, place: int) -> str:
    """The source with one change."""
    copy = deepcopy(tree)
    node = list(ast.walk(copy))[place]
    operator = operator_of(node)
    if isinstance(node, ast.Constant):
        node.value += 1  # type: ignore[operator]
    elif isinstance(node, ast.Compare):
        node.ops[0] = SWAPPED[type(node.ops[0])]()  # type: ignore[assignment]
    else:
        node.op = SWAPPED[type(operator)]()  # type: ignore[attr-defined]
    return ast.unparse(copy)


def survives(folder: Path, tests: str) -> bool:
    """Whether the tests of a room pass in the changed copy."""
    command = [sys.executable, "-m", "pytest", "-x", "-qq", *tests.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=600, check=False)
    return done.returncode == 0


def main() -> int:
    """Print each change that no test notices, and how many were tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tried, left = 0, 0
    with TemporaryDirectory() as name:
        folder = Path(name) / "copy"
        ignored = shutil.ignore_patterns(".git", ".venv", "*_cache", "results")
        shutil.copytree(ROOT, folder, ignore=ignored)
        for file, tests in ROOMS.items():
            source = (ROOT / file).read_text()
            tree = ast.parse(source)
            places = list(changes(tree))
            random.Random(arguments.seed).shuffle(places)
            for place, what in places[: arguments.each]:
                (folder / file).write_text(changed(tree, place))
                node = list(ast.walk(tree))[place]
                alive = survives(folder, tests)
                tried, left = tried + 1, left + alive
                line = getattr(node, "lineno", "?")
                print(f"{'SURVIVES' if alive else 'dies'}  {file}:{line}  {what[:70]}", flush=True)
            (folder / file).write_text(source)
    print(f"{tried - left} of {tried} mutants die")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
