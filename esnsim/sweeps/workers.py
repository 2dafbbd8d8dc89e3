"""Work on several processes of this machine. They share nothing, so each loads what it needs."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.resource_tracker import ensure_running
from typing import Any, Generic, TypeVar

from esnsim.errors import EsnsimError

ATTEMPTS = 2  # of an item whose worker died

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Worker(Generic[T]):
    """A process, the pipe to it, the item that it works on, and which attempt that is."""

    process: Any
    pipe: "Connection[Any, Any]"
    item: T | None = None
    attempt: int = 0


def spread(work: Callable[[T], R], items: Sequence[T], jobs: int) -> Generator[R, None, None]:
    """`work(item)` for every item on `jobs` processes, as they finish.

    `work` and items are pickled. An item whose worker dies is tried once more on a new one. The
    processes end with the generator: close it. Raises EsnsimError for an item that kills two.
    """
    waiting = deque((item, 1) for item in items)
    workers: list[Worker[T]] = []
    try:
        while waiting or any(worker.attempt for worker in workers):
            _hand_out(waiting, workers, work, jobs)
            ready = wait([worker.pipe for worker in workers if worker.attempt])
            for worker in [w for w in workers if w.pipe in ready]:
                try:
                    result = worker.pipe.recv()
                except (EOFError, OSError):  # its process is gone
                    workers.remove(worker)
                    waiting.appendleft(_again(worker))
                else:
                    worker.attempt = 0
                    yield result
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.process.join()


def _hand_out(
    waiting: deque[tuple[T, int]], workers: list[Worker[T]], work: Callable[[T], R], jobs: int
) -> None:
    """Items to workers that have none, and to new workers up to `jobs`."""
    while waiting:
        idle = next((worker for worker in workers if not worker.attempt), None)
        if idle is None and len(workers) == jobs:
            return
        if idle is None:
            workers.append(idle := _started(work))
        idle.item, idle.attempt = waiting.popleft()
        with suppress(OSError):  # a dead worker is found out where its answer is read
            idle.pipe.send(idle.item)


def _started(work: Callable[[T], R]) -> Worker[T]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs), daemon=True)
    with _without_interrupts():  # a process that begins inherits it
        process.start()
    theirs.close()  # or the end of the process would not end the pipe
    return Worker(process, ours)


def _again(worker: Worker[T]) -> tuple[T, int]:
    worker.process.join()
    if worker.attempt >= ATTEMPTS or worker.item is None:
        raise EsnsimError(
            f"{worker.item} ended its process {worker.attempt} times (exit code "
            f"{worker.process.exitcode}): give fewer --jobs if memory is short; finished points "
            "are kept, --resume goes on"
        )
    return worker.item, worker.attempt + 1


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C is for the process that the others work for, from their first instruction on.

    It waits until a process has begun, which inherits that it is blocked.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # the tracker of processes, whose start would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(work: Callable[[T], R], pipe: "Connection[Any, Any]") -> None:
    """Work on what comes until the other end goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            pipe.send(work(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
