"""Files damaged in some hundred ways, always the same ones."""

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from esnsim import EsnsimError

PIECES = (
    b"", b"\0", b"\xff", b"[", b"]", b"{", b"}", b":", b"*a", b"&a ", b"nan", b"inf", b"-1", b'"',
    b"\n", b"true", b"null", b"1e999", b"9" * 400, b"0x" + b"f" * 5000, b"1:" * 300,
)  # fmt: skip
MOST_BYTES = 1 << 27  # that reading a small file may take


def damaged(data: bytes, seed: int) -> bytes:
    """The bytes with up to three pieces put in, left out or changed."""
    rng, found = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randrange(len(found) + 1), rng.choice((0, 1, 3, 20))
        found[at : at + size] = rng.choice(PIECES)
    return bytes(found)


def refusals(
    path: Path, data: bytes, read: Callable[[Path], object], times: int = 150
) -> list[str]:
    """What is said of a file damaged so many times, or with 0 as it is.

    Nothing but an EsnsimError of one line is raised, and little memory is taken.
    """
    said = []
    tracemalloc.start()
    for seed in range(max(1, times)):
        path.unlink(missing_ok=True)  # ext4 waits for the disk where a file is written over
        path.write_bytes(damaged(data, seed) if times else data)
        try:
            read(path)
        except EsnsimError as error:
            said.append(str(error))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES
    assert all("\n" not in each and len(each) < 2000 for each in said)
    return said
