"""MAC×bit against times of HAWQ on an NVIDIA T4: `python -m benchmarks silicon`.

Correlations of four costs with measured times, how time falls with bits, and a row `t4`: a rate for
MAC·bits^p and a time a layer, fitted on the layers of ResNet-18 alone, which then predicts the nets
of ResNet-50. Widths of weights and activations are alike there; first and last layers, of which no
times are known, have 8 bits in all nets.
"""

import json
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Benchmark, Document, table

DATA = Path(__file__).with_suffix(".json")
EXPONENTS = np.arange(0.5, 1.01, 0.01)
FITTED, PREDICTED, ANCHOR = "resnet18", "resnet50", "uniform8"
HEAD = ("", "", "MAC×bit", "BOPs", "MACs", "weight bits", "time falls as bits to the")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layers:
    """MACs, weights and bits of layers (n,), and their times in ms, NaN where none is known."""

    macs: Floats
    weights: Floats
    bits: Floats
    ms: Floats

    @property
    def costs(self) -> tuple[Floats, ...]:
        """MAC×bit, BOPs, MACs, bits of weights (n,)."""
        mac_bits = self.macs * self.bits
        return mac_bits, mac_bits * self.bits, self.macs, self.weights * self.bits


def layers(net: Document, bits: list[int]) -> Layers:
    """The layers of a net at these widths."""
    rows = [
        (np.prod(layer["shape"]) * layer["output"] ** 2, np.prod(layer["shape"]), width,
         layer.get(f"ms_int{width}", np.nan))
        for layer, width in zip(net["layers"], bits, strict=True)
    ]  # fmt: skip
    return Layers(*np.array(rows, np.float64).T)


def timed(net: Document) -> tuple[Layers, Layers]:
    """The layers whose times are known, at 4 and at 8 bits."""
    known = {"layers": [layer for layer in net["layers"] if "ms_int8" in layer]}
    four, eight = (layers(known, [bits] * len(known["layers"])) for bits in (4, 8))
    return four, eight


def correlations(costs: list[tuple[Floats, ...]], times: Floats) -> list[float | None]:
    """Of each cost with times, of layers or nets in a row; None of a cost that is constant."""
    columns = (
        np.concatenate([np.atleast_1d(part) for part in c]) for c in zip(*costs, strict=True)
    )
    return [float(np.corrcoef(x, times)[0, 1]) if np.ptp(x) else None for x in columns]


@dataclass(frozen=True, slots=True)
class Fit:
    """ms of a layer: `rate`·MACs·bits^`exponent` + `launch`."""

    rate: float
    exponent: float
    launch: float

    def ms(self, found: Layers) -> Floats:
        """Times of layers (n,)."""
        return self.rate * found.macs * found.bits**self.exponent + self.launch


def fit(net: Document) -> Fit:
    """The fit of least mean relative error on the timed layers of a net."""
    parts = timed(net)
    times, found = np.concatenate([part.ms for part in parts]), []
    for exponent in EXPONENTS:
        work = np.concatenate([part.macs * part.bits**exponent for part in parts])
        columns = np.column_stack([work, np.ones(len(work))]) / times[:, None]
        (rate, launch), *_ = np.linalg.lstsq(columns, np.ones(len(work)), rcond=None)
        error = np.abs(columns @ (rate, launch) - 1).mean()
        found.append((error, Fit(float(rate), round(float(exponent), 2), float(launch))))
    return min(found, key=lambda each: each[0])[1]


def errors(net: Document, ms: Any) -> dict[str, float]:
    """How far speed-ups of nets are off by times of layers, `ms`, scaled to the net of 8 bits."""
    nets = net["configurations"]
    spent = {name: float(ms(layers(net, [*map(int, c["bits"])])).sum()) for name, c in nets.items()}
    scale = spent[ANCHOR] * nets[ANCHOR]["speedup"]
    off = [abs(scale / spent[n] / c["speedup"] - 1) for n, c in nets.items() if n != ANCHOR]
    return {"mean": float(np.mean(off)), "most": float(np.max(off)), "nets": len(off)}


def measure(arguments: Namespace) -> dict[str, Any]:
    nets = json.loads(DATA.read_text("utf-8"))["nets"]
    rows = {}
    for name, net in nets.items():
        four, eight = timed(net)
        times = np.concatenate([four.ms, eight.ms])
        chosen = [layers(net, [*map(int, c["bits"])]) for c in net["configurations"].values()]
        speeds = np.array([1 / c["speedup"] for c in net["configurations"].values()])
        sums = [tuple(cost.sum() for cost in one.costs) for one in chosen]
        rows[name] = {
            "layers": len(four.ms),
            "nets": len(chosen),
            "by_layer": correlations([four.costs, eight.costs], times),
            "by_net": correlations(sums, speeds),
            "exponent": float(np.log2(eight.ms / four.ms).mean()),
        }
    t4 = fit(nets[FITTED])
    off = {
        name: float(
            np.mean([np.abs(t4.ms(part) / part.ms - 1).mean() for part in timed(nets[name])])
        )
        for name in nets
    }
    return {
        "rows": rows,
        "t4": {"ms_per_mac": t4.rate, "exponent": t4.exponent, "launch_ms": t4.launch},
        "layers_off": off,
        "nets_off": errors(nets[PREDICTED], t4.ms),
        "table_off": errors(nets[PREDICTED], lambda found: np.nan_to_num(found.ms)),
    }


def render(results: Document) -> str:
    lines = []
    for name, row in results["rows"].items():
        for what, count in (("layer", 2 * row["layers"]), ("net", row["nets"])):
            told = ["–" if value is None else f"{value:.3f}" for value in row[f"by_{what}"]]
            exponent = f"{row['exponent']:.2f}" if what == "layer" else ""
            lines.append((name, f"{count} {what}s", *told, exponent))
    t4, nets, own = results["t4"], results["nets_off"], results["table_off"]
    return "\n".join([
        table(HEAD, lines), "",
        f"t4: {1e9 * t4['ms_per_mac']:.2f} ps·MAC·bits^{t4['exponent']:.2f} + "
        f"{1e3 * t4['launch_ms']:.1f} µs a layer, fitted on {FITTED} alone; layers off by "
        + ", ".join(f"{off:.1%} ({name})" for name, off in results["layers_off"].items()),
        f"speed-ups of {nets['nets']} nets of {PREDICTED} over 8 bits: off by {nets['mean']:.1%}, "
        f"at most {nets['most']:.1%}; sums of their own layers' times: {own['mean']:.1%}, at most "
        f"{own['most']:.1%}",
    ])  # fmt: skip


main = Benchmark(name="silicon", text=__doc__, measure=measure, render=render)
