"""The bit-serial kernel on random tensors: rates, checked answers, and peers."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from esnsim_kernels import bitserial

from esnsim.errors import EsnsimError
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.random_layers import matrix_layer
from esnsim.quantization.quantizer import codes
from esnsim.report.write import say
from esnsim.threads import workers
from esnsim.units import human

PEERS = ("torch", "onnxruntime")
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A matrix product on random integers."""

    filters: int
    reduction: int
    windows: int
    activation_bits: int
    seed: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.filters * self.reduction * self.windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Seconds of one width plane by plane, and rates per second; `roofline` is the share of it.

    `engine_seconds` are those of the kernel that `simulate` takes, products of whole codes mostly.
    """

    bits: int
    seconds: float
    engine_seconds: float
    one_bit_macs: float
    macs: float
    roofline: float
    numpy_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What a task took at each width; `roofline` in one-bit MACs per second, `peers` by name."""

    task: Task
    threads: int
    roofline: float
    figures: tuple[Figure, ...]
    peers: Mapping[str, dict[str, Any] | None]

    def as_json(self) -> str:
        """Everything as a JSON document."""
        document = {
            "schema": "esnsim.bench/1",
            "task": asdict(self.task),
            "threads": self.threads,
            "roofline_one_bit_macs_per_second": self.roofline,
            "widths": [asdict(figure) for figure in self.figures],
            "peers": self.peers,
        }
        return json.dumps(document, indent=1) + "\n"

    def table(self) -> str:
        """Rates of each width, and how the widest compares with peers."""
        task, widest = self.task, self.figures[-1]
        lines = [
            f"{task.filters} filters × {task.reduction} weights × {task.windows} windows, "
            f"{task.activation_bits}-bit activations: {human(task.macs)} MACs",
            f"popcount roofline {human(self.roofline)} one-bit MACs/s",
            "",
            f"{'':4}  {'bit planes':>10}  {'':14}  {'':8}  {'engine':>8}",
            f"{'bits':>4}  {'ms':>10}  {'one-bit MACs/s':>14}  {'roofline':>8}  {'ms':>8}  "
            f"{'MACs/s':>8}  {'NumPy int64 ÷ engine':>20}",
        ]
        lines += [
            f"{f.bits:4d}  {1e3 * f.seconds:10.2f}  {human(f.one_bit_macs):>14}  "
            f"{100 * f.roofline:6.0f} %  {1e3 * f.engine_seconds:8.2f}  "
            f"{human(task.macs / f.engine_seconds):>8}  {f.numpy_seconds / f.engine_seconds:20.1f}"
            for f in self.figures
        ]
        lines += [
            f"{result['what']}: {1e3 * result['seconds']:.2f} ms; ours at {widest.bits} bits takes "
            f"{widest.engine_seconds / result['seconds']:.2f} times that"
            for result in self.peers.values()
            if result is not None
        ]
        return "\n".join(lines) + "\n"


def bench(
    task: Task, widths: Sequence[int], threads: int = 0, repeats: int = 5, peers: bool = True
) -> Benchmark:
    """Measure a task at each width, on `threads` (0: one a core)."""
    threads = workers(threads)
    peak = popcount_roofline(threads)
    return Benchmark(
        task=task,
        threads=threads,
        roofline=peak,
        figures=tuple(measure(task, bits, threads, repeats, peak) for bits in widths),
        peers={name: peer(name, task, threads, repeats) for name in PEERS} if peers else {},
    )


def popcount_roofline(
    threads: int, seconds: float = 0.3, bare: bool = False, clock: Clock = time.perf_counter
) -> float:
    """One-bit MACs per second of AND, popcount and add on operands that stay in L1, all threads.

    `bare` leaves adding out. The best of many short rounds, since whatever else runs can only make
    it less; a clock of processor time does not see it.
    """
    rng = np.random.default_rng(0)
    words, n, repeats = 8, 128, 6000
    loop = bitserial.roofline_bare if bare else bitserial.roofline

    def work(_: int) -> None:
        weights = rng.integers(0, 1 << 63, (4, words), dtype=np.uint64)
        bits = rng.integers(0, 1 << 63, (words, n), dtype=np.uint64)
        loop(weights, bits, np.zeros((4, n), np.uint64), repeats)

    work(0)
    best, until = 9e9, time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        while time.perf_counter() < until:
            best = min(best, _timed(lambda: list(pool.map(work, range(threads))), clock))
    return 4 * words * 64 * n * repeats * threads / best


def measure(task: Task, bits: int, threads: int, repeats: int, peak: float) -> Figure:
    """Both our ways and NumPy's product of the same integers, in turns. Raises if they differ."""
    rng = np.random.default_rng(task.seed)
    layer = matrix_layer(task.filters, task.reduction, bits, rng)
    x = rng.integers(0, 1 << task.activation_bits, (task.windows, task.reduction)).astype(np.int32)
    spec, q = ArraySpec(activation_bits=task.activation_bits), codes(layer).astype(np.int64)
    engines = [DigitalEngine(spec, threads, planes) for planes in (True, False)]
    programs = [engine.prepare(layer) for engine in engines]
    outputs: dict[int, Any] = {}

    def run(way: int) -> None:
        if way == len(engines):
            outputs[way] = x.astype(np.int64) @ q.T
        else:
            outputs[way] = engines[way].run(layer, x, program=programs[way]).outputs

    run(0)
    run(1)
    times: list[list[float]] = [[], [], []]
    for _ in range(repeats):
        for way, mine in enumerate(times):
            mine.append(_timed(partial(run, way)))
        if not all(np.array_equal(found, outputs[2]) for found in outputs.values()):
            raise EsnsimError(f"the kernel's result at {bits} bits is wrong: please report this")
    seconds, engine_seconds, numpy_seconds = map(median, times)
    one_bit = task.macs * bits * task.activation_bits / seconds
    return Figure(
        bits=bits,
        seconds=seconds,
        engine_seconds=engine_seconds,
        one_bit_macs=one_bit,
        macs=task.macs / seconds,
        roofline=one_bit / peak,
        numpy_seconds=numpy_seconds,
    )


def peer(name: str, task: Task, threads: int, repeats: int) -> dict[str, Any] | None:
    """A peer's seconds for the same product, in a process of its own; None if not installed."""
    given = json.dumps(asdict(task) | {"threads": threads, "repeats": repeats})
    command = [sys.executable, "-m", "esnsim.selfcheck.bench_peers", name, given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"{name} is left out: {(done.stderr.strip() or 'it failed').splitlines()[-1]}")
        return None
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _timed(work: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    start = clock()
    work()
    return clock() - start
