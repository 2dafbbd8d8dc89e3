"""What every benchmark shares: options, processes, turns, checked answers, tables, results files.

A benchmark is a `Benchmark` under the name `main` in a module that `benchmarks.__main__` lists. It
checks its answers before it times them, lets what it compares take turns, and prints ratios with
their base. Nothing heavy is imported here: the peak memory that Linux reports for a process starts
at what its parent held when it was forked.
"""

import json
import os
import platform
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
FLAGS = ("avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_vpopcntdq", "asimd", "sve")
SAMPLE = 0.002  # seconds between two looks at a process's memory
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss

Document = Mapping[str, Any]
Spread = dict[str, float]
K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What is measured, how its results read, and when a goal or an answer is missed.

    `measure` gives what the results file holds beside machine, versions of `libraries`, and load.
    `options` are a flag's default, or its keywords of `add_argument`. Without `keeps` results are
    only written where `--output` says so; where it `resumes`, by `measure` itself, as they come.
    """

    name: str
    text: str | None
    measure: Callable[[Namespace], dict[str, Any]]
    render: Callable[[Document], str]
    missed: Callable[[Document], object] = lambda _: False
    libraries: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    keeps: bool = True
    resumes: bool = False

    def __call__(self, words: Sequence[str]) -> int:
        """Measure, write, print; 1 where a goal or an answer is missed."""
        arguments, before = self.parser().parse_args(words), load()
        results = self.measure(arguments)
        document = {
            "schema": f"esnsim.benchmark.{self.name}/1",
            "machine": machine(),
            "versions": versions(self.libraries),
            "load": [before, load()],
            **results,
        }
        if arguments.output and not self.resumes:
            write(arguments.output, document)
        print(self.render(document))
        return int(bool(self.missed(document)))

    def parser(self) -> ArgumentParser:
        """The options, and where results are written."""
        parser = ArgumentParser(prog=f"benchmarks {self.name}", description=self.text)
        for flag, given in self.options.items():
            how = given if isinstance(given, dict) else {"type": type(given), "default": given}
            parser.add_argument(flag, **how)
        file = RESULTS / f"{self.name}.json" if self.keeps else None
        flags = ("-o", "--output", "--json")
        parser.add_argument(*flags, type=Path, default=file, metavar="FILE", help="JSON of results")
        return parser


def write(path: Path, document: Document) -> None:
    """Results as a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def kept(path: Path) -> dict[str, Any]:
    """What an earlier run left in a results file, nothing where there is none."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def say(text: str) -> None:
    """How far the benchmark is, on stderr."""
    print(text, file=sys.stderr, flush=True)


def check(right: object, message: str) -> None:
    """Raise ArithmeticError where an answer is not right: no time of it would mean anything."""
    if not right:
        raise ArithmeticError(message)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def goal(met: bool, text: str) -> str:
    """A goal, and whether it is met."""
    return f"{text}: {'met' if met else 'missed'}"


def circumstances(document: Document) -> str:
    """Machine, load and versions of a results file, in a line."""
    facts = document["machine"]
    cache, memory = facts.get("last_level_cache") or 0, facts.get("memory") or 0
    numbers = (f"{name} {number or 'absent'}" for name, number in document["versions"].items())
    return (
        f"{facts['processor']}, {facts['cores']} cores, {' '.join(facts['flags'])}; "
        f"{cache / 1e6:.0f} MB of last-level cache, {memory / 1e9:.0f} GB; load "
        f"{document['load'][0]} before, {document['load'][1]} after; {', '.join(numbers)}"
    )


def spread(values: Iterable[float]) -> Spread:
    """Median, least and most of at least one measurement."""
    kept = list(values)
    return {"median": median(kept), "least": min(kept), "most": max(kept)}


def told(found: Spread, unit: float = 1, digits: int = 2) -> str:
    """Median (least–most), in units."""
    middle, low, high = (f"{found[key] / unit:.{digits}f}" for key in ("median", "least", "most"))
    return f"{middle} ({low}–{high})"


def ratio(found: Spread, base: Spread) -> float:
    """A median over that of its base."""
    return found["median"] / base["median"]


def interleave(jobs: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """The results of every job in each round; every other round goes backwards."""
    results: dict[K, list[T]] = {name: [] for name in jobs}
    for index in range(rounds):
        for name in list(jobs)[:: 1 if index % 2 == 0 else -1]:
            results[name].append(jobs[name]())
    return results


def turns(jobs: Mapping[K, Callable[[], float]], rounds: int, warm: int = 0) -> dict[K, Spread]:
    """What jobs measure in turns, after rounds that warm up and are not kept."""
    interleave(jobs, warm)
    return {name: spread(values) for name, values in interleave(jobs, rounds).items()}


def timed(
    work: Callable[[], object], times: int = 1, clock: Callable[[], float] = time.perf_counter
) -> Callable[[], float]:
    """Seconds of the quickest of a few runs in a row: the others met other processes."""

    def measure() -> float:
        seconds = []
        for _ in range(times):
            started = clock()
            work()
            seconds.append(clock() - started)
        return min(seconds)

    return measure


@dataclass(frozen=True, slots=True, kw_only=True)
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

    @property
    def failure(self) -> str:
        """The last thing that a failed process said."""
        return (self.errors.strip().splitlines() or [f"exit code {self.code}"])[-1][:200]


def python(folder: Path, *arguments: str, sample: bool = False, **environment: str) -> Run:
    """Run the interpreter on this tree, in a folder."""
    # Settings such as PYTHONDONTWRITEBYTECODE would slow tools by different amounts.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    kept["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "kernels")))
    return run((sys.executable, *arguments), folder, kept | environment, sample)


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
            seconds=seconds, cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_rss=usage.ru_maxrss * UNIT, peak_anonymous=anonymous, code=process.returncode,
            output=_text(out), errors=_text(err),
        )  # fmt: skip


def _watch(pid: int) -> int | None:
    """The most anonymous memory (bytes) that was seen until the process ended."""
    status, peak = Path(f"/proc/{pid}/status"), None
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if anonymous := _kib(_facts(status).get("RssAnon")):
            peak = max(peak or 0, anonymous)
        time.sleep(SAMPLE)
    return peak


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def machine() -> dict[str, object]:
    """Processor, its vector instructions, cores, last-level cache and memory in bytes."""
    facts = _facts(Path("/proc/cpuinfo"))
    flags = facts.get("flags", facts.get("Features", "")).split()
    caches = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": facts.get("model name", platform.processor()),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "last_level_cache": _kib(caches[-1].read_text()) if caches else None,
        "memory": _kib(_facts(Path("/proc/meminfo")).get("MemTotal")),
    }


def versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each distribution, None where it is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in distributions}


def load() -> float:
    """How many processes wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _facts(path: Path) -> dict[str, str]:
    """The first value of each key in a file of `key : value` lines; empty where there is none."""
    facts: dict[str, str] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return facts


def _kib(text: str | None) -> int | None:
    return 1024 * int(text.split()[0].rstrip("K\n")) if text else None
