"""A sweep of 32 points of the embedded ResNet-20 on 1,000 images: `python -m benchmarks pareto`.

The whole command, statistics correction included, from start to exit, with one process and with
one a core; then the cost side of a sweep of 1,000 steps (benchmarks/rate.py). Answers are checked
first: costs against `esnsim.cost`, the frontier against its definition, accuracies against codes
and runs written down here once more.
"""

import json
import os
import time
from argparse import Namespace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Benchmark, Document, check, interleave, python, spread, timed, told

if TYPE_CHECKING:
    from esnsim import Network

MODEL = "builtin:resnet20"
GRID = ("--ratios", "0,0.25,0.5,0.75", "--bits", "1-8")
POINTS = 32
LIMIT = 60.0  # seconds of the sweep
FASTER = 50  # times: sorted weights against passes


def measure(arguments: Namespace) -> dict[str, Any]:
    """Sweeps with one process and with one a core, checked; the cost side of a sweep."""
    cores = os.cpu_count() or 1
    sweeps = {str(n): lambda n=n: sweep("--jobs", str(n)) for n in (1, cores)}
    found = interleave(sweeps, arguments.rounds)
    documents = [document for runs in found.values() for _, document in runs]
    check_points(documents)
    check_accuracy()
    return {
        "points": POINTS,
        "seconds_by_jobs": {n: spread(r.seconds for r, _ in runs) for n, runs in found.items()},
        "cpu_seconds_by_jobs": {
            n: spread(r.cpu_seconds for r, _ in runs) for n, runs in found.items()
        },
        "seconds_of_a_point": median(p["seconds"] for p in documents[0]["points"]),
        "cost_side": cost_side(arguments.steps),
    }


def render(results: Document) -> str:
    clock, busy = results["seconds_by_jobs"], results["cpu_seconds_by_jobs"]
    lines = [
        f"{POINTS} points, --jobs {jobs}: {told(taken, digits=1)} s by the clock, "
        f"{busy[jobs]['median']:.1f} s of processor time, start and exit included"
        for jobs, taken in clock.items()
    ]
    side = results["cost_side"]
    steps, passes = side["steps"], side["direct_seconds_extrapolated"]
    lines.append(
        f"{steps:,} steps of {side['weights']:,} weights: {side['sorted_seconds']:.2f} s of a core "
        f"from sorted weights; by passes {passes:.0f} s, {side['ratio']:.0f} times, by calls "
        f"{side['call_seconds'] * steps:.0f} s, {side['ratio_of_calls']:.0f} times; both "
        f"extrapolated from {side['direct_passes_timed']}"
    )
    return "\n".join(lines)


def slow(results: Document) -> object:
    """Whether a goal is missed."""
    quickest = min(taken["median"] for taken in results["seconds_by_jobs"].values())
    return quickest > LIMIT or results["cost_side"]["ratio"] < FASTER


def sweep(*words: str) -> tuple[Any, dict[str, Any]]:
    """The whole command as a process, and the document that it prints."""
    with TemporaryDirectory() as folder:
        options = (*GRID, "--json", "-q", *words)
        done = python(Path(folder), "-m", "esnsim", "pareto", MODEL, *options)
        if done.code:
            raise SystemExit(done.errors)
        return done, json.loads(done.output)


def check_points(documents: list[dict[str, Any]]) -> None:
    """All sweeps found the same points; costs and the frontier are what they should be."""
    from esnsim import Scheme, cost, quantize, read_onnx

    first, *others = ([{**p, "seconds": 0} for p in document["points"]] for document in documents)
    same = all(points == first for points in others) and len(first) == POINTS
    check(same, "the sweeps differ, or have not all points")
    network = read_onnx(MODEL)
    for point in first:
        if not point["ratio"]:
            tilde = cost(quantize(network, Scheme(bits=point["bits"]))).total.esn_d_tilde.macs
            check(point["cost"] == tilde, f"a cost of {point['cost']}, and not {tilde}")
        beaten = any(
            q["cost"] <= point["cost"] and q["accuracy"] >= point["accuracy"]
            and (q["cost"], q["accuracy"]) != (point["cost"], point["accuracy"])
            for q in first
        )  # fmt: skip
        check(beaten != point["frontier"], "the frontier is not what no point dominates")


def check_accuracy() -> None:
    """Without correction, top-1 is that of App. A's codes in ONNX Runtime, done by hand."""
    _, document = sweep("--no-correct", "--ratios", "0", "--bits", "2-4")
    for point in document["points"]:
        bits, top1, right = point["bits"], point["accuracy"], naive_top1(point["bits"])
        close = abs(top1 - right) <= 0.002  # a tie of two classes may fall either way
        check(close, f"top-1 of {top1} at {bits} bits, and not {right}")


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
    from benchmarks import rate
    from benchmarks.models import resnet50
    from esnsim import read_onnx

    network = read_onnx(resnet50())
    found = rate.measure(network, steps)
    call = median(timed(lambda: priced(network), clock=time.process_time)() for _ in range(5))
    return found | {"call_seconds": call, "ratio_of_calls": call * steps / found["sorted_seconds"]}


def priced(network: "Network") -> object:
    """The cost at one step, by a call."""
    from esnsim import Scheme, cost, quantize

    return cost(quantize(network, Scheme(given_steps=0.01)))


main = Benchmark(
    name="pareto", text=__doc__, measure=measure, render=render,
    missed=slow,
    libraries=("numpy", "numba", "onnx", "onnxruntime"),
    options={"--rounds": 3, "--steps": {"type": int, "default": 1000, "help": "of the cost side"}},
)  # fmt: skip
