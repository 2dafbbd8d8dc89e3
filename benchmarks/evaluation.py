"""Statistics corrected and not, by step rule and width; sessions with constant and fed weights.

`python -m benchmarks evaluation [--data FOLDER]`: a folder with the idx files of Fashion-MNIST
gives 256 training images to correct with and its 10,000 test images to evaluate; without it the
first 256 of the embedded images correct and the other 744 are evaluated.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from benchmarks.harness import Benchmark, Document, say, table, timed, turns
from benchmarks.runtime import fold, halves
from esnsim.compression.correct.meters import Norm, meters
from esnsim.compression.correct.recalibrate import Corrector
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.feeds import Feeds
from esnsim.evaluate.runtime import open_runtime, run
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.model import Model, open_model
from esnsim.graph.sites import Slot, sites
from esnsim.graph.substitute import Changes, complete, copied, dequantized, renamed, with_weights
from esnsim.images.sets import ImageSet, embedded
from esnsim.importer import find
from esnsim.model.network import Array
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme

MODELS = ("resnet20", "resnet8")
Row = dict[str, Any]
SIDES = ("off", "on")
HEAD = (
    "model", "scheme", "top-1, %", "corrected", "SQNR, dB", "corrected", "within the interval",
)  # fmt: skip
CALIBRATION = 256
ROUNDS = 7
SCHEMES = [
    (f"{rule}, {bits} bits", Scheme(rule, bits))
    for rule in ("layer-max", "filter-max", "mse")
    for bits in (4, 3, 2)
] + [(f"filter-sigma, α = {a:g}", Scheme("filter-sigma", alpha=a)) for a in (1, 1.5, 2)]


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every scheme on every variant of the models, and the sessions' times."""
    calibration, every = halves(arguments.data, CALIBRATION)
    images = every.first(arguments.images or every.count)
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        for name, path in variants(Path(folder)):
            say(name)
            rows += compared(name, path, calibration, images, arguments.threads)
    return {
        "corrected_with": calibration.count, "evaluated": images.count, "rows": rows,
        "sessions": {} if arguments.no_sessions else sessions(arguments.threads),
    }  # fmt: skip


def render(results: Document) -> str:
    lines = [
        (row["model"], row["scheme"], *(f"{100 * row[side]['top1']:.2f}" for side in SIDES),
         *("exact" if (db := row[side]["sqnr_db"]) is None else f"{db:.1f}" for side in SIDES),
         "tie" if row["tie"] else "")
        for row in results["rows"]
    ]  # fmt: skip
    times = [
        (name, job, f"{1000 * seconds:.1f} ms")
        for name, jobs in results["sessions"].items()
        for job, seconds in jobs.items()
    ]
    corrected, evaluated = results["corrected_with"], results["evaluated"]
    title = f"corrected with {corrected} images, evaluated on {evaluated:,}"
    head = ("model", f"1,000 images, median of {ROUNDS} rounds", "")
    return "\n\n".join((title, table(HEAD, lines), *([table(head, times)] if times else [])))


def variants(folder: Path) -> Iterator[tuple[str, str]]:
    """The embedded models, and the same with BatchNormalization folded by ONNX Runtime."""
    for name in MODELS:
        yield name, f"builtin:{name}"
        fold(find(f"builtin:{name}"), folder / f"{name}.onnx")
        yield f"{name}, folded", str(folder / f"{name}.onnx")


def compared(
    name: str, path: str, calibration: ImageSet, images: ImageSet, threads: int
) -> Iterator[Row]:
    """The rows of a model."""
    graph = open_model(path)
    evaluator = Evaluator(graph, images, threads=threads)
    corrector = Corrector(graph, calibration, threads=threads)
    places = sites(graph)
    yield row(name, "float", evaluator({}), evaluator(corrector({})))
    for title, scheme in SCHEMES:
        done = quantize(graph.network, scheme).layers
        changes = {s.slot: s.to_operand(dequantized(done[s.index])) for s in places}
        yield row(name, title, evaluator(changes), evaluator(corrector(changes)))


def sessions(threads: int) -> dict[str, dict[str, float]]:
    """Seconds of a candidate on 1,000 images: a session of its own, or one that is fed."""
    found = {}
    for name in MODELS:
        times = turns(jobs(open_model(f"builtin:{name}"), threads), ROUNDS)
        found[name] = {job: taken["median"] for job, taken in times.items()}
    return found


def jobs(graph: Model, threads: int) -> dict[str, Callable[[], float]]:
    """What is timed, both ways having given the same outputs."""
    changes = constants(graph)
    fed, values = fed_model(graph, changes)
    own, shared = open_runtime(with_weights(graph, changes), threads), open_runtime(fed, threads)
    feeds = [feed for feed, _ in Feeds(graph, embedded())]
    output = [own.get_outputs()[0].name]
    [first], [second] = run(own, output, feeds[0]), run(shared, output, feeds[0] | values)
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3)
    return {
        "session opened": timed(lambda: open_runtime(with_weights(graph, changes), threads)),
        "run, constant": timed(lambda: [run(own, output, feed) for feed in feeds]),
        "run, fed": timed(lambda: [run(shared, output, f | values) for f in feeds]),
    }


def constants(graph: Model) -> Changes:
    """The weights and what BatchNormalization reads, as they are."""
    norms = {m.place for m in meters(graph) if isinstance(m, Norm)}
    slots = [
        Slot(place, i)
        for place, node in enumerate(graph.nodes)
        if place in norms or node.op_type in ("Conv", "Gemm")
        for i in range(1, len(node.input))
    ]
    known = {s: graph.scope.get(graph.nodes[s.place].input[s.input]).constant for s in slots}
    return {slot: constant.read() for slot, constant in known.items() if constant is not None}


def fed_model(graph: Model, changes: Changes) -> tuple[ModelProto, dict[str, Array]]:
    """A model whose constants are inputs, and their values."""
    model, values = copied(graph), {}
    for slot, name in renamed(graph, model, changes).items():
        values[name] = value = np.ascontiguousarray(changes[slot], np.float32)
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
        model.graph.input.append(info)
    complete(graph, model)
    return model, values


def row(model: str, scheme: str, plain: Evaluation, corrected: Evaluation) -> Row:
    """A scheme without and with correction, as it is written."""
    off, on = (
        {"top1": e.known_accuracy, "sqnr_db": e.sqnr_db if np.isfinite(e.sqnr_db) else None,
         "interval": e.interval, "images": e.images}
        for e in (plain, corrected)
    )  # fmt: skip
    return {"model": model, "scheme": scheme, "off": off, "on": on, "tie": plain.ties(corrected)}


main = Benchmark(
    name="evaluation", text=__doc__, measure=measure, render=render, keeps=False,
    libraries=("onnxruntime", "numpy", "onnx"),
    options={
        "--data": {"type": Path, "help": "folder with Fashion-MNIST's idx files"},
        "--images": {"type": int, "help": "how many to evaluate (default all)"},
        "--threads": 0,
        "--no-sessions": {"action": "store_true", "help": "leave the timings out"},
    },
)  # fmt: skip
