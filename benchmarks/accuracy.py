"""Accuracy of the embedded ResNet-20 on machines: `python -m benchmarks accuracy`.

Runs `esnsim simulate builtin:resnet20 --end-to-end` on the embedded images for each width of
weights and each converter, prints the tables of docs/simulate.md, and draws them. Results that are
there already are kept, so that the command goes on where it was stopped.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from esnsim.cli import main as esnsim

RESULTS = Path(__file__).parent / "results" / "accuracy.json"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "accuracy.png"
BASE = ("simulate", "builtin:resnet20", "--end-to-end")
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


def main(options: Sequence[str]) -> int:
    """Run what is missing, print the tables, draw the picture."""
    parser = argparse.ArgumentParser(prog="benchmarks accuracy", description=__doc__)
    parser.add_argument(
        "--images", type=int, default=936, help="embedded images that do not calibrate"
    )
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args(options)
    found = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for columns, rows in ((DIGITAL, BITS), (ANALOG, ADC_BITS)):
        for column in columns.values():
            for bits in rows:
                words = column.format(bits)
                if words not in found:
                    found[words] = measure(words, arguments.images, arguments.threads)
                    arguments.output.parent.mkdir(parents=True, exist_ok=True)
                    arguments.output.write_text(json.dumps(found, indent=1) + "\n")
                    print(words, found[words], file=sys.stderr, flush=True)
    print(tables(found))
    draw(found, PICTURE)
    return 0


def measure(words: str, images: int, threads: int) -> dict[str, float]:
    """Top-1 and what it took, of one command."""
    file = RESULTS.with_suffix(".run.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    extra = ("--images", str(images), "--threads", str(threads), "-q", "--json", "-o", str(file))
    if esnsim([*BASE, *words.split(), *extra]):
        raise SystemExit(f"esnsim {' '.join(BASE)} {words} failed")
    document: Mapping[str, Any] = json.loads(file.read_text())
    file.unlink()
    totals = document["totals"]
    return {
        "top1": document["accuracy"]["simulated"],
        "float": document["accuracy"]["float_model"],
        **{name: totals[name] for name in ("mac_bits", "cycles", "sqnr_db") if name in totals},
    }


def tables(found: Mapping[str, Mapping[str, float]]) -> str:
    """The two tables in Markdown."""
    head = "| bits | " + " | ".join(f"{name}: top-1 | MAC×bit" for name in DIGITAL) + " |"
    lines = [head, "|" + "---|" * (1 + 2 * len(DIGITAL))]
    for bits in BITS:
        runs = [found[column.format(bits)] for column in DIGITAL.values()]
        cells = (f"{r['top1']:.1%} | {r['mac_bits'] / 1e6:.0f} M" for r in runs)
        lines.append(f"| {bits} | {' | '.join(cells)} |")
    lines += ["", f"| ADC bits | {' | '.join(ANALOG)} |", "|" + "---|" * (1 + len(ANALOG))]
    for bits in ADC_BITS:
        runs = [found[column.format(bits)] for column in ANALOG.values()]
        cells = (f"{r['top1']:.1%}, {sqnr(r)}" for r in runs)
        lines.append(f"| {bits} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sqnr(run: Mapping[str, float]) -> str:
    """Signal to quantisation noise of all layers' outputs."""
    return "exact" if run["sqnr_db"] is None else f"{run['sqnr_db']:.1f} dB"


def draw(found: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Accuracy over MAC×bit, and over the bits of converters."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    for name, column in DIGITAL.items():
        runs = [found[column.format(bits)] for bits in BITS]
        left.plot(
            [r["mac_bits"] / 1e6 for r in runs], [100 * r["top1"] for r in runs], "o-", label=name
        )
    left.set(xlabel="MAC×bit, millions", ylabel="top-1, %", title="digital, weights of 8 to 2 bits")
    for name, column in ANALOG.items():
        runs = [found[column.format(bits)] for bits in ADC_BITS]
        right.plot(list(ADC_BITS), [100 * r["top1"] for r in runs], "o-", label=name)
    right.set(xlabel="bits of a converter", title="analog, 8-bit weights", xticks=list(ADC_BITS))
    reference = 100 * next(iter(found.values()))["float"]
    for axes in (left, right):
        axes.axhline(reference, color="grey", linewidth=0.8, linestyle="--")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
