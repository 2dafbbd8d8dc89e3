"""`esnsim cost` against its peers and the memory: `python -m benchmarks cost` (docs/benchmarks.md).

Every measurement is a process of its own and this one imports nothing heavy, so that its memory
is not in theirs. Tools take turns within each round; the first round warms up (file cache, byte
code, Numba's cache), samples memory and collects the answers, and no time of it is kept.
"""

import json
import shutil
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cost_report import render
from benchmarks.harness import (
    Benchmark,
    Document,
    Run,
    Spread,
    interleave,
    python,
    say,
    spread,
    turns,
)  # fmt: skip
from benchmarks.tools import OURS, TOOLS, Tool

LIBRARIES = ("numpy", "numba", "onnx", "onnxruntime", "protobuf")
INSTALL = "not installed: python -m pip install -e '.[bench]'"


@dataclass(frozen=True, slots=True)
class Case:
    """A model: `rounds` is a share of all rounds, `calls` the timed calls from Python in each.

    `held` are the bytes of weights that may be in memory at a time, 0 for all of them.
    """

    title: str
    rounds: float = 1
    calls: int = 0
    disk: int = 200_000_000  # bytes
    held: int = 0


CASES = {
    "resnet50": Case("ResNet-50, float32 weights", calls=1),
    "qonnx": Case("ResNet-50, 4-bit weights in QONNX's Quant nodes", rounds=1 / 3),
    "large": Case(
        "32 products of 4096×4096, external data", 1 / 3, disk=2_500_000_000, held=4 * 4096**2
    ),
}
BASE = "import numpy, onnx"
STARTS = ("--help", "cost builtin:resnet8")  # against what BASE takes
WARM = "from esnsim.quantization.weight_kernels import midrise; midrise()"  # as `selftest` does
COLD = ("resnet50.onnx", "qonnx.onnx", "builtin:resnet20 --step mse")


def measure(arguments: Namespace) -> dict[str, Any]:
    """All results, in a folder of models and caches."""
    rounds = arguments.rounds
    with TemporaryDirectory(prefix="esnsim-benchmark-") as name:
        folder = Path(name)
        (folder / "numba").mkdir()
        start(folder, "-c", WARM)
        models = {n: compare(folder, n, rounds) for n in arguments.models if make(folder, n)}
        passes = {
            f"{name}, {engine}": throughput(folder, name, engine, max(5, rounds))
            for name, engine in (("resnet50", "numba"), ("resnet50", "numpy"), ("large", "numba"))
            if name in models
        }
        cold_starts = {command: cold(folder, command) for command in COLD}
        started = starts(folder, rounds)
    return {"models": models, "passes": passes, "cold": cold_starts, "starts": started}


def disagreement(results: Document) -> bool:
    """Whether the answer of a tool is not the one expected."""
    tools = (tool for model in results["models"].values() for tool in model["tools"].values())
    return any(tool.get("agrees") is False for tool in tools)


def start(folder: Path, *arguments: str, cache: str = "numba", sample: bool = False) -> Run:
    """Run the interpreter, with Numba's cache in a folder of its own."""
    return python(folder, *arguments, sample=sample, NUMBA_CACHE_DIR=str(folder / cache))


def answer(folder: Path, *arguments: str, cache: str = "numba") -> Any:
    """What a module prints as JSON, or None after saying why there is none."""
    done = start(folder, "-m", *arguments, cache=cache)
    if done.code:
        say(f"{' '.join(arguments)}: {done.failure}")
        return None
    return json.loads(done.output)


def make(folder: Path, name: str) -> bool:
    """Write a model into the folder if its disk has room for it."""
    free, needed = shutil.disk_usage(folder).free, CASES[name].disk
    if free < needed:
        say(f"{name} is left out: it needs {needed:,} bytes of disk and {free:,} are free")
        return False
    say(f"making {name}")
    done = start(folder, "-m", "benchmarks.models", name, ".")
    if done.code:
        say(f"{name} is left out: {done.failure}")
    return done.code == 0


def compare(folder: Path, name: str, rounds: int) -> dict[str, Any]:
    """Every tool on a model: times, memory, answers."""
    case = CASES[name]
    rounds = max(3, round(rounds * case.rounds))
    results: dict[str, Any] = {}
    jobs: dict[tuple[str, str], Any] = {}
    for tool in TOOLS:
        say(f"{name}: {tool.name}, first run")
        result = results[tool.name] = first(folder, tool, name)
        if "failed" in result:
            continue
        jobs[tool.name, "command"] = partial(start, folder, *tool.command, f"{name}.onnx")
        if case.calls:
            timed = ("benchmarks.tools", tool.name, f"{name}.onnx", str(case.calls))
            jobs[tool.name, "call"] = partial(answer, folder, *timed)
    say(f"{name}: {rounds} rounds")
    for (tool_name, form), runs in interleave(jobs, rounds).items():
        result = results[tool_name]
        if form == "call":
            result[form] = spread(r["seconds"][0] for r in runs)
        else:
            result[form] = spread(r.seconds for r in runs)
            result["cpu"] = spread(r.cpu_seconds for r in runs)
    agree(results)
    size = sum(path.stat().st_size for path in folder.glob(f"{name}.*"))
    held = case.held or size
    return {"title": case.title, "bytes": size, "held": held, "rounds": rounds, "tools": results}


def first(folder: Path, tool: Tool, name: str) -> dict[str, Any]:
    """Memory and answer of a tool's first run, or why there are none."""
    if find_spec(tool.module) is None:
        return {"failed": INSTALL}
    done = start(folder, *tool.command, f"{name}.onnx", sample=True)
    memory = {"peak_rss": done.peak_rss, "peak_anonymous": done.peak_anonymous}
    if done.code:
        return {"failed": done.failure, "seconds": done.seconds, **memory}
    found = answer(folder, "benchmarks.tools", tool.name, f"{name}.onnx", "0")
    return {**memory, "answer": found and found["answer"]}


def agree(results: Mapping[str, Any]) -> None:
    """Note with each peer whether the part of its answer that should be ours is."""
    ours = results[OURS]["answer"]
    for tool in TOOLS:
        found = results[tool.name].get("answer")
        if found and tool.name != OURS:
            results[tool.name]["agrees"] = found["macs"] == ours[tool.counterpart]
            results[tool.name]["differs"] = tool.differs


def throughput(folder: Path, name: str, engine: str, rounds: int) -> dict[str, Any]:
    """Bytes per second of the passes over a model's weights and of a plain read."""
    say(f"passes over the weights of {name}, {engine}")
    words = ("benchmarks.bandwidth", f"{name}.onnx", str(rounds), engine)
    rates = answer(folder, *words, cache=engine)  # NumPy's holds no object code
    return {key: spread(values) for key, values in rates.items()}


def starts(folder: Path, rounds: int) -> dict[str, Spread]:
    """Seconds of whole commands that have little to do, and of loading NumPy and onnx alone."""
    say("starts")
    commands = {BASE: ("-c", BASE)} | {w: ("-m", "esnsim", *w.split()) for w in STARTS}
    jobs = {name: partial(seconds, folder, *words) for name, words in commands.items()}
    return turns(jobs, rounds, warm=1)


def seconds(folder: Path, *arguments: str) -> float:
    """What a process takes by the clock."""
    return start(folder, *arguments).seconds


def cold(folder: Path, words: str) -> dict[str, Any]:
    """Seconds of `esnsim cost` with Numba's cache filled, and empty."""
    say(f"cold start of {words}")
    arguments = ("-m", "esnsim", "cost", *words.split())
    if start(folder, *arguments).code:  # a model that was left out
        return {}
    empty = (f"numba-{words.split()[0]}-{index}" for index in range(3))
    jobs = {
        "warm": lambda: start(folder, *arguments).seconds,
        "cold": lambda: start(folder, *arguments, cache=next(empty)).seconds,
    }
    return turns(jobs, 3)


main = Benchmark(
    name="cost", text=__doc__, measure=measure, render=render,
    missed=disagreement,
    libraries=(*(tool.name for tool in TOOLS), *LIBRARIES),
    options={
        "--rounds": {"type": int, "default": 9, "help": "rounds on ResNet-50 (default 9)"},
        "--models": {"nargs": "+", "choices": list(CASES), "default": list(CASES)},
    },
)  # fmt: skip
