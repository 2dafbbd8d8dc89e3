"""No output replaces an input, in any spelling: every command and option, from the parsers."""

import os
from argparse import Action, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from functools import cache
from pathlib import Path

import pytest

from esnsim.cli import parse
from esnsim.commands.paths import InputFile, OutputFile, check_files
from esnsim.errors import EsnsimError

MODEL = "builtin:resnet8"
LINES = {
    "cost": ["cost", MODEL],
    "simulate": ["simulate", MODEL],
    "compress": ["compress", MODEL, "-o", "small.onnx"],
    "pareto": ["pareto", MODEL],
    "compare": ["compare", MODEL, MODEL],
    "annotate": ["annotate", MODEL, "-o", "annotated.onnx"],
    "bench": ["bench"],
    "selftest": ["selftest"],
    "machines": ["machines"],
    "models": ["models"],
}
AIMS = {"budget": "2ms@{}", "metric": "cycles@{}"}  # of a machine in a file
SUFFIXES = (".json", ".yaml", ".onnx")
SPELLINGS: dict[str, Callable[[Path], Path]] = {
    "absolute": lambda path: path,
    "relative": lambda path: Path(path.name),
    "through a folder": lambda path: Path("folder") / ".." / path.name,
    "symbolic link": lambda path: linked(path, os.symlink),
    "hard link": lambda path: linked(path, os.link),
}


def linked(path: Path, link: Callable[[Path, Path], None]) -> Path:
    """Another name of a file."""
    other = path.with_name(f"other{path.suffix}")
    link(path, other)
    return other


@cache
def parsed(command: str) -> Namespace:
    """The options of a command, to be read only."""
    return parse(LINES[command])


def actions(command: str, kind: type) -> list[Action]:
    """The options of a command that name files of a kind."""
    return [a for a in parsed(command).parser._actions if isinstance(a.type, kind)]


def pairs() -> Iterator[tuple[str, str, str]]:
    """Every command, option that names an input, and option that names an output."""
    for command in LINES:
        for read in actions(command, InputFile):
            for written in actions(command, OutputFile):
                yield command, read.dest, written.dest


def option(command: str, dest: str) -> Action:
    return next(a for a in parsed(command).parser._actions if a.dest == dest)


def reading(command: str, dest: str, folder: Path) -> tuple[Path, object]:
    """A file that the option reads, and the option's value for it."""
    kind = option(command, dest).type
    assert isinstance(kind, InputFile)
    for suffix in SUFFIXES:
        path = folder / f"input{suffix}"
        path.write_bytes(b"lanes: {}" if dest in AIMS else b"kept")
        with suppress(ArgumentTypeError):  # of a metric whose machine is no such file
            value = kind(AIMS.get(dest, "{}").format(path))
            if path in list(kind.files(value)):
                return path, value
        path.unlink()
    raise AssertionError(f"--{dest} reads none of {SUFFIXES}")


@pytest.mark.parametrize("command", LINES)
def test_an_option_that_names_a_file_says_whether_it_is_read_or_written(command: str) -> None:
    for action in parsed(command).parser._actions:
        named = str(action.metavar or "")
        if any(word in named for word in ("FILE", "FOLDER", "MODEL")):
            assert isinstance(action.type, InputFile | OutputFile), action.option_strings


def test_the_law_is_about_many_options() -> None:
    assert len(list(pairs())) > 25
    assert {command for command, _, _ in pairs()} >= {
        "cost", "simulate", "compress", "pareto", "compare", "annotate",
    }  # fmt: skip


@pytest.mark.parametrize(("command", "read", "written"), [*pairs()])
def test_no_output_replaces_an_input(
    command: str, read: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every spelling; --log-file, which all commands have, in one."""
    for spelling in SPELLINGS if written != "log_file" else ["through a folder"]:
        here = tmp_path / spelling
        (here / "folder").mkdir(parents=True)
        monkeypatch.chdir(here)
        path, value = reading(command, read, here)
        arguments = copy(parsed(command))
        kept = path.read_bytes()
        several = isinstance(getattr(arguments, read), list)
        setattr(arguments, read, [value] if several else value)
        setattr(arguments, written, SPELLINGS[spelling](path))
        with pytest.raises(EsnsimError, match="give"):
            check_files(arguments)
        assert path.read_bytes() == kept, spelling


@pytest.mark.parametrize("command", ["compress", "pareto"])
def test_outputs_do_not_replace_each_other(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, *_ = actions(command, OutputFile)
    arguments = copy(parsed(command))
    setattr(arguments, first.dest, tmp_path / "x.png")
    setattr(arguments, second.dest, Path("x.png"))
    with pytest.raises(EsnsimError):
        check_files(arguments)
