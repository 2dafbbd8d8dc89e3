"""A sweep as a page: accuracy against cost with the frontier, and every point."""

from typing import Any

from esnsim.costs.metric import metric_title
from esnsim.page.draw import draw_widths, tip
from esnsim.page.page import Column, Page, Picture, Table, facts
from esnsim.report.sweep.picture import draw_curves
from esnsim.report.sweep.table import chosen_named, describe, titles, words
from esnsim.sweeps.frontier import Sweep
from esnsim.units import human


def page(sweep: Sweep) -> Page:
    """The page of a sweep."""
    lines = words(sweep).splitlines()
    end = lines.index("") if "" in lines else len(lines)
    return Page(
        title=f"Accuracy against {metric_title(sweep.metric)}: "
        + ", ".join(titles(sweep).values()),
        lead=_lead(sweep),
        facts=facts(lines[:end]),
        pictures=[_frontier(sweep), _widths(sweep)],
        tables=[_points(sweep)],
        notes=(*sweep.left_out, *sweep.stay_float),
    )  # fmt: skip


def _lead(sweep: Sweep) -> str:
    chosen, metric = sweep.chosen, metric_title(sweep.metric)
    if chosen is None:
        return f"No point of {len(sweep.points)} is within the accuracy that may be lost."
    return (
        f"The cheapest of {len(sweep.points)} points within the accuracy that may be lost takes "
        f"{human(sweep.price(chosen))} {metric} at {chosen.accuracy:.1%}: "
        f"{describe(chosen, titles(sweep)[chosen.candidate.model])}."
    )


def _frontier(sweep: Sweep) -> Picture:
    names = titles(sweep)

    def draw(axes: Any) -> None:
        draw_curves(axes, sweep, sweep.metric)
        for point in filter(sweep.price, sweep.points):
            [spot] = axes.plot([sweep.price(point)], [100 * point.accuracy], "o", ms=9, alpha=0)
            tip(spot, f"{human(sweep.price(point))}, {point.accuracy:.1%}: "
                + describe(point, names[point.candidate.model]))  # fmt: skip
        axes.legend(loc="lower right", fontsize=8)

    return Picture(
        "The frontier",
        f"Accuracy of {len(sweep.points)} points against {metric_title(sweep.metric)} on a "
        f"logarithmic axis; {len(sweep.frontier)} of them no other beats. The table has the "
        "numbers.",
        draw,
    )


def _widths(sweep: Sweep) -> Picture:
    counts = {
        f"{name}, {point.accuracy:.1%}": point.histogram
        for name, point in chosen_named(sweep).items()
    }
    return Picture(
        "Widths of filters", "Filters by width in bits of the cheapest point within the accuracy "
        "that may be lost, or the most accurate.", lambda axes: draw_widths(axes, counts),
    )  # fmt: skip


def _points(sweep: Sweep) -> Table:
    names, best = titles(sweep), {id(point) for point in sweep.frontier}
    columns = (
        Column("network", lambda p: names[p.candidate.model]),
        Column("policy", lambda p: p.candidate.policy),
        Column("step", lambda p: p.candidate.rule),
        Column("pruned", lambda p: p.candidate.ratio, "{:.0%}".format),
        Column("bits", lambda p: p.candidate.bits, "{:g}".format),
        Column("bits by MACs", lambda p: p.total.mean_width_by_macs, "{:.2f}".format),
        Column(metric_title(sweep.metric), sweep.price, human),
        Column("accuracy", lambda p: p.accuracy, "{:.1%}".format),
        Column("95 % from", lambda p: p.evaluation.interval[0], "{:.1%}".format),
        Column("to", lambda p: p.evaluation.interval[1], "{:.1%}".format),
        Column("SQNR, dB", lambda p: p.evaluation.sqnr_db, "{:.1f}".format),
        Column("frontier", lambda p: "on it" if id(p) in best else ""),
    )
    return Table("Points", columns, sweep.cheapest_first)
