"""`esnsim cost` against its peers and the memory: `python -m benchmarks cost` (docs/benchmarks.md).

Every measurement is a process of its own and this one imports nothing heavy, so that its memory
is not in theirs. Tools take turns within each round; the first round warms up (file cache, byte
code, Numba's cache), samples memory and collects the answers, and no time of it is kept.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cost_report import render
from benchmarks.machine import load, machine, versions
from benchmarks.timing import Run, Spread, interleave, run
from benchmarks.tools import OURS, TOOLS, Tool

RESULTS = Path(__file__).parent / "results" / "cost.json"
ROOT = Path(__file__).parents[1]
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
COLD = ("resnet50.onnx", "qonnx.onnx", "builtin:resnet20 --step mse")


@dataclass(frozen=True, slots=True)
class Bench:
    """Where processes run: the folder of models and caches, and the number of rounds."""

    folder: Path
    rounds: int

    def python(self, *arguments: str, sample: bool = False, numba: str = "numba") -> Run:
        """Run the interpreter, with Numba's cache in the folder `numba`."""
        # Settings such as PYTHONDONTWRITEBYTECODE would slow the tools by different amounts.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "kernels"))),
            "NUMBA_CACHE_DIR": str(self.folder / numba),
        }
        return run((sys.executable, *arguments), self.folder, environment, sample)

    def json(self, *arguments: str) -> Any:
        """What a process prints as JSON, or None after saying why there is none."""
        done = self.python("-m", *arguments)
        if done.code:
            print(f"{' '.join(arguments)}: {failure(done)}", file=sys.stderr)
            return None
        return json.loads(done.output)


def main(options: Sequence[str]) -> int:
    """Measure, print, write the results; 1 if a tool's answer is not the one expected."""
    arguments = parser().parse_args(options)
    with TemporaryDirectory(prefix="esnsim-benchmark-") as folder:
        results = measure(Bench(Path(folder), arguments.rounds), arguments.models)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(render(results))
    tools = [tool for model in results["models"].values() for tool in model["tools"].values()]
    return int(any(tool.get("agrees") is False for tool in tools))


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="benchmarks cost", description=__doc__)
    p.add_argument("--rounds", type=int, default=9, help="rounds on ResNet-50 (default 9)")
    p.add_argument("--models", nargs="+", choices=list(CASES), default=list(CASES))
    p.add_argument("-o", "--output", type=Path, default=RESULTS, help="JSON of the results")
    return p


def measure(bench: Bench, names: Sequence[str]) -> dict[str, Any]:
    """All results, as they are written."""
    before = load()
    distributions = (*(tool.name for tool in TOOLS), *LIBRARIES)
    models = {name: compare(bench, name) for name in names if make(bench, name)}
    passes = {
        f"{name}, {engine}": throughput(bench, name, engine)
        for name, engine in (("resnet50", "numba"), ("resnet50", "numpy"), ("large", "numba"))
        if name in models
    }
    return {
        "schema": "esnsim.benchmark.cost/1",
        "machine": machine(),
        "versions": versions(distributions),
        "load": [before, load()],
        "models": models,
        "passes": passes,
        "cold": {command: cold(bench, command) for command in COLD},
    }


def make(bench: Bench, name: str) -> bool:
    """Write a model into the folder if its disk has room for it."""
    free, needed = shutil.disk_usage(bench.folder).free, CASES[name].disk
    if free < needed:
        say(f"{name} is left out: it needs {needed:,} bytes of disk and {free:,} are free")
        return False
    say(f"making {name}")
    done = bench.python("-m", "benchmarks.models", name, ".")
    if done.code:
        say(f"{name} is left out: {failure(done)}")
    return done.code == 0


def compare(bench: Bench, name: str) -> dict[str, Any]:
    """Every tool on a model: times, memory, answers."""
    case = CASES[name]
    rounds = max(3, round(bench.rounds * case.rounds))
    results: dict[str, Any] = {}
    jobs: dict[tuple[str, str], Any] = {}
    for tool in TOOLS:
        say(f"{name}: {tool.name}, first run")
        result = results[tool.name] = first(bench, tool, name)
        if "failed" in result:
            continue
        jobs[tool.name, "command"] = partial(bench.python, *tool.command, f"{name}.onnx")
        if case.calls:
            timed = ("benchmarks.tools", tool.name, f"{name}.onnx", str(case.calls))
            jobs[tool.name, "call"] = partial(bench.json, *timed)
    say(f"{name}: {rounds} rounds")
    for (tool_name, form), runs in interleave(jobs, rounds).items():
        result = results[tool_name]
        if form == "call":
            result[form] = asdict(Spread.of([r["seconds"][0] for r in runs]))
        else:
            result[form] = asdict(Spread.of([r.seconds for r in runs]))
            result["cpu"] = asdict(Spread.of([r.cpu_seconds for r in runs]))
    agree(results)
    size = sum(path.stat().st_size for path in bench.folder.glob(f"{name}.*"))
    held = case.held or size
    return {"title": case.title, "bytes": size, "held": held, "rounds": rounds, "tools": results}


def first(bench: Bench, tool: Tool, name: str) -> dict[str, Any]:
    """Memory and answer of a tool's first run, or why there are none."""
    if find_spec(tool.module) is None:
        return {"failed": INSTALL}
    done = bench.python(*tool.command, f"{name}.onnx", sample=True)
    memory = {"peak_rss": done.peak_rss, "peak_anonymous": done.peak_anonymous}
    if done.code:
        return {"failed": failure(done), "seconds": done.seconds, **memory}
    answer = bench.json("benchmarks.tools", tool.name, f"{name}.onnx", "0")
    return {**memory, "answer": answer and answer["answer"]}


def agree(results: dict[str, Any]) -> None:
    """Note with each peer whether the part of its answer that should be ours is."""
    ours = results[OURS]["answer"]
    for tool in TOOLS:
        answer = results[tool.name].get("answer")
        if answer and tool.name != OURS:
            results[tool.name]["agrees"] = answer["macs"] == ours[tool.counterpart]
            results[tool.name]["differs"] = tool.differs


def throughput(bench: Bench, name: str, engine: str) -> dict[str, Any]:
    """Bytes per second of the passes over a model's weights and of a plain read."""
    say(f"passes over the weights of {name}, {engine}")
    rounds = str(max(5, bench.rounds))
    rates = bench.json("benchmarks.bandwidth", f"{name}.onnx", rounds, engine)
    return {key: asdict(Spread.of(values)) for key, values in rates.items()}


def cold(bench: Bench, command: str) -> dict[str, Any]:
    """Seconds of `esnsim cost` with Numba's cache filled, and empty."""
    say(f"cold start of {command}")
    arguments = ("-m", "esnsim", "cost", *command.split())
    if bench.python(*arguments).code:  # a model that was left out
        return {}
    empty = (f"numba-{command.split()[0]}-{index}" for index in range(3))
    jobs = {
        "warm": lambda: bench.python(*arguments).seconds,
        "cold": lambda: bench.python(*arguments, numba=next(empty)).seconds,
    }
    return {key: asdict(Spread.of(values)) for key, values in interleave(jobs, 3).items()}


def failure(done: Run) -> str:
    """The last thing that a failed process said."""
    lines = done.errors.strip().splitlines() or [f"exit code {done.code}"]
    return lines[-1][:200]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
