"""Pictures like the paper's: accuracy against cost on a logarithmic axis, curves over epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Series = Mapping[str, Sequence[tuple[float, float]]]


def panels(path: Path, *drawn: "Panel | Bars") -> None:
    """Panels in rows of three, one legend below."""
    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(4.4 * columns, 3.5 * rows + 0.5), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for panel, axis in zip(drawn, grid.flat, strict=True):
        panel.draw(axis)
    handles, labels = [], []
    for axis in grid.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=2 * columns - 1,
            frameon=False,
            fontsize=8,
        )
    figure.savefig(path.with_suffix(".png"), dpi=110)
    plt.close(figure)


class Panel:
    """Named series of (x, y), drawn as lines with marks or as marks alone."""

    def __init__(
        self, series: Series, x: str, y: str, *,
        log: str = "", marks_only: Sequence[str] = (), colours: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        self.series, self.x, self.y = series, x, y
        self.log, self.marks_only, self.colours = log, marks_only, colours

    def draw(self, axis: Any) -> None:
        for index, (name, points) in enumerate(self.series.items()):
            if not points:
                continue
            xs, ys = zip(*points, strict=True)
            line = "none" if name in self.marks_only else "-"
            colour = self.colours[index] if self.colours else f"C{index}"
            axis.plot(
                xs, ys, linestyle=line, marker="o", markersize=3, lw=1, label=name, color=colour
            )
        axis.set(xlabel=self.x, ylabel=self.y)
        if "x" in self.log:
            axis.set_xscale("log")
        if "y" in self.log:
            axis.set_yscale("log")
        axis.spines[["top", "right"]].set_visible(False)


class Bars:
    """Histograms side by side: how many filters have each width."""

    def __init__(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        self.counts = counts

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
