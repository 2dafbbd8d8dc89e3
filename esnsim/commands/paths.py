"""The files that options name, and the guard by which no output replaces what is read.

An option that names a file says by its type, `InputFile` or `OutputFile`, what happens to it;
`check_files` finds them in the parser, so a new option is guarded on the day it is added.
"""

import argparse
import errno
import os
import re
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, TypeVar

from esnsim.errors import UsageError
from esnsim.files.replace import same_file
from esnsim.report.write import STDOUT, cannot_write, is_device

Kind = TypeVar("Kind")
START_BYTES = 200  # bytes of a report that name its schema


def itself(value: object) -> Iterable[Path]:
    """The file that a value is, nothing where it is none."""
    return [value] if isinstance(value, Path) else []


def file_name(text: str) -> Path:
    """The name of a file."""
    if not text or "\0" in text:
        raise ArgumentTypeError(f"{text!r} names no file")
    return Path(text)


@dataclass(frozen=True, slots=True)
class InputFile:
    """The type of an option that names a file or folder to read, or that may name one.

    `parse` turns text into a value, `files` names the files that are read for it.
    """

    parse: Callable[[str], object] = file_name
    files: Callable[[Any], Iterable[Path]] = itself

    def __call__(self, text: str) -> object:
        """The value of an option."""
        return self.parse(text)


@dataclass(frozen=True, slots=True)
class OutputFile:
    """The type of an option that names a file to write.

    `default` names one where none is given; there only a file that begins with the JSON schema
    `schema` is replaced.
    """

    parse: Callable[[str], Path] = file_name
    default: Callable[[Namespace], Path] | None = None
    schema: str | None = None

    def __call__(self, text: str) -> Path:
        """The value of an option."""
        return self.parse(text)


def model_files(model: str) -> Iterable[Path]:
    """The file of a model, and those that its tensors lie in."""
    from esnsim.onnxfile import load

    return load.model_files(model)


def machine_files(machine: str) -> Iterable[Path]:
    """The file of a machine, where it is one."""
    from esnsim.machines.files import FILES

    return [Path(machine)] if machine.lower().endswith(FILES) else []


def aim_files(aim: "str | tuple[float, str | None]") -> Iterable[Path]:
    """The files of a machine and its memory that a metric, or a budget of one, names."""
    metric = aim if isinstance(aim, str) else aim[1]
    return [path for part in (metric or "").split("@") for path in machine_files(part)]


def image_files(images: Path) -> Iterator[Path]:
    """A file of images and that of its labels, or the files of a folder that are read."""
    from esnsim.images.files import members

    with suppress(OSError):
        yield from members(images)


def check_files(arguments: Namespace) -> None:
    """Refuse, before any work, what could not be written, or would replace what is read.

    Outputs with a default get it. Raises UsageError, EsnsimError.
    """
    outputs: list[tuple[str, Path]] = []
    derived: list[tuple[str, Path, str]] = []
    for action, kind in _options(arguments, OutputFile):
        output, option = getattr(arguments, action.dest), action.option_strings[0]
        if output is None and kind.default is not None:
            output = kind.default(arguments)
            setattr(arguments, action.dest, output)
            derived += [(option, output, kind.schema)] if kind.schema else []
        if output is not None and output not in STDOUT:
            _check_place(output)
            outputs.append((option, output))
    _check_distinct(outputs)
    present = [(option, output) for option, output in outputs if _regular(output)]
    for action, read in _options(arguments, InputFile) if present else ():
        given = getattr(arguments, action.dest)
        for value in given if isinstance(given, list) else [given]:
            if value is not None:
                _check_inputs(present, read.files(value))
    for each in derived:
        _check_own(*each)


def _options(arguments: Namespace, kind: type[Kind]) -> list[tuple[argparse.Action, Kind]]:
    actions: list[Any] = arguments.parser._actions
    return [(action, action.type) for action in actions if isinstance(action.type, kind)]


def _check_place(output: Path) -> None:
    """Raise EsnsimError where no file can be written."""
    try:
        target = Path(os.path.realpath(output))
        os.stat(f"{target.parent}/")  # with its slash: a folder, or an error
        places = [target.parent]
        with suppress(FileNotFoundError):
            if S_ISDIR(os.stat(output).st_mode):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            places = [target] if is_device(output) else [target.parent, target]
        if not all(os.access(place, os.W_OK) for place in places):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise cannot_write(output, error.strerror or str(error)) from None


def _check_own(option: str, output: Path, schema: str) -> None:
    """Raise UsageError for a file that nobody asked to replace, and that is no report of ours."""
    if not _regular(output):
        return
    with output.open("rb") as file:
        start = file.read(START_BYTES)
    if not re.match(rb'\s*\{\s*"schema":\s*"' + re.escape(schema.encode()), start):
        raise UsageError(
            f"'{output}' is there, and no report that this command wrote: give {option} another "
            "file, or remove it"
        )


def _check_distinct(outputs: list[tuple[str, Path]]) -> None:
    for index, (option, output) in enumerate(outputs):
        for earlier, other in outputs[:index]:
            if not is_device(output) and same_file(output, other):
                raise UsageError(
                    f"{earlier} '{other}' and {option} '{output}' are one file: give two"
                )


def _check_inputs(outputs: list[tuple[str, Path]], files: Iterable[Path]) -> None:
    for file in files:
        for option, output in outputs:
            if same_file(output, file):
                raise UsageError(f"{option} '{output}' would overwrite '{file}': give another file")


def _regular(output: Path) -> bool:
    try:
        return S_ISREG(os.stat(output).st_mode)
    except OSError:
        return False
