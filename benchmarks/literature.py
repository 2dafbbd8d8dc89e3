"""MAC×bit of published quantisers on ResNet-18 and ResNet-50: `python -m benchmarks literature`.

The widths are those that the methods' own texts state; esnsim prices them. An accuracy stands
beside a row only where a public text says it (docs/literature.md names the texts and holds this
table). Needs the extra `[train]`, for the networks' shapes: the weights are random and, as every
filter is coded to its full width, decide nothing.
"""

from dataclasses import dataclass
from functools import cache

import torch

import esnsim
from benchmarks.harness import Benchmark, table
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
    """A network of the catalogue with random weights, at 224×224."""
    known = entry(name)
    torch.manual_seed(0)
    return esnsim.from_torch(known.build(), torch.zeros(1, *known.input_shape))


def _cells(row: Published, priced: Price) -> list[str]:
    title = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}[row.network]
    weights = "2–6" if isinstance(row.bits, tuple) else str(row.bits)
    return [
        title, row.method, f"{weights}/{row.activations or 32}", row.scope,
        f"{priced.mac_bits / 1e9:.2f}G", f"{priced.float_macs / 1e6:.1f}M",
        f"{priced.mac_bits / priced.coded_macs:.2f}", row.top1 or "–", row.source,
    ]  # fmt: skip


main = Benchmark(
    name="literature", text=__doc__, keeps=False,
    measure=lambda _: {"rows": [_cells(row, price(row)) for row in PUBLISHED]},
    render=lambda results: table(HEAD, results["rows"]),
)  # fmt: skip
