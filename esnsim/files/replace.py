"""Files written whole or not at all, by way of a temporary one beside them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` once it is whole and on the disk.

    Where that fails, `path` is as it was and nothing is left beside it. Mode and owner of a file
    that is replaced are kept, and so is a link to it. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".esnsim.{os.urandom(8).hex()}")
    file = temporary.open("xb")  # never a file that is there: only what was made here is removed
    try:
        with file:
            yield file
            file.flush()
            _adopt(file.fileno(), target)
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, by links or spelling."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:  # one is not there, or may not be looked at
        return False


def _adopt(file: int, target: Path) -> None:
    """Give an open file the owner and the mode of the one whose place it takes."""
    try:
        old, new = target.stat(), os.fstat(file)
    except FileNotFoundError:
        return
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with suppress(OSError):  # only root may give files away
            os.fchown(file, old.st_uid, old.st_gid)
    os.fchmod(file, S_IMODE(old.st_mode))


def _sync(folder: Path) -> None:
    """Have the new name on the disk as well, where the system can do that."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
