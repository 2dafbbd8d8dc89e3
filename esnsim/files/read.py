"""Small files that strangers wrote, read bounded."""

import os
import stat
from pathlib import Path

PAGE = 1 << 16  # bytes that files may hold which say that they have none, as those of /proc


def read_small(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file of at most `most_bytes`.

    Raises ValueError for larger ones and for pipes and devices, which may have no end; OSError
    where it cannot be opened.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would wait
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        data = file.read(min(most_bytes, max(status.st_size, PAGE)) + 1)  # read allocates that
    if len(data) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes:,} bytes")
    return data
