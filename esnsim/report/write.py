"""Results to files, whole or not at all, and to standard output; talk to standard error."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esnsim.errors import EsnsimError
from esnsim.report.units import printable

STDOUT = (Path("-"), Path("/dev/stdout"))
DEVICES = (Path("/dev"), Path("/dev/fd"))  # folders of what is written to, never replaced
ENCODING, ERRORS = "utf-8", "backslashreplace"  # names of files may be no Unicode


def say(text: str) -> None:
    """One line to standard error."""
    if sys.stderr is not None:  # it is None where the shell closed it
        print(f"esnsim: {printable(text)}", file=sys.stderr)


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
        if path.parent in DEVICES or (path.exists() and not path.is_file()):
            path.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data)


@contextmanager
def _failures(path: Path | None) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"'{path}'" if path else "standard output"
        raise EsnsimError(
            f"cannot write {where}: {error.strerror or error}; give a file in a folder that "
            "exists, may be written to and has room"
        ) from None


def _to_stdout(text: str) -> None:
    if sys.stdout is None:
        raise OSError("it is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=ENCODING, errors=ERRORS)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:  # what is left must not be flushed again at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".esnsim.{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
