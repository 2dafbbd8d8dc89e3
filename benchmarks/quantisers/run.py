"""Accuracy, MAC×bit and ESNa of every method on the embedded ResNet-20, one data set, one axis."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.quantisers import static
from benchmarks.quantisers.candidates import Candidate, others, ours, stored
from esnsim.compression.allocate.sensitivity import sensitivity
from esnsim.compression.correct.recalibrate import Corrector
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.scores import Evaluation
from esnsim.graph.model import open_model
from esnsim.graph.sites import sites
from esnsim.graph.substitute import Changes
from esnsim.images.sets import ImageSet, embedded, load
from esnsim.importer import find, read_onnx
from esnsim.model.network import Network

MODEL = "builtin:resnet20"
RESULTS = Path(__file__).parents[1] / "results" / "quantisers.json"
WIDTHS = (4, 3, 2)
HEAD = ("method", "bits", "MAC×bit", "ESNa", "top-1, %", "95 %", "corrected, %")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; `corrected` is the evaluation after statistics correction, or None."""

    method: str
    bits: int
    mac_bits: int
    esn_a: float
    plain: Evaluation
    corrected: Evaluation | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """Images with labels to evaluate on, and others, without, to calibrate with."""

    test: ImageSet
    calibration: ImageSet


class Model:
    """A float model whose weights candidates replace."""

    def __init__(self, path: str | Path, data: Data, threads: int) -> None:
        self.graph = graph = open_model(path)
        self.network: Network = graph.network
        self._sites = sites(graph)
        self._evaluate = Evaluator(graph, data.test, threads=threads)
        self._correct = Corrector(graph, data.calibration, threads=threads)

    @property
    def evaluate(self) -> Evaluator:
        """What outputs are worth, beside the float model's."""
        return self._evaluate

    def row(self, candidate: Candidate) -> Row:
        """Evaluate a candidate, without and with statistics correction."""
        changes: Changes = {
            site.slot: site.to_operand(weights.reshape(site.layer.weight.shape))
            for site, weights in zip(self._sites, candidate.weights, strict=True)
        }
        plain = self._evaluate(changes)
        corrected = self._evaluate(self._correct(changes))
        return Row(
            candidate.method, candidate.bits, candidate.mac_bits, candidate.esn_a, plain, corrected
        )  # fmt: skip


def main(options: Sequence[str]) -> int:
    """Print the table as Markdown, row by row, and write the numbers as JSON."""
    arguments = parser().parse_args(options)
    data = images(arguments)
    print(
        f"{data.test.count:,} images to evaluate on, {data.calibration.count:,} to calibrate with"
    )
    print(_line(HEAD), _line(["---"] * len(HEAD)), sep="\n", flush=True)
    results = []
    for row in rows(data, arguments.bits, arguments.threads):
        print(_line(cells(row)), flush=True)
        results.append(numbers(row))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    found = {"images": data.test.count, "calibration": data.calibration.count, "rows": results}
    arguments.output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return 0


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="benchmarks quantisers", description=__doc__)
    p.add_argument("--data", type=Path, help="Fashion-MNIST as idx files; else the 1,000 embedded")
    p.add_argument("--calibration", type=int, default=1000, metavar="N", help="unlabelled images")
    p.add_argument("--bits", type=int, nargs="+", default=list(WIDTHS))
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("-o", "--output", type=Path, default=RESULTS, help="JSON of the results")
    return p


def images(arguments: argparse.Namespace) -> Data:
    """The test set and training images; without a folder the two halves of the embedded sample."""
    if arguments.data is None:
        sample = embedded()
        assert sample.labels is not None
        first = min(arguments.calibration, sample.count // 2)
        return Data(sample.after(first), _unlabelled(sample, first))
    files = {
        part: load(
            arguments.data / f"{part}-images-idx3-ubyte.gz",
            labels=arguments.data / f"{part}-labels-idx1-ubyte.gz",
        )
        for part in ("t10k", "train")
    }
    return Data(files["t10k"], _unlabelled(files["train"], arguments.calibration))


def rows(data: Data, widths: Sequence[int], threads: int) -> Iterator[Row]:
    """Every method at every width, the float model first."""
    model = Model(MODEL, data, threads)
    yield Row("float", 32, 0, 0.0, model.evaluate.floats)
    gains = sensitivity(model.graph, data.calibration, threads=threads)
    for bits in widths:
        for candidate in (*others(model.network, bits), *ours(model.network, bits, gains)):
            yield model.row(candidate)
    with TemporaryDirectory(prefix="esnsim-quantisers-") as folder:
        yield from runtime(Path(folder), data, threads)


def runtime(folder: Path, data: Data, threads: int) -> Iterator[Row]:
    """ONNX Runtime's static quantisation: its weights alone, and its file as it runs it."""
    prepared = folder / "prepared.onnx"
    static.prepare(find(MODEL), prepared)
    model = Model(prepared, data, threads)
    name = model.network.source.inputs[0][0]
    calibration = data.calibration.read(0, data.calibration.count)
    for bits in static.TYPES:
        path = folder / f"{bits}.onnx"
        static.quantise(prepared, path, name, calibration, bits)
        candidate = stored("ONNX Runtime, its weights alone", bits, read_onnx(path))
        yield model.row(candidate)
        plain = model.evaluate.compared(_outputs(path, name, data.test))
        title = "ONNX Runtime, activations of 8 bits too"
        yield Row(title, bits, candidate.mac_bits, candidate.esn_a, plain)


def cells(row: Row) -> list[str]:
    """A row as it is printed."""
    low, high = row.plain.interval
    return [
        row.method, str(row.bits),
        f"{row.mac_bits / 1e6:.1f}M" if row.mac_bits else "–",
        f"{row.esn_a / 1e6:.1f}M" if row.esn_a else "–",
        f"{100 * row.plain.known_accuracy:.2f}", f"{100 * low:.2f}–{100 * high:.2f}",
        f"{100 * row.corrected.known_accuracy:.2f}" if row.corrected else "–",
    ]  # fmt: skip


def numbers(row: Row) -> dict[str, object]:
    """A row as it is written."""
    plain, corrected = row.plain, row.corrected
    return {
        "method": row.method, "bits": row.bits, "mac_bits": row.mac_bits, "esn_a": row.esn_a,
        "top1": plain.top1, "interval": plain.interval, "sqnr_db": plain.sqnr_db,
        "corrected_top1": corrected.top1 if corrected else None,
        "corrected_sqnr_db": corrected.sqnr_db if corrected else None,
    }  # fmt: skip


def _unlabelled(images: ImageSet, count: int) -> ImageSet:
    return ImageSet(images.name, min(count, images.count), images.read)


def _outputs(path: Path, name: str, images: ImageSet) -> np.ndarray[Any, Any]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    starts = range(0, images.count, static.BATCH)
    batches = (images.read(a, min(a + static.BATCH, images.count)) for a in starts)
    parts = [session.run(None, {name: x})[0] for x in batches]
    return np.concatenate(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
