"""A sweep of 32 points of the embedded ResNet-20 on 1,000 images: `python -m benchmarks pareto`.

The whole command, statistics correction included, from start to exit, with one process and with
one a core; then the cost side of a sweep of 1,000 steps (benchmarks/rate.py). Answers are checked
first: costs against `esnsim.cost`, the frontier against its definition, accuracies against codes
and runs written down here once more.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.machine import load, machine, versions
from benchmarks.timing import Run, Spread, interleave, run

if TYPE_CHECKING:
    from esnsim import Network

RESULTS = Path(__file__).parent / "results" / "pareto.json"
ROOT = Path(__file__).parents[1]
MODEL = "builtin:resnet20"
GRID = ("--ratios", "0,0.25,0.5,0.75", "--bits", "1-8")
POINTS = 32
LIMIT = 60.0  # seconds of the sweep
FASTER = 50  # times: sorted weights against passes


def main(argv: list[str]) -> int:
    options = parser().parse_args(argv)
    cores = os.cpu_count() or 1
    sweeps = {jobs: lambda jobs=jobs: sweep("--jobs", str(jobs)) for jobs in (1, cores)}
    found = interleave(sweeps, options.rounds)
    documents = [document for runs in found.values() for _, document in runs]
    check_points(documents)
    check_accuracy()
    clock = {jobs: Spread.of([r.seconds for r, _ in runs]) for jobs, runs in found.items()}
    busy = {jobs: Spread.of([r.cpu_seconds for r, _ in runs]) for jobs, runs in found.items()}
    result: dict[str, Any] = {
        "benchmark": "pareto",
        "machine": machine(),
        "load": load(),
        "versions": versions(("numpy", "numba", "onnx", "onnxruntime")),
        "points": POINTS,
        "seconds_by_jobs": {str(jobs): asdict(spread) for jobs, spread in clock.items()},
        "cpu_seconds_by_jobs": {str(jobs): asdict(spread) for jobs, spread in busy.items()},
        "seconds_of_a_point": median(p["seconds"] for p in documents[0]["points"]),
    }
    for jobs, spread in clock.items():
        print(
            f"{POINTS} points, {jobs} process{'es' if jobs > 1 else ''}: {spread.median:.1f} s "
            f"({spread.least:.1f}–{spread.most:.1f}) by the clock, {busy[jobs].median:.1f} s of "
            f"processor time, start and exit included; {result['load']} processes wanted to run"
        )
    result["cost_side"] = cost_side(options.steps)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    slow = min(spread.median for spread in clock.values()) > LIMIT
    return int(slow or result["cost_side"]["ratio"] < FASTER)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="benchmarks pareto", description=__doc__)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=1000, help="of the cost side")
    p.add_argument("--output", type=Path, default=RESULTS)
    return p


def sweep(*words: str) -> tuple[Run, dict[str, Any]]:
    """The whole command as a process, and the document that it prints."""
    with TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "kernels"))),
        }
        command = (sys.executable, "-m", "esnsim", "pareto", MODEL, *GRID, "--json", "-q", *words)
        done = run(command, Path(folder), environment)
    if done.code:
        raise SystemExit(f"the sweep failed: {done.errors}")
    return done, json.loads(done.output)


def check_points(documents: list[dict[str, Any]]) -> None:
    """All sweeps found the same points; costs and the frontier are what they should be."""
    from esnsim import Scheme, cost, quantize, read_onnx

    points = [[{**p, "seconds": 0} for p in document["points"]] for document in documents]
    if any(p != points[0] for p in points) or len(points[0]) != POINTS:
        raise SystemExit("the sweeps differ, or have not all points")
    network = read_onnx(MODEL)
    for point in points[0]:
        if not point["ratio"]:
            total = cost(quantize(network, Scheme(bits=point["bits"]))).total
            if point["cost"] != total.esn_d_tilde.macs:
                raise SystemExit(f"a cost of {point['cost']}, and not {total.esn_d_tilde.macs}")
        beaten = any(
            q["cost"] <= point["cost"] and q["accuracy"] >= point["accuracy"]
            and (q["cost"], q["accuracy"]) != (point["cost"], point["accuracy"])
            for q in points[0]
        )  # fmt: skip
        if beaten == point["frontier"]:
            raise SystemExit("the frontier is not what no point dominates")


def check_accuracy() -> None:
    """Without correction, top-1 is that of App. A's codes in ONNX Runtime, done by hand."""
    _, document = sweep("--no-correct", "--ratios", "0", "--bits", "2-4")
    for point in document["points"]:
        right = naive_top1(point["bits"])
        if abs(point["accuracy"] - right) > 0.002:  # a tie of two classes may fall either way
            raise SystemExit(
                f"top-1 of {point['accuracy']} at {point['bits']} bits, and not {right}"
            )


def naive_top1(bits: int) -> float:
    """Appendix A written down once more, without esnsim's quantiser and sessions."""
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import numpy_helper

    from esnsim.images.sets import embedded
    from esnsim.importer import find

    model, images = onnx.load(find(MODEL)), embedded()
    weights = {node.input[1] for node in model.graph.node if node.op_type in ("Conv", "Gemm")}
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            w = numpy_helper.to_array(tensor).astype(np.float64)
            step = 2 * np.abs(w).max() / 2**bits
            rows = np.abs(w).reshape(len(w), -1).max(axis=1) < step / 2
            top = 2 ** (bits - 1) - 0.5
            q = np.clip(np.floor(w / step) + 0.5, -top, top) * (w != 0)
            q[rows] = 0
            tensor.CopyFrom(numpy_helper.from_array((step * q).astype(np.float32), tensor.name))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits = session.run(None, {session.get_inputs()[0].name: images.read(0, images.count)})[0]
    assert images.labels is not None
    return float((logits.argmax(axis=1) == images.labels).mean())


def cost_side(steps: int) -> dict[str, Any]:
    """Costs of many steps from sorted weights against direct passes and calls, ResNet-50."""
    from benchmarks.models import resnet50
    from benchmarks.rate import measure
    from esnsim import read_onnx

    network = read_onnx(resnet50())
    found = measure(network, steps)
    seconds, call = found["sorted_seconds"], call_seconds(network)
    found |= {"call_seconds": call, "ratio_of_calls": call * steps / seconds}
    print(
        f"{steps:,} steps of {found['weights']:,} weights: {seconds:.2f} s of a core from sorted "
        f"weights; by passes {found['direct_seconds_extrapolated']:.0f} s, {found['ratio']:.0f} "
        f"times, by calls {call * steps:.0f} s, {found['ratio_of_calls']:.0f} times; both "
        f"extrapolated from {found['direct_passes_timed']}"
    )
    return found


def call_seconds(network: "Network") -> float:
    """Processor time of `esnsim.cost(esnsim.quantize(…))` at one step, the median of five."""
    from esnsim import Scheme, cost, quantize

    times = []
    for _ in range(5):
        started = time.process_time()
        cost(quantize(network, Scheme(given_steps=0.01)))
        times.append(time.process_time() - started)
    return median(times)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
