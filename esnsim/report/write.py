"""Results to files, whole or not at all, and to standard output; talk to standard error."""

import io
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from esnsim.errors import EsnsimError
from esnsim.files.replace import replacing
from esnsim.report.units import printable

STDOUT = (Path("-"), Path("/dev/stdout"))
DEVICES = (Path("/dev"), Path("/dev/fd"))  # folders of what is written to, never replaced
SAID = logging.getLogger("esnsim.said")  # what goes to standard error, for a log
ENCODING, ERRORS = "utf-8", "backslashreplace"  # names of files may be no Unicode


def screen(output: Path | None) -> tuple[int | None, bool]:
    """The columns of the screen that a report goes to, None elsewhere, and whether it has bold."""
    if output is not None or sys.stdout is None or not sys.stdout.isatty():
        return None, False
    bold = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return shutil.get_terminal_size().columns, bold


def say(text: str) -> None:
    """One line to standard error; nothing where that is closed or full."""
    SAID.info("%s", printable(text))
    if sys.stderr is not None:  # it is None where the shell closed it
        with suppress(OSError):
            _flushed(sys.stderr, f"esnsim: {printable(text)}\n")


def write(text: str, path: Path | None) -> None:
    """Text to a file, by way of a temporary one beside it, or to standard output.

    Raises EsnsimError where that fails, BrokenPipeError where the reader of a pipe went away.
    """
    if path is None or path in STDOUT:
        with _failures(path):
            _to_stdout(text)
    else:
        write_bytes(text.encode(ENCODING, ERRORS), path)


def write_bytes(data: bytes, path: Path) -> None:
    """Bytes to a file, by way of a temporary one beside it; errors as `write`."""
    with _failures(path):
        if is_device(path):
            with open(os.open(path, os.O_WRONLY | os.O_APPEND), "wb") as device:
                device.write(data)  # a log behind /dev/stderr keeps what is in it
        else:
            with replacing(path) as file:
                file.write(data)


def is_device(path: Path) -> bool:
    """Whether this is a pipe, a terminal or another device, so that no file is replaced."""
    return path.parent in DEVICES or (path.exists() and not path.is_file())


@contextmanager
def _failures(path: Path | None) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from None


def cannot_write(path: Path | None, reason: str) -> EsnsimError:
    """The error of an output, None for standard output."""
    where = f"'{path}'" if path else "standard output"
    return EsnsimError(
        f"cannot write {where}: {reason}; give a file in a folder that exists, may be written to "
        "and has room"
    )


def _to_stdout(text: str) -> None:
    if sys.stdout is None:
        raise OSError("it is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=ENCODING, errors=ERRORS)
    _flushed(sys.stdout, text)


def _flushed(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError:  # what is left must not be flushed again at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise
