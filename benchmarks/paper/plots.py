"""Pictures like the paper's: accuracy against cost on a logarithmic axis, curves over epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.paper.statistics import curve, percent

Point = Mapping[str, Any]
Series = Mapping[str, Sequence[tuple[float, float]]]


def panels(path: Path, *drawn: "Panel | Bars") -> None:
    """Panels in rows of at most three, as even as may be; one legend below."""
    rows = -(-len(drawn) // 3)
    columns = -(-len(drawn) // rows)
    figure, grid = plt.subplots(
        rows, columns, figsize=(4.4 * columns, 3.5 * rows + 0.5), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for panel, axis in zip(drawn, grid.flat, strict=True):
        panel.draw(axis)
    named: dict[str, Any] = {}
    for axis in grid.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if named:
        figure.legend(
            [*named.values()], [*named], loc="outside lower center", ncols=2 * columns - 1,
            frameon=False, fontsize=8,
        )  # fmt: skip
    figure.savefig(path.with_suffix(".png"), dpi=110)
    plt.close(figure)


@dataclass(frozen=True, slots=True)
class Panel:
    """Named series of (x, y), drawn as lines with marks or as marks alone."""

    series: Series
    x: str
    y: str
    log: str = ""
    marks_only: Sequence[str] = ()

    def draw(self, axis: Any) -> None:
        for index, (name, points) in enumerate(self.series.items()):
            if not points:
                continue
            xs, ys = zip(*points, strict=True)
            line = "none" if name in self.marks_only else "-"
            marks = {"marker": "o", "markersize": 3, "color": f"C{index}"}
            axis.plot(xs, ys, linestyle=line, lw=1, label=name, **marks)
        axis.set(xlabel=self.x, ylabel=self.y)
        if "x" in self.log:
            axis.set_xscale("log")
        if "y" in self.log:
            axis.set_yscale("log")
        axis.spines[["top", "right"]].set_visible(False)


@dataclass(frozen=True, slots=True)
class Bars:
    """Histograms side by side: how many filters have each width."""

    counts: Mapping[str, Mapping[str, int]]

    def draw(self, axis: Any) -> None:
        wide = 0.8 / len(self.counts)
        for index, (name, histogram) in enumerate(self.counts.items()):
            offset = (index - (len(self.counts) - 1) / 2) * wide
            axis.bar(
                [bits + offset for bits in range(9)],
                [histogram.get(str(bits), 0) for bits in range(9)],
                wide, label=name, color=f"C{index}",
            )  # fmt: skip
        axis.set(xlabel="width of the filter, bits (0: pruned)", ylabel="filters")
        axis.spines[["top", "right"]].set_visible(False)


def over_cost(
    groups: Mapping[str, Sequence[Point]],
    metrics: Mapping[str, str],
    marks_only: Sequence[str] = (),
) -> list[Panel]:
    """Accuracy of groups of points over each metric (by MACs), given the metrics' titles."""
    return [
        Panel(
            {name: percent(curve(points, metric)) for name, points in groups.items()},
            title, "accuracy, %", log="x", marks_only=marks_only,
        )
        for metric, title in metrics.items()
    ]  # fmt: skip


def over_epochs(
    curves: Sequence[Point], by: str, title: str, shown: Mapping[str, tuple[str, str]]
) -> list[Panel]:
    """What of each epoch is `shown` (its label and log axes), for the runs of the first seed."""
    runs = {f"{title} {r[by]:g}": r["epochs"] for r in curves if r["seed"] == curves[0]["seed"]}
    return [
        Panel(
            {name: [(e["epoch"], e[key]) for e in epochs] for name, epochs in runs.items()},
            "epoch", label, log=log,
        )
        for key, (label, log) in shown.items()
    ]  # fmt: skip
