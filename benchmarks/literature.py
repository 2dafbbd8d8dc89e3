"""MAC×bit of published quantisers on ImageNet's networks: `python -m benchmarks literature`.

The widths are those that the methods' own texts state; esnsim prices them. An accuracy stands
beside a row only where a public text says it (docs/literature.md names the texts and holds this
table). Needs the extra `[train]`, for the networks' shapes: the weights are random and, as every
filter is coded to its full width, decide nothing.
"""

import csv
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

import esnsim
from benchmarks.harness import ROOT, Benchmark, Document, check, table
from esnsim.model.network import Network
from esnsim.training.catalog import entry

#: HAQ's policy for ResNet-50 at a tenth of the size, a width a layer (its README).
HAQ = (
    6, 6, 5, 5, 5, 5, 4, 5, 5, 4, 5, 5, 5, 5, 5, 5, 3, 5, 4, 3, 5, 4, 3, 4, 4, 4, 2,
    5, 4, 3, 3, 5, 3, 2, 5, 3, 2, 4, 3, 2, 5, 3, 2, 5, 3, 4, 2, 5, 2, 3, 4, 2, 3, 4,
)  # fmt: skip
INSIDE, ENDS, ALL = "all but the first and last", "8 bits in the first and last", "all"


@dataclass(frozen=True, slots=True)
class Published:
    """A network at the weight widths of a method.

    `bits` is the width of every layer, or one each. `scope` says what becomes of the first and
    the last layer: INSIDE leaves them in floating point. `activations` are the bits of these,
    None for floats. `top1` is in percent, None where no text that we can read confirms it.
    """

    method: str
    network: str
    bits: int | tuple[int, ...]
    scope: str
    activations: int | None
    top1: str | None
    source: str


def _lq(network: str, bits: int, activations: int | None, top1: str) -> Published:
    return Published("LQ-Nets", network, bits, INSIDE, activations, top1, "L")


PUBLISHED = (
    Published("Banner et al.", "resnet18", 4, ENDS, None, None, "B"),
    Published("ABC-Net", "resnet18", 5, ALL, None, "68.3 or 67.3", "A"),
    _lq("resnet18", 1, 2, "62.6"),
    _lq("resnet18", 2, 2, "64.9"),
    _lq("resnet18", 3, 3, "68.2"),
    _lq("resnet18", 4, 4, "69.3"),
    _lq("resnet18", 2, None, "68.0"),
    _lq("resnet18", 3, None, "69.3"),
    _lq("resnet18", 4, None, "70.0"),
    Published("min–max", "resnet50", 4, ENDS, 4, "62.2", "B"),
    Published("Banner et al.", "resnet50", 4, ENDS, 4, "73.3", "B"),
    _lq("resnet50", 1, 2, "68.7"),
    _lq("resnet50", 2, 2, "71.5"),
    _lq("resnet50", 3, 3, "74.2"),
    _lq("resnet50", 4, 4, "75.1"),
    _lq("resnet50", 2, None, "75.1"),
    _lq("resnet50", 4, None, "76.4"),
    Published("HAQ (codebook)", "resnet50", HAQ, ALL, None, "75.48", "H"),
)

POINTS, PICTURE = Path(__file__).parent / "published.csv", ROOT / "docs" / "images" / "literature"
MOBILE = "mobilenetv2"
NETWORKS = {"ResNet-18": "resnet18", "ResNet-50": "resnet50", "MobileNetV2": MOBILE}
#: Expansion, filters, blocks and stride of each stage of MobileNetV2.
INVERTED = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
NEAR = 0.005  # of MAC×bit, between that here and that in the file of points
LEAST, LOST = 0.02, 40.0  # points of top-1 that a picture shows

POINTS_HEAD = ("network", "method", "W/A", "kind", "MAC×bit", "mean bits", "top-1, %", "lost",
               "source")  # fmt: skip
HEAD = ("network", "method", "W/A", "layers", "MAC×bit", "MACs in float", "mean bits", "top-1, %",
        "text")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Price:
    """MAC×bit of the coded layers, their MACs, and the MACs of layers left in floating point."""

    mac_bits: int
    coded_macs: int
    float_macs: int


def price(row: Published) -> Price:
    """The row's widths priced by esnsim (Eq. 7)."""
    whole = network(row.network)
    layers = whole.layers
    widths = row.bits if isinstance(row.bits, tuple) else (row.bits,) * len(layers)
    if row.scope == ENDS:
        widths = (8, *widths[1:-1], 8)
    given = dict(zip((layer.name for layer in layers), widths, strict=True))
    cost = esnsim.cost(esnsim.quantize(whole, esnsim.Scheme(widths=given)))
    coded = cost.layers[1:-1] if row.scope == INSIDE else cost.layers
    macs = sum(layer.metrics.macs for layer in coded)
    mac_bits = sum(layer.metrics.esn_d_tilde.macs for layer in coded)
    return Price(mac_bits, macs, cost.total.macs - macs)


@cache
def network(name: str) -> Network:
    """A network with random weights, at 224×224."""
    torch.manual_seed(0)
    module = mobilenet_v2() if name == MOBILE else entry(name).build()
    return esnsim.from_torch(module, torch.zeros(1, 3, 224, 224))


def mobilenet_v2() -> nn.Module:
    """Sandler et al. 2018, Table 2 (arXiv:1801.04381); no residual additions."""
    layers, channels = [nn.Conv2d(3, 32, 3, 2, 1)], 32
    for expand, filters, depth, stride in INVERTED:
        for block in range(depth):
            inner = channels * expand
            if expand > 1:
                layers.append(nn.Conv2d(channels, inner, 1))
            step = 1 if block else stride
            layers.append(nn.Conv2d(inner, inner, 3, step, 1, groups=inner))
            layers.append(nn.Conv2d(inner, filters, 1))
            channels = filters
    head = (nn.Conv2d(channels, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, *head, nn.Linear(1280, 1000)).eval()


def points() -> list[dict[str, str]]:
    """The points that others published, as their texts say, a row each (docs/literature.md)."""
    with POINTS.open(newline="") as file:
        return list(csv.DictReader(file))


SOURCES = [*dict.fromkeys(point["source"] for point in points())]


def priced(point: Document) -> float | None:
    """MAC×bit of a point whose layers have one width, the ends perhaps 8 bits; else None.

    A mean width that is no whole number is charged as such.
    """
    name = NETWORKS.get(point["network"])
    if name is None or "list" in point["layers"]:
        return None
    macs = [layer.macs for layer in network(name).layers]
    bits = [float(point["W"])] * len(macs)
    if not point["layers"].startswith("all layers"):
        bits[0] = bits[-1] = 8.0
    return sum(m * b for m, b in zip(macs, bits, strict=True))


def rows() -> list[dict[str, Any]]:
    """Each point with its price; where widths of layers are its text's alone, that of the text."""
    found = []
    for point in points():
        given, price_ = 1e9 * float(point["macbit_G"]), priced(point)
        if price_ is not None:
            check(abs(price_ - given) < NEAR * given, f"{point['method']}: {price_} and {given}")
        floats = point["float_top1"]
        lost = float(floats) - float(point["top1"]) if floats else None
        own = {"mac_bits": price_ or given, "own": price_ is not None, "lost": lost}
        found.append({**point, **own})
    return sorted(found, key=lambda row: (row["network"], row["mac_bits"], row["lost"] or 0))


def draw(found: Sequence[Document], path: Path) -> None:
    """Points of top-1 lost over MAC×bit, a panel a network, those of training apart."""
    from benchmarks.paper.plots import Panel, panels

    shown = []
    for name in NETWORKS:
        of = [row for row in found if row["network"] == name and (row["lost"] or LOST) < LOST]
        series = {
            title: [(r["mac_bits"] / 1e9, max(r["lost"], LEAST)) for r in of if r["kind"] == kind]
            for kind, title in {"PTQ": "after training", "QAT": "with training"}.items()
        }
        axes = f"MAC×bit of {name}, G", "points of top-1 lost"
        shown.append(Panel(series, *axes, log="xy", marks_only=[*series]))
    panels(path, *shown)


def _point_cells(row: Document) -> list[str]:
    return [
        row["network"], row["method"], f"{row['W']}/{row['A']}", row["kind"],
        f"{row['mac_bits'] / 1e9:.2f}G{'' if row['own'] else ' *'}", row["mean_bits"],
        row["top1"], "–" if row["lost"] is None else f"{row['lost']:.2f}",
        str(SOURCES.index(row["source"]) + 1),
    ]  # fmt: skip


def _cells(row: Published, priced: Price) -> list[str]:
    title = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}[row.network]
    weights = "2–6" if isinstance(row.bits, tuple) else str(row.bits)
    return [
        title, row.method, f"{weights}/{row.activations or 32}", row.scope,
        f"{priced.mac_bits / 1e9:.2f}G", f"{priced.float_macs / 1e6:.1f}M",
        f"{priced.mac_bits / priced.coded_macs:.2f}", row.top1 or "–", row.source,
    ]  # fmt: skip


def measure(arguments: Namespace) -> dict[str, Any]:
    """Both tables; with `--picture` the picture too."""
    found = rows()
    if getattr(arguments, "picture", None):
        draw(found, arguments.picture)
    return {
        "rows": [_cells(row, price(row)) for row in PUBLISHED],
        "points": [_point_cells(row) for row in found],
    }


main = Benchmark(
    name="literature", text=__doc__, keeps=False, measure=measure,
    render=lambda results: "\n\n".join(
        (table(HEAD, results["rows"]), table(POINTS_HEAD, results["points"]),
         "\n".join(f"{i}. {source}" for i, source in enumerate(SOURCES, 1)))
    ),
    options={
        "--picture": {"type": Path, "metavar": "FILE", "nargs": "?", "const": PICTURE},
    },
)  # fmt: skip
