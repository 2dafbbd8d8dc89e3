"""Work for processes that tests start: they import this file by its name."""

import os
import signal
import time
from pathlib import Path


def square(item: int) -> tuple[int, int, int]:
    """The item, its square, and who did it."""
    return item, item * item, os.getpid()


def slow_square(item: int) -> tuple[int, int, int]:
    time.sleep(0.05)
    return square(item)


def die_once(folder: Path, item: int) -> tuple[int, int, int]:
    """Its worker is killed the first time that it is asked for item 2."""
    if item == 2 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(item)


def die(item: int) -> int:
    os._exit(7)
