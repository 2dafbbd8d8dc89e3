"""Processes measured: time, peak memory, interleaved rounds, medians with their spread.

Keep the process that measures small: the peak that Linux reports for a child starts at what its
parent held when it was forked.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import IO, TypeVar

SAMPLE = 0.002  # seconds between two looks at a process's memory
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and most of repeated measurements."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Run:
    """A finished process: seconds by the clock and of processor time.

    `peak_rss` (bytes) includes the pages of mapped files, which the system may take back at any
    time; `peak_anonymous` (bytes) leaves them out, None where it was not sampled.
    """

    seconds: float
    cpu_seconds: float
    peak_rss: int
    peak_anonymous: int | None
    code: int
    output: str
    errors: str


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], sample: bool = False
) -> Run:
    """Run a process in `folder` to its end; with `sample`, look at its memory meanwhile."""
    with TemporaryFile() as out, TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env=environment
        )
        anonymous = _watch(process.pid) if sample else None
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        return Run(
            seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * UNIT, anonymous,
            process.returncode, _text(out), _text(err),
        )  # fmt: skip


def interleave(jobs: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """The results of every job in each round; every other round goes backwards."""
    results: dict[K, list[T]] = {name: [] for name in jobs}
    for index in range(rounds):
        for name in list(jobs)[:: 1 if index % 2 == 0 else -1]:
            results[name].append(jobs[name]())
    return results


def _watch(pid: int) -> int | None:
    """The most anonymous memory (bytes) that was seen until the process ended."""
    status, peak = Path(f"/proc/{pid}/status"), None
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if status.exists():
            for line in status.read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak or 0, 1024 * int(line.split()[1]))
        time.sleep(SAMPLE)
    return peak


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
