"""Accuracy of the embedded ResNet-20 on machines: `python -m benchmarks accuracy`.

Runs `esnsim simulate builtin:resnet20 --end-to-end` on the embedded images for each width of
weights and each converter, prints the tables of docs/simulate.md, and draws them. Results that are
there already are kept, so that the command goes on where it was stopped.
"""

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import ROOT, Benchmark, Document, kept, say, table, write
from esnsim.cli import main as esnsim

PICTURE = ROOT / "docs" / "images" / "accuracy"
BASE = "simulate builtin:resnet20 --end-to-end"
BITS, ADC_BITS = range(8, 1, -1), range(8, 3, -1)

#: Column of a table -> options of a row's bits.
DIGITAL = {
    "layer-max": "--bits {}",
    "filter-max": "--bits-per-filter {}",
    "mse": "--bits {} --step mse",
}
ANALOG = {
    "whole weights, calibrated": "--engine analog --adc-bits {} --adc-range calibrated",
    "ISAAC, granular": "--array isaac --adc-bits {}",
    "ISAAC, max": "--array isaac --adc-bits {} --adc-range max",
}


TABLES = ((DIGITAL, BITS), (ANALOG, ADC_BITS))


def measure(arguments: Namespace) -> dict[str, Any]:
    """Run what is missing, draw the picture."""
    path: Path = arguments.output
    found = kept(path)
    every = ((c, bits) for columns, rows in TABLES for c in columns.values() for bits in rows)
    for column, bits in every:
        words = column.format(bits)
        if words not in found:
            found[words] = simulated(words, arguments.images, arguments.threads)
            write(path, found)
            say(f"{words} {found[words]}")
    draw(found)
    return {"found": found}


def simulated(words: str, images: int, threads: int) -> dict[str, float]:
    """Top-1 and what it took, of one command."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        words = f"{BASE} {words} --images {images} --threads {threads} -q --json"
        if esnsim([*words.split(), "-o", str(file)]):
            raise SystemExit(f"esnsim {words} failed")
        document: Mapping[str, Any] = json.loads(file.read_text())
    totals, accuracy = document["totals"], document["accuracy"]
    return {
        "images": accuracy["images"], "top1": accuracy["simulated"],
        "float": accuracy["float_model"],
        **{name: totals[name] for name in ("mac_bits", "cycles", "sqnr_db") if name in totals},
    }  # fmt: skip


def tables(found: Document) -> str:
    """The two tables in Markdown."""
    digital = [
        [str(bits), *(text for run in runs_of(found, DIGITAL, bits)
                      for text in (f"{run['top1']:.1%}", f"{run['mac_bits'] / 1e6:.0f} M"))]
        for bits in BITS
    ]  # fmt: skip
    analog = [
        [str(bits), *(f"{run['top1']:.1%}, {sqnr(run)}" for run in runs_of(found, ANALOG, bits))]
        for bits in ADC_BITS
    ]
    head = [text for name in DIGITAL for text in (f"{name}: top-1", "MAC×bit")]
    return f"{table(['bits', *head], digital)}\n\n{table(['ADC bits', *ANALOG], analog)}"


def runs_of(found: Document, columns: Mapping[str, str], bits: int) -> list[Mapping[str, float]]:
    """The runs in a row of a table."""
    return [found[column.format(bits)] for column in columns.values()]


def sqnr(run: Mapping[str, float]) -> str:
    """Signal to quantisation noise of all layers' outputs."""
    return "exact" if run["sqnr_db"] is None else f"{run['sqnr_db']:.1f} dB"


def draw(found: Document) -> None:
    """Accuracy over MAC×bit, and over the bits of converters, beside the float model's."""
    from benchmarks.paper.plots import Panel, panels

    top = 100 * next(iter(found.values()))["float"]
    shown = []
    titles = ("MAC×bit, millions", "bits of a converter, 8-bit weights")
    for (columns, rows), title in zip(TABLES, titles, strict=True):
        curves = {name: curve(found, column, rows) for name, column in columns.items()}
        ends = [x for points in curves.values() for x, _ in points]
        curves["float model"] = [(min(ends), top), (max(ends), top)]
        shown.append(Panel(curves, title, "top-1, %"))
    panels(PICTURE, *shown)


def curve(found: Document, column: str, rows: Sequence[int]) -> list[tuple[float, float]]:
    """Top-1 in percent over MAC×bit in millions, or over the bits of converters."""
    runs = [(bits, found[column.format(bits)]) for bits in rows]
    digital = column in DIGITAL.values()
    return [(r["mac_bits"] / 1e6 if digital else bits, 100 * r["top1"]) for bits, r in runs]


main = Benchmark(
    name="accuracy", text=__doc__, measure=measure,
    render=lambda results: tables(results["found"]),
    options={
        "--images": {"type": int, "default": 936, "help": "embedded images that do not calibrate"},
        "--threads": 0,
    },
    resumes=True,
)  # fmt: skip
