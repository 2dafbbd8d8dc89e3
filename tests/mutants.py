"""A mutation tester for the rooms where numbers are made: `make mutants` (docs/testing.md).

One operator or constant of a file is changed at a time, in a copy of the tree, and the tests of
that room, which pass as it is, are run: they have to fail. `--each N` draws N changes a file, with
a `--seed`; `--only WORD` takes the files that have it in their names.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
ROOMS = {
    "esnsim/costs/equations.py": "tests/test_metrics.py tests/test_laws.py",
    "esnsim/costs/cost.py": "tests/test_metrics.py tests/test_laws.py",
    "esnsim/quantization/filter_sums.py": "tests/test_quantizer.py tests/test_metrics.py",
    "esnsim/quantization/scheme.py": "tests/test_quantizer.py tests/bad_input/test_widths.py",
    "esnsim/machines/array/schedule.py": "tests/test_digital.py",
    "esnsim/machines/array/counts.py": "tests/simulate/test_inference.py",
    "esnsim/machines/array/result.py": "tests/simulate/test_inference.py",
    "esnsim/machines/crossbar/engine.py": "tests/analog",
    "esnsim/machines/crossbar/converters.py": "tests/analog/test_converters.py "
    "tests/analog/test_published.py tests/analog/test_refused.py",
    "esnsim/compression/allocate/budget_metrics.py": "tests/compress/test_allocate.py",
    "esnsim/compression/allocate/allocate.py": "tests/compress/test_allocate.py",
    "esnsim/evaluate/scores.py": "tests/evaluate/test_outputs.py tests/compress/test_evaluate.py",
    "esnsim/evaluate/outputs.py": "tests/evaluate/test_outputs.py",
}
#: Changes that an earlier trial found alive: what stands there, and what in its place.
NAMED = (
    ("esnsim/machines/array/schedule.py", "np.argsort(-widths", "np.argsort(widths"),
    ("esnsim/machines/array/counts.py", "self.idle_windows + ", ""),
    ("esnsim/machines/crossbar/converters.py", " or Fraction(1)) / levels", ") / levels"),
)
ENVIRONMENT = os.environ | {"HYPOTHESIS_PROFILE": "mutants"}  # always the same examples
WORDS = ("__repr__", "columns", "summary", "_energy_lines")
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


def is_words(node: ast.AST) -> bool:
    """Whether a function tells people what others count: reports have tests of their own."""
    return isinstance(node, ast.FunctionDef) and node.name in WORDS


def changes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Places in the walk over a tree at which something can be changed, and what it is."""
    told = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) or is_words(node)]
    words = {id(inner) for node in told for inner in ast.walk(node)}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in words:
            continue
        operator = operator_of(node)
        if type(operator) in SWAPPED:
            yield place, f"{type(operator).__name__} in {ast.unparse(node)}"
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
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


def passes(folder: Path, tests: str) -> bool:
    """Whether tests pass in the copy, in some minutes."""
    command = [sys.executable, "-m", "pytest", "-x", "-qq", "-p", "no:cacheprovider"]
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            [*command, *tests.split()], cwd=folder, env=ENVIRONMENT,
            capture_output=True, timeout=900, check=False,
        )  # fmt: skip
        return done.returncode == 0
    return False


def mutants(file: str, each: int, seed: int) -> Iterator[tuple[str, str]]:
    """Changed sources of a file, each with where and what was changed."""
    source = (ROOT / file).read_text()
    tree = ast.parse(source)
    places = list(changes(tree))
    random.Random(seed).shuffle(places)
    nodes = list(ast.walk(tree))
    for place, what in places[:each]:
        yield changed(tree, place), f"{file}:{getattr(nodes[place], 'lineno', '?')}  {what[:70]}"
    for named, before, after in NAMED:
        if named == file:
            assert source.count(before) == 1, before
            yield source.replace(before, after), f"{file}  {before} -> {after}"


def score(folder: Path, file: str, tests: str, found: Iterator[tuple[str, str]]) -> None:
    """Print which changes of a file the tests notice, and how many."""
    source, dead, tried = (ROOT / file).read_text(), 0, 0
    for changed_source, what in found:
        (folder / file).write_text(changed_source)
        alive = passes(folder, tests)
        dead, tried = dead + (not alive), tried + 1
        print(f"{'SURVIVES' if alive else 'dies'}  {what}", flush=True)
    (folder / file).write_text(source)
    print(f"{file}: {dead} of {tried} die", flush=True)


def main() -> int:
    """Print each change, whether a test notices it, and how many are noticed a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="WORD")
    given = parser.parse_args()
    rooms = {file: tests for file, tests in ROOMS.items() if given.only in file}
    with TemporaryDirectory() as name:
        folder = Path(name) / "copy"
        ignored = shutil.ignore_patterns(".git", ".venv", "*_cache", "results")
        shutil.copytree(ROOT, folder, ignore=ignored)
        for tests in sorted(set(rooms.values())):
            if not passes(folder, tests):
                print(f"{tests} fail as it is: mend that first")
                return 1
        for file, tests in rooms.items():
            score(folder, file, tests, mutants(file, given.each, given.seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
