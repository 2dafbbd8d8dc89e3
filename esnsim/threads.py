"""Threads that work: how many, at most a few for each core, and items worked on ahead."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

A_CORE = 4  # more of them only wait for each other, and each session and engine starts its own
AHEAD = 4  # items that are in memory beside the one that is read, at most

T = TypeVar("T")
R = TypeVar("R")


def workers(asked: int) -> int:
    """Threads for `asked`, where 0 is one a core."""
    return min(asked, A_CORE * _cores()) or _cores()


def pool(threads: int = 0) -> ThreadPoolExecutor:
    """So many threads, 0 one a core, that all work of a process shares and a forked one has anew.

    Starting some takes as long as a small layer; they wait without spinning.
    """
    return _pool(threads or _cores(), os.getpid())


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "esnsim")


def ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work(item)` in order, on threads while the next items are made; few are there at a time."""
    waiting, most = deque[Future[R]](), min(AHEAD, _cores())
    for item in items:
        waiting.append(pool().submit(work, item))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@cache
def _cores() -> int:
    """Asked once: it takes as long as a small layer."""
    return os.cpu_count() or 1
