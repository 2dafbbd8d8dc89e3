"""Statistics corrected and not, by step rule and width; sessions with constant and fed weights.

`python -m benchmarks evaluation [--data FOLDER]`: a folder with the idx files of Fashion-MNIST
gives 256 training images to correct with and its 10,000 test images to evaluate; without it the
first 256 of the embedded images correct and the other 744 are evaluated.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper

from benchmarks.machine import load as busy
from benchmarks.machine import machine, versions
from benchmarks.timing import interleave
from esnsim.compression.correct.meters import Norm, meters
from esnsim.compression.correct.recalibrate import Corrector
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.feeds import Feeds
from esnsim.evaluate.runtime import open_runtime, run
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.model import Model, open_model
from esnsim.graph.sites import Slot, sites
from esnsim.graph.substitute import Changes, complete, copied, dequantized, renamed, with_weights
from esnsim.images import sets as data
from esnsim.images.sets import ImageSet
from esnsim.importer import find
from esnsim.model.network import Array
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme

MODELS = ("resnet20", "resnet8")
CALIBRATION = 256
ROUNDS = 7
SCHEMES = [
    (f"{rule}, {bits} bits", Scheme(rule, bits))
    for rule in ("layer-max", "filter-max", "mse")
    for bits in (4, 3, 2)
] + [(f"filter-sigma, α = {a:g}", Scheme("filter-sigma", alpha=a)) for a in (1, 1.5, 2)]


@dataclass(frozen=True, slots=True)
class Row:
    """A scheme without and with correction."""

    model: str
    scheme: str
    off: Evaluation
    on: Evaluation


def main(options: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks evaluation")
    parser.add_argument("--data", type=Path, help="folder with Fashion-MNIST's idx files")
    parser.add_argument("--images", type=int, help="how many to evaluate (default all)")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--no-sessions", action="store_true", help="leave the timings out")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(options)
    calibration, images = chosen(arguments.data, arguments.images)
    print(f"corrected with {calibration.count} images, evaluated on {images.count:,}")
    rows = []
    with TemporaryDirectory() as folder:
        for name, path in variants(Path(folder)):
            rows += list(table(name, path, calibration, images, arguments.threads))
    timings = {} if arguments.no_sessions else sessions(arguments.threads)
    if arguments.json:
        found = {"rows": [row_of(row) for row in rows], "sessions": timings, "load": busy()}
        found |= {"machine": machine(), "versions": versions(["onnxruntime", "numpy", "onnx"])}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def chosen(folder: Path | None, count: int | None) -> tuple[ImageSet, ImageSet]:
    """Images to correct with and others to evaluate on."""
    if folder is None:
        every = data.embedded()
        assert every.labels is not None
        images = every.after(CALIBRATION)
    else:
        every = data.load(folder / "train-images-idx3-ubyte.gz")
        images = data.load(folder / "t10k-images-idx3-ubyte.gz")
    return replace(every.first(CALIBRATION), labels=None), images.first(count or images.count)


def variants(folder: Path) -> Iterator[tuple[str, str]]:
    """The embedded models, and the same with BatchNormalization folded by ONNX Runtime."""
    for name in MODELS:
        yield name, f"builtin:{name}"
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folder / f"{name}.onnx")
        ort.InferenceSession(str(find(f"builtin:{name}")), options)
        yield f"{name}, folded", str(folder / f"{name}.onnx")


def table(
    name: str, path: str, calibration: ImageSet, images: ImageSet, threads: int
) -> Iterator[Row]:
    """Print and give the rows of a model."""
    graph = open_model(path)
    evaluator = Evaluator(graph, images, threads=threads)
    corrector = Corrector(graph, calibration, threads=threads)
    places = sites(graph)
    print(
        f"\n{name:22}  {'top-1, %':>15}  {'SQNR, dB':>15}\n{'':22}     off      on     off      on"
    )
    none = evaluator({})
    rows = [Row(name, "float", none, evaluator(corrector({})))]
    for title, scheme in SCHEMES:
        done = quantize(graph.network, scheme).layers
        changes = {s.slot: s.to_operand(dequantized(done[s.index])) for s in places}
        rows.append(Row(name, title, evaluator(changes), evaluator(corrector(changes))))
    for row in rows:
        top = [100 * e.known_accuracy for e in (row.off, row.on)]
        sqnr = [e.sqnr_db for e in (row.off, row.on)]
        mark = " (tie)" if row.off.ties(row.on) else ""
        print(
            f"{row.scheme:22}  {top[0]:6.2f}  {top[1]:6.2f}  {sqnr[0]:6.1f}  {sqnr[1]:6.1f}{mark}"
        )
        yield row


def sessions(threads: int) -> dict[str, dict[str, float]]:
    """Seconds of a candidate on 1,000 images: a session of its own, or one that is fed."""
    print(f"\nsessions on 1,000 images, median of {ROUNDS} rounds, load {busy()}")
    found = {}
    for name in MODELS:
        path = f"builtin:{name}"
        results = interleave(jobs(open_model(path), threads), ROUNDS)
        found[name] = {job: median(seconds) for job, seconds in results.items()}
        for job, seconds in found[name].items():
            print(f"{name:10} {job:28} {1000 * seconds:8.1f} ms")
    return found


def jobs(graph: Model, threads: int) -> dict[str, Callable[[], float]]:
    """What is timed, both ways having given the same outputs."""
    changes = constants(graph)
    fed, values = fed_model(graph, changes)
    own, shared = (
        open_runtime(with_weights(graph, changes), threads),
        open_runtime(fed, threads),
    )
    feeds = [feed for feed, _ in Feeds(graph, data.embedded())]
    output = [own.get_outputs()[0].name]
    [first], [second] = run(own, output, feeds[0]), run(shared, output, feeds[0] | values)
    np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3)
    return {
        "session opened": lambda: timed(
            lambda: open_runtime(with_weights(graph, changes), threads)
        ),
        "run, constant": lambda: timed(lambda: [run(own, output, feed) for feed in feeds]),
        "run, fed": lambda: timed(lambda: [run(shared, output, f | values) for f in feeds]),
    }


def timed(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def constants(graph: Model) -> Changes:
    """The weights and what BatchNormalization reads, as they are."""
    slots = [Slot(m.place, i) for m in meters(graph) if isinstance(m, Norm) for i in range(1, 5)]
    slots += [
        Slot(place, i)
        for place, node in enumerate(graph.nodes)
        if node.op_type in ("Conv", "Gemm")
        for i in range(1, len(node.input))
    ]
    known = {s: graph.scope.get(graph.nodes[s.place].input[s.input]).constant for s in slots}
    return {slot: constant.read() for slot, constant in known.items() if constant is not None}


def fed_model(graph: Model, changes: Changes) -> tuple[ModelProto, dict[str, Array]]:
    """A model whose constants are inputs, and their values."""
    model, values = copied(graph), {}
    for slot, name in renamed(graph, model, changes).items():
        values[name] = np.ascontiguousarray(changes[slot], np.float32)
        model.graph.input.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, values[name].shape)
        )
    complete(graph, model)
    return model, values


def row_of(row: Row) -> dict[str, object]:
    off, on = (
        {"top1": e.top1, "sqnr_db": e.sqnr_db if np.isfinite(e.sqnr_db) else None,
         "interval": e.interval, "images": e.images}
        for e in (row.off, row.on)
    )  # fmt: skip
    return {"model": row.model, "scheme": row.scheme, "off": off, "on": on}
