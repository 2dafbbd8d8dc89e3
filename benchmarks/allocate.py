"""Widths by `allocate` against uniform ones of equal MAC×bit: `python -m benchmarks allocate`.

Four networks: the embedded ResNet-20 and ResNet-8 on Fashion-MNIST, and of the wheel
rapidocr-onnxruntime (`pip install --no-deps rapidocr-onnxruntime==1.4.4`) the classifier of a text
line's direction and the recogniser, with depthwise convolutions and attention, on lines of text
rendered here, without labels. Statistics are corrected, and gains measured, on other images than
those of the evaluation. A uniform width is under the step rules mse and filter-max; between two
whole widths filters drawn at random have the larger one.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Benchmark, Document, check, say, table
from esnsim.compression.allocate.allocate import Allocation, allocate, choices
from esnsim.compression.allocate.sensitivity import EFFORT_MACS
from esnsim.compression.allocate.weighing import allocator
from esnsim.compression.workspace import Workspace, prepare
from esnsim.costs.cost import cost
from esnsim.costs.metric import metric_value
from esnsim.graph.model import open_model
from esnsim.images.sets import ImageSet, embedded
from esnsim.model.network import Network
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme

BUDGETS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)  # mean bits over all MACs
RULES = ("mse", "filter-max")
CALIBRATION = 200  # embedded images for statistics and gains; the other 800 are evaluated
OCR = "rapidocr_onnxruntime"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.:/%"


@dataclass(frozen=True, slots=True)
class Case:
    """A model, the shape of its images, how many are evaluated and how many calibrate."""

    title: str
    file: str
    size: tuple[int, int] = (0, 0)
    evaluated: int = 0
    calibrated: int = CALIBRATION
    effort: int = EFFORT_MACS


CASES = {
    "resnet20": Case("ResNet-20", "builtin:resnet20"),
    "resnet8": Case("ResNet-8", "builtin:resnet8"),
    "direction": Case("text direction", "ch_ppocr_mobile_v2.0_cls_infer.onnx", (48, 192), 300, 100),
    "text": Case("text recogniser", "ch_PP-OCRv4_rec_infer.onnx", (48, 160), 64, 96, 3 * 10**11),
}


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every policy at every budget of the models that are here."""
    found = {}
    for name in arguments.cases:
        case = CASES[name]
        if not case.file.startswith("builtin:") and find_spec(OCR) is None:
            say(f"{case.title}: left out, as {OCR} is not installed")
            continue
        say(case.title)
        rows = list(spend_all(case, arguments.threads))
        found[name] = {"title": case.title, "rows": rows, "won": verdict(rows)}
    return {"cases": found}


def render(results: Document) -> str:
    cases = results["cases"].values()
    return "\n\n".join(f"{c['title']}: {c['won']}\n\n{by_budget(c['rows'])}" for c in cases)


def by_budget(rows: Sequence[Document]) -> str:
    """SQNR in dB and accuracy in percent, a row a budget."""
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    lines = []
    for budget in BUDGETS:
        at = {row["policy"]: row for row in rows if row["budget"] == budget}
        cells = [f"{at[p]['sqnr_db']:.2f} dB, {at[p]['accuracy']:.1%}" for p in policies]
        lines.append([f"{budget:g}", *cells, str(at["allocate"]["pruned"])])
    return table(["bits a MAC", *policies, "pruned"], lines)


def spend_all(case: Case, threads: int) -> Iterator[Document]:
    """Every policy at every budget of one model."""
    calibration, images = image_sets(case)
    model = open_model(*opened(case))
    network = model.network
    workspace = prepare(model, images, calibration, rounding="nearest", threads=threads)
    best = allocator(workspace, calibration, threads=threads, effort=case.effort)
    policies: dict[str, Callable[[float], Allocation]] = {
        "allocate": best,
        "by weight error": partial(allocate, choices(network)),
    }
    macs = sum(layer.macs for layer in network.layers)
    for budget in BUDGETS:
        for rule in RULES:
            yield spend(workspace, f"uniform, {rule}", budget, uniform(network, budget, rule))
        for policy, spend_on in policies.items():
            given = spend_on(budget * macs)
            yield spend(workspace, policy, budget, given.scheme, given.gap)


def uniform(network: Network, budget: float, rule: str) -> Scheme:
    """A width for all filters; of a fraction, random filters have one bit more."""
    low = int(budget)
    spare = (budget - low) * sum(layer.macs for layer in network.layers)
    widths = {layer.name: np.full(layer.filters, low) for layer in network.layers}
    filters = [(layer, m) for layer in network.layers for m in range(layer.filters)]
    for place in np.random.default_rng(0).permutation(len(filters)).tolist():
        layer, m = filters[place]
        price = layer.macs // layer.filters
        if price <= spare:
            widths[layer.name][m] += 1
            spare -= price
    return Scheme(rule=rule, widths=widths)


def spend(
    workspace: Workspace, policy: str, budget: float, scheme: Scheme, gap: float | None = None
) -> Document:
    """Quantise and evaluate; the cost must be within the budget, in mean bits."""
    quantized = quantize(workspace.network, scheme)
    priced = cost(quantized)
    bits = metric_value(priced.total, "esn_d_tilde") / priced.total.macs
    check(bits <= budget, f"{policy} costs {bits} bits a MAC, more than {budget}")
    found = workspace.evaluate(quantized)
    return {
        "policy": policy, "budget": budget, "bits": bits, "pruned": priced.total.pruned_filters,
        "sqnr_db": found.sqnr_db, "accuracy": found.known_accuracy, "interval": found.interval,
        "gap": gap,
    }  # fmt: skip


def verdict(rows: Sequence[Document]) -> str:
    """At how many budgets `allocate` has the highest SQNR, and no accuracy below the interval."""
    higher, below = [], []
    for budget in BUDGETS:
        at = {row["policy"]: row for row in rows if row["budget"] == budget}
        ours, rivals = at["allocate"], [row for name, row in at.items() if "uniform" in name]
        higher.append(all(ours["sqnr_db"] > row["sqnr_db"] for row in rivals))
        below.append(any(ours["interval"][1] < row["accuracy"] for row in rivals))
    text = f"higher SQNR than uniform at {sum(higher)} of {len(BUDGETS)} budgets"
    text += f", accuracy below it at {sum(below)}"
    return text + ("" if all(higher) and not any(below) else " (lost)")


def image_sets(case: Case) -> tuple[ImageSet, ImageSet]:
    """Images that calibrate, and others that are evaluated."""
    if case.file.startswith("builtin:"):
        every = embedded()
    else:
        pixels = lines_of_text(case.calibrated + case.evaluated, case.size)
        every = ImageSet(name="lines of text", count=len(pixels), read=lambda a, b: pixels[a:b])
    first = case.calibrated
    return replace(every.first(first), labels=None), every.after(first)


def lines_of_text(count: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Random letters in grey on grey (N, 3, H, W) in [−1, 1]; every other line upside down."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = size
    rng = np.random.default_rng(0)
    out = np.empty((count, 3, height, width), np.float32)
    for index in range(count):
        dark, light = int(rng.integers(0, 90)), int(rng.integers(160, 256))
        image = Image.new("L", (width, height), light)
        text = "".join(rng.choice(list(LETTERS), rng.integers(4, 12)))
        font = ImageFont.load_default(int(rng.integers(22, 38)))
        at = int(rng.integers(0, 12)), int(rng.integers(0, 8))
        ImageDraw.Draw(image).text(at, text, fill=dark, font=font)
        if index % 2 and width > 3 * height + 16:
            image = image.rotate(180)
        noise = rng.normal(0, 6, (height, width))
        out[index] = (np.asarray(image) + noise).clip(0, 255) / 127.5 - 1
    return out


def opened(case: Case) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """The model, and the shape of its input where the file leaves it open."""
    if case.file.startswith("builtin:"):
        return case.file, {}
    spec = find_spec(OCR)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "models" / case.file, {"x": (1, 3, *case.size)}


main = Benchmark(
    name="allocate", text=__doc__, measure=measure, render=render,
    missed=lambda results: any("lost" in case["won"] for case in results["cases"].values()),
    libraries=("numpy", "onnx", "onnxruntime", "rapidocr-onnxruntime"),
    options={
        "--cases": {"nargs": "+", "choices": list(CASES), "default": list(CASES)},
        "--threads": 1,
    },
)  # fmt: skip
