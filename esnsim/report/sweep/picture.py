"""A sweep as a picture: accuracy against log cost (Fig. 8), widths of filters (Fig. 6)."""

import io
from typing import Any

from esnsim.costs.metric import metric_title
from esnsim.errors import EsnsimError
from esnsim.report.sweep.table import chosen_named, titles
from esnsim.sweeps.compare import by_network
from esnsim.sweeps.frontier import Sweep, frontier
from esnsim.sweeps.points import Point

METRICS = ("esn_a", "esn_d", "esn_d_tilde")  # the panels of Fig. 8
DOTS = 110  # per inch
WIDE_RATIO = 10_000  # times from end to end of an axis, from which on only powers of ten are marked
SHOWN = 0.25  # of accuracy below the best float model; the frontier's end says little
FORMATS = (".png", ".svg", ".pdf")


def picture(sweep: Sweep, suffix: str = ".png") -> bytes:
    """The picture as a file's bytes. Raises EsnsimError without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        raise EsnsimError("--picture needs matplotlib: pip install 'esnsim[report]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    metrics = dict.fromkeys((sweep.metric, *METRICS))
    for axis, metric in zip(axes.flat, list(metrics)[:3], strict=False):
        draw_curves(axis, sweep, metric)
    draw_widths(axes.flat[3], sweep)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format=suffix.removeprefix("."), dpi=DOTS)
    plt.close(figure)
    return out.getvalue()


def draw_curves(axis: Any, sweep: Sweep, metric: str) -> None:
    """Every point; a line along the best of each width of a network; the frontier of all."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    def cost(point: Point) -> float:
        return point.price(metric)

    names = titles(sweep)
    for index, ((model, ratio), points) in enumerate(by_network(sweep).items()):
        seen = [point for point in points if cost(point)]  # no logarithm of 0
        label = f"{names[model]} ({1 - ratio:g}×)"
        colour = f"C{index % 10}"
        axis.plot(*_line(seen, cost), "o", ms=3, color=colour, alpha=0.4)
        axis.plot(*_line(frontier(seen, cost), cost), "-", lw=1.2, color=colour, label=label)
    best = frontier((point for point in sweep.points if cost(point)), cost)
    axis.plot(*_line(best, cost), "s", ms=6, mfc="none", color="black", lw=0.8, label="frontier")
    for baseline in sweep.baselines:
        axis.axhline(100 * baseline.accuracy, color="grey", lw=0.6, ls=":")
    lowest = min((point.accuracy for point in sweep.points), default=0.0)
    axis.set_ylim(bottom=100 * max(lowest, sweep.best.accuracy - SHOWN) - 1)
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < WIDE_RATIO * low else (1,)))
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(labelsize=8)
    axis.set(xlabel=metric_title(metric), ylabel="accuracy, %")
    axis.spines[["top", "right"]].set_visible(False)


def _line(points: "tuple[Point, ...] | list[Point]", cost: Any) -> tuple[list[float], list[float]]:
    return [cost(point) for point in points], [100 * point.accuracy for point in points]


def draw_widths(axis: Any, sweep: Sweep) -> None:
    """Filters by width, of the cheapest point of each method or model within the drop."""
    chosen = chosen_named(sweep)
    widest = max((max(p.histogram, default=0) for p in chosen.values()), default=0)
    thick = 0.8 / max(1, len(chosen))
    for index, (name, point) in enumerate(chosen.items()):
        offset = (index - (len(chosen) - 1) / 2) * thick
        axis.bar(
            [bits + offset for bits in range(widest + 1)],
            [point.histogram.get(bits, 0) for bits in range(widest + 1)],
            thick, label=f"{name}, {100 * point.accuracy:.1f}%",
        )  # fmt: skip
    axis.set(xlabel="width of the filter, bits (0: pruned)", ylabel="filters")
    axis.legend(frameon=False, fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
