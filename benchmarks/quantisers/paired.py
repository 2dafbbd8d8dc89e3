"""Ours beside others at equal MAC×bit, image by image: `python -m benchmarks quantisers`.

The same images calibrate and the same are scored; each seed draws other images to calibrate with.
Results that are there already are kept, so that the command goes on where it was stopped. The text
recogniser is of the wheel rapidocr-onnxruntime (benchmarks/allocate.py), without labels: what is
compared there is the agreement with the float model, place by place. --networks takes ONNX files
too: with --own, images as they take them, the first half calibrates, and the agreement with the
float model on the other half is compared; without, they are networks for Fashion-MNIST.
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log10, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import QuantFormat, QuantType
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.allocate import CASES as MODELS
from benchmarks.allocate import lines_of_text, opened
from benchmarks.harness import Benchmark, Document, kept, say, table, write
from benchmarks.quantisers.candidates import others
from benchmarks.runtime import in_batches, quantise, session
from esnsim.compression.allocate.weighing import allocator
from esnsim.compression.correct.recalibrate import Corrector
from esnsim.compression.workspace import Workspace, prepare
from esnsim.costs.cost import cost
from esnsim.graph.model import Model, open_model
from esnsim.graph.sites import sites
from esnsim.graph.substitute import Changes, dequantized, with_weights
from esnsim.images.sets import ImageSet, embedded, embedded_training, load
from esnsim.importer import find, read_onnx
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme

Array = NDArray[Any]
CALIBRATED = {"text": 64, "direction": 128}  # images, where not 512
LINES = {"text": 64, "direction": 300}  # lines that are scored
NETWORKS = {
    "resnet8": "ResNet-8", "resnet20_05x": "ResNet-20, half its filters", "resnet20": "ResNet-20",
    "direction": "direction classifier", "text": "text recogniser",
}  # fmt: skip
OURS, SURE = "compensated, allocated", 1.96
STATIC = "ONNX Runtime static, its weights"
HEAD = ("bits", "method", "MAC×bit", "accuracy, %", "SQNR, dB", "ours more, points (95 %)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A network, the images of a seed that calibrate, those that are scored, and what is right."""

    model: Model
    calibration: ImageSet
    pixels: Array
    floats: Array
    labels: Array
    threads: int

    def scores(self, proto: ModelProto) -> tuple[Array, float]:
        """Which images, or places, are right, and the SQNR in dB of the outputs."""
        opened_, name = session(proto.SerializeToString(), threads=self.threads), self.input
        out = in_batches(lambda x: opened_.run(None, {name: x})[0], self.pixels)
        noise = float(np.square(out - self.floats).sum())
        right = (out.argmax(axis=-1) == self.labels).ravel()
        return right, 10 * log10(float(np.square(self.floats).sum()) / noise)

    @property
    def input(self) -> str:
        return self.model.network.source.inputs[0][0]


def task(name: str, seed: int, arguments: Namespace, calibrated: int = 0) -> Task:
    """What a seed compares on, with so many images to calibrate (0: as usual)."""
    threads, count = arguments.threads, calibrated or CALIBRATED.get(name, 512)
    if name in LINES:
        case, tested = MODELS[name], LINES[name]
        file, shapes = opened(case)
        lines = lines_of_text(count * arguments.seeds + tested, case.size)
        some, pixels, classes = lines[seed * count :][:count], lines[-tested:], None
    elif (own := vars(arguments).get("own")) is not None:
        every = load(own)
        half = every.count // 2
        some, pixels, classes = every.read(0, half), every.read(half, every.count), None
        file, shapes = name, {session(_bytes(name)).get_inputs()[0].name: (1, *some.shape[1:])}
    else:
        file, shapes = _file(name), {}
        some, test = _images(arguments.data, seed, count, arguments.images)
        pixels, classes = test.read(0, test.count), test.labels
    model = open_model(file, shapes)
    calibration = ImageSet(name="drawn", count=len(some), read=lambda a, b: some[a:b])
    found = Task(
        model=model, calibration=calibration, pixels=pixels, floats=np.zeros(1),
        labels=np.zeros(1), threads=threads,
    )  # fmt: skip
    plain, given = session(_bytes(file), threads=threads), found.input
    floats = in_batches(lambda x: plain.run(None, {given: x})[0], pixels)
    labels = floats.argmax(axis=-1) if classes is None else classes
    return replace(found, floats=floats, labels=labels)


def _images(folder: Path | None, seed: int, count: int, tested: int) -> tuple[Array, ImageSet]:
    """Training images drawn by a seed, and test images; without a folder those of the wheel."""
    if folder is None:
        train, test = embedded_training(), embedded()
    else:
        train, test = (load(folder / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k"))
    chosen = np.sort(np.random.default_rng(seed).permutation(train.count)[:count])
    some = np.concatenate([train.read(int(i), int(i) + 1) for i in chosen])
    return some, test.first(tested)


def _file(name: str) -> str:
    return name if name.endswith(".onnx") else f"builtin:{name}"


def _bytes(file: Any) -> bytes:
    return Path(find(file)).read_bytes()


def candidates(on: Task, bits: int) -> Iterator[tuple[str, int, ModelProto]]:
    """Ours first; each method with its MAC×bit and its model."""
    model, network = on.model, on.model.network
    near, ours = (workspace_of(on, rounding) for rounding in ("nearest", "compensated"))
    widths = Scheme("mse", bits)
    best = allocator(ours, on.calibration, threads=on.threads, effort="normal")
    shared = best(bits * sum(layer.macs for layer in network.layers)).scheme
    for title, workspace, scheme in (
        (OURS, ours, shared), ("compensated, one width", ours, widths),
        ("nearest, one width", near, widths),
    ):  # fmt: skip
        found = workspace.candidate(scheme)
        spent = cost(found.quantized).total.esn_d_tilde.macs
        yield title, spent, with_weights(model, found.changes)
    *_, aciq = others(network, bits)
    changes: Changes = {
        site.slot: site.to_operand(aciq.weights[site.index].reshape(site.layer.weight.shape))
        for site in near.sites
    }
    corrected = Corrector(model, on.calibration, threads=on.threads)(changes)
    yield aciq.method, aciq.mac_bits, with_weights(model, changes)
    yield f"{aciq.method}, statistics too", aciq.mac_bits, with_weights(model, corrected)


def workspace_of(on: Task, rounding: str) -> Workspace:
    images = ImageSet(name="one", count=1, read=lambda a, b: on.pixels[a:b])
    return prepare(on.model, images, on.calibration, rounding=rounding, threads=on.threads)


def static(on: Task, file: Any) -> Iterator[tuple[str, int, ModelProto]]:
    """ONNX Runtime's static quantisation to 4 bits, its weights alone, statistics corrected."""
    with TemporaryDirectory(prefix="esnsim-quantisers-") as folder:
        prepared, path = Path(folder) / "prepared.onnx", Path(folder) / "static.onnx"
        try:
            quant_pre_process(find(file), prepared)
        except Exception as error:  # it raises no narrower one where shapes are not found
            say(f"left out: {STATIC}, whose preprocessing says: {error}")
            return
        images = on.calibration.read(0, on.calibration.count)
        quantise(
            prepared, path, on.input, images, quant_format=QuantFormat.QDQ,
            weight_type=QuantType.QInt4, activation_type=QuantType.QInt8,
        )  # fmt: skip
        coded, model = quantize(read_onnx(path)), open_model(prepared, on.model.input_shapes)
        weights = [dequantized(row) for row in coded.layers]
        changes: Changes = {s.slot: s.to_operand(weights[s.index]) for s in sites(model)}
        found = Corrector(model, on.calibration, threads=on.threads)(changes)
        yield STATIC, cost(coded).total.esn_d_tilde.macs, with_weights(model, found)


def compared(name: str, bits: int, seed: int, arguments: Namespace) -> list[Document]:
    """A row a method; `more` is what ours has more in points, with half its 95 % interval."""
    on = task(name, seed, arguments)
    every = [*candidates(on, bits)]
    if bits == 4 and name not in LINES:
        every += static(on, _file(name))
    found, ours = list[Document](), np.zeros(0)
    for method, spent, proto in every:
        right, sqnr = on.scores(proto)
        ours = right if method == OURS else ours
        more = ours.astype(float) - right
        found.append({
            "method": method, "mac_bits": spent, "accuracy": float(right.mean()), "sqnr_db": sqnr,
            "more": float(more.mean()), "half": SURE * float(more.std()) / sqrt(len(more)),
        })  # fmt: skip
        say(f"{name}, {bits} bits, seed {seed}: {found[-1]}")
    return found


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every network, width and seed that is not there yet."""
    path: Path = arguments.output
    found = kept(path)
    if found.get("images") != arguments.images:  # rows of others can't be compared
        found = {"images": arguments.images}
    for seed in range(arguments.seeds):
        for bits in arguments.bits:
            for name in arguments.networks:
                if (key := f"{Path(name).stem}, {bits} bits, seed {seed}") not in found:
                    found[key] = compared(name, bits, seed, arguments)
                    write(path, found)
    return {"found": found}


def render(results: Document) -> str:
    """A table a network."""
    found, texts = results["found"], []
    stems = (key.split(",")[0] for key in found if "," in key)
    titles = NETWORKS | {stem: stem for stem in stems if stem not in NETWORKS}
    for name, title in titles.items():
        lines = []
        for bits in range(8, 0, -1):
            runs = [rows for key, rows in found.items() if key.startswith(f"{name}, {bits} bits")]
            lines += [_cells(bits, runs, row["method"]) for row in (runs[0] if runs else ())]
        if lines:
            texts.append(f"**{title}**\n\n{table(HEAD, lines)}")
    return "\n\n".join(texts)


def _cells(bits: int, runs: Sequence[Sequence[Mapping[str, Any]]], method: str) -> list[str]:
    """A method at a width: means over the seeds, the range of accuracies, the widest interval."""
    rows = [row for run in runs for row in run if row["method"] == method]

    def mean(key: str) -> float:
        return float(np.mean([row[key] for row in rows]))

    every = [100 * row["accuracy"] for row in rows]
    span = f" ({min(every):.2f}–{max(every):.2f})" if len(every) > 1 else ""
    half = max(row["half"] for row in rows)
    more = f"{100 * mean('more'):+.2f} ± {100 * half:.2f}" if method != OURS else "–"
    spent = f"{mean('mac_bits') / 1e6:.1f}M"
    accuracy = f"{100 * mean('accuracy'):.2f}{span}"
    return [str(bits), method, spent, accuracy, f"{mean('sqnr_db'):.1f}", more]


main = Benchmark(
    name="quantisers", text=__doc__, measure=measure, render=render,
    options={
        "--data": {"type": Path, "help": "Fashion-MNIST as idx files; else the embedded images"},
        "--networks": {"nargs": "+", "default": list(NETWORKS), "help": "names, or ONNX files"},
        "--own": {"type": Path, "help": "images for ONNX files of --networks"},
        "--bits": {"type": int, "nargs": "+", "default": [4, 3, 2]},
        "--images": {"type": int, "default": 10_000, "help": "test images"},
        "--seeds": 3, "--threads": 1,
    },
    resumes=True,
)  # fmt: skip
