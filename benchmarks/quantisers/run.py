"""Accuracy, MAC×bit and ESNa of every method on the embedded ResNet-20, one data set, one axis."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from onnxruntime.quantization import QuantFormat, QuantType
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.harness import Benchmark, Document, say, table
from benchmarks.quantisers.candidates import Candidate, others, ours, stored
from benchmarks.runtime import halves, outputs, quantise, session
from esnsim.compression.allocate.sensitivity import sensitivity
from esnsim.compression.correct.recalibrate import Corrector
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.model import open_model
from esnsim.graph.sites import sites
from esnsim.graph.substitute import Changes
from esnsim.images.sets import ImageSet
from esnsim.importer import find, read_onnx
from esnsim.model.network import Network

MODEL = "builtin:resnet20"
WIDTHS = (4, 3, 2)
STORED = {4: QuantType.QInt4, 8: QuantType.QInt8}
Row = dict[str, Any]
HEAD = ("method", "bits", "MAC×bit", "ESNa", "top-1, %", "95 %", "corrected, %")


class Model:
    """A float model whose weights candidates replace."""

    def __init__(
        self, path: str | Path, calibration: ImageSet, test: ImageSet, threads: int
    ) -> None:
        self.graph = graph = open_model(path)
        self.network: Network = graph.network
        self.sites = sites(graph)
        self.evaluate = Evaluator(graph, test, threads=threads)
        self.correct = Corrector(graph, calibration, threads=threads)

    def row(self, candidate: Candidate) -> Row:
        """Evaluate a candidate, without and with statistics correction."""
        changes: Changes = {
            site.slot: site.to_operand(weights.reshape(site.layer.weight.shape))
            for site, weights in zip(self.sites, candidate.weights, strict=True)
        }
        return numbers(candidate, self.evaluate(changes), self.evaluate(self.correct(changes)))


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every method at every width, the float model first."""
    calibration, test = halves(arguments.data, arguments.calibration)
    found = []
    for row in rows(calibration, test, arguments.bits, arguments.threads):
        found.append(row)
        say(f"{row['method']}, {row['bits']} bits")
    return {"images": test.count, "calibration": calibration.count, "rows": found}


def render(results: Document) -> str:
    """The table as Markdown."""
    tested, calibrated = results["images"], results["calibration"]
    title = f"{tested:,} images to evaluate on, {calibrated:,} to calibrate with"
    return f"{title}\n{table(HEAD, map(cells, results['rows']))}"


def rows(
    calibration: ImageSet, test: ImageSet, widths: Sequence[int], threads: int
) -> Iterator[Row]:
    """Every method at every width, the float model first."""
    model = Model(MODEL, calibration, test, threads)
    yield numbers(Candidate("float", 32, 0, 0.0, ()), model.evaluate.floats)
    gains = sensitivity(model.graph, calibration, threads=threads)
    for bits in widths:
        for candidate in (*others(model.network, bits), *ours(model.network, bits, gains)):
            yield model.row(candidate)
    with TemporaryDirectory(prefix="esnsim-quantisers-") as folder:
        yield from runtime(Path(folder), calibration, test, threads)


def runtime(folder: Path, calibration: ImageSet, test: ImageSet, threads: int) -> Iterator[Row]:
    """ONNX Runtime's static quantisation: its weights alone, and its file as it runs it.

    Weights of 4 or 8 bits a filter, activations of 8 bits by min and max, as QDQ.
    """
    prepared = folder / "prepared.onnx"
    quant_pre_process(find(MODEL), prepared)
    model = Model(prepared, calibration, test, threads)
    name = model.network.source.inputs[0][0]
    images, pixels = calibration.read(0, calibration.count), test.read(0, test.count)
    for bits, stored_as in STORED.items():
        path = folder / f"{bits}.onnx"
        quantise(
            prepared, path, name, images, quant_format=QuantFormat.QDQ,
            weight_type=stored_as, activation_type=QuantType.QInt8,
        )  # fmt: skip
        candidate = stored("ONNX Runtime, its weights alone", bits, read_onnx(path))
        yield model.row(candidate)
        plain = model.evaluate.compared(outputs(session(path), name, pixels))
        title = "ONNX Runtime, activations of 8 bits too"
        yield numbers(replace(candidate, method=title), plain)


def cells(row: Document) -> list[str]:
    """A row as it is printed."""
    top1, corrected = row["top1"], row["corrected_top1"]
    return [
        row["method"], str(row["bits"]),
        *(f"{row[key] / 1e6:.1f}M" if row[key] else "–" for key in ("mac_bits", "esn_a")),
        f"{100 * top1:.2f}", "–".join(f"{100 * end:.2f}" for end in row["interval"]),
        "–" if corrected is None else f"{100 * corrected:.2f}",
    ]  # fmt: skip


def numbers(candidate: Candidate, plain: Evaluation, corrected: Evaluation | None = None) -> Row:
    """A row as it is written; `corrected` is the evaluation after statistics correction."""
    costs = {key: getattr(candidate, key) for key in ("method", "bits", "mac_bits", "esn_a")}
    return costs | {
        "top1": plain.known_accuracy, "interval": plain.interval, "sqnr_db": plain.sqnr_db,
        "corrected_top1": corrected.known_accuracy if corrected else None,
        "corrected_sqnr_db": corrected.sqnr_db if corrected else None,
    }  # fmt: skip


main = Benchmark(
    name="quantisers.run", text=__doc__, measure=measure, render=render,
    options={
        "--data": {"type": Path, "help": "Fashion-MNIST as idx files; else the 1,000 embedded"},
        "--calibration": {"type": int, "default": 1000, "help": "how many unlabelled images"},
        "--bits": {"type": int, "nargs": "+", "default": list(WIDTHS)},
        "--threads": 0,
    },
)  # fmt: skip
