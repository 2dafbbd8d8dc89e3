"""Machines by name as a page: bars on one axis, a roofline where there is a memory, layers."""

from typing import Any

from esnsim.machines.named.comparison import Comparison, Taken
from esnsim.page.draw import COLOURS, draw_bars, draw_points, few_marks
from esnsim.page.page import Column, Page, Picture, Table, facts
from esnsim.report.machines.table import by_work, summary
from esnsim.report.simulation.table import Look
from esnsim.report.units import printable
from esnsim.units import human

BARS = 14  # that a picture of the usual height has room for


def page(comparison: Comparison) -> Page:
    """The page of machines by name."""
    model = comparison.network.network.source.path or "the model"
    ranked = sorted(comparison.taken, key=by_work)
    best = ranked[0]
    return Page(
        title=f"{printable(model)} on {len(ranked)} machines",
        lead=_lead(best, comparison),
        facts=facts(summary(comparison, Look(), True)),
        pictures=[_bars(ranked, comparison), *_roofline(ranked, comparison)],
        tables=[_machines(ranked, comparison), _layers(ranked, comparison)],
        notes=comparison.network.network.notes + comparison.network.notes,
    )


def _lead(best: Taken, comparison: Comparison) -> str:
    if best.one_bit is None or not comparison.ideal:
        return f"{best.name} takes {human(float(best.cycles))} reads of one image."
    return (
        f"At equal one-bit multipliers {best.name} takes the least: "
        f"{float(best.one_bit / comparison.ideal):.2f} times the ideal."
    )


def _bars(ranked: list[Taken], comparison: Comparison) -> Picture:
    ideal = comparison.ideal
    values = {t.name: float(t.one_bit / ideal) for t in ranked if t.one_bit is not None and ideal}
    return Picture(
        "Work on one axis",
        "Cycles × one-bit multipliers of each machine, in multiples of the ideal: "
        + ", ".join(f"{name} {value:.2f}" for name, value in values.items()) + ".",
        lambda axes: draw_bars(axes, values, "cycles × one-bit multipliers, ÷ ideal"),
        tall=max(1, len(values) / BARS),
    )  # fmt: skip


def _roofline(ranked: list[Taken], comparison: Comparison) -> list[Picture]:
    memory, ideal = comparison.memory, comparison.ideal
    points: dict[str, tuple[int, float, float]] = {
        t.name: (t.machine.multipliers or 0, ideal / sum(t.moved), ideal / float(t.cycles))
        for t in ranked
        if sum(t.moved) and t.cycles
    }
    if memory is None or not points:
        return []

    def draw(axes: Any) -> None:
        _draw_roofline(axes, points, memory.dram_bits)

    return [Picture(
        "Roofline", f"Work of each machine a cycle over its work a bit of DRAM, below the memory's "
        f"{memory.dram_bits} bits a cycle and each machine's multipliers.", draw,
    )]  # fmt: skip


def _draw_roofline(axes: Any, points: dict[str, tuple[int, float, float]], bandwidth: int) -> None:
    places = [x for _, x, _ in points.values()]
    ends = (min(places) / 3, max(places) * 3)
    axes.plot(ends, [bandwidth * x for x in ends], color=COLOURS[2], lw=1.2, label="memory")
    roofs = sorted({roof for roof, _, _ in points.values()})
    for roof in roofs:
        label = "multipliers" if roof == roofs[0] else None
        ridge = max(ends[0], roof / bandwidth)
        axes.plot([ridge, max(ridge, ends[1])], [roof] * 2, color=COLOURS[1], lw=1, label=label)
    draw_points(
        axes,
        {
            f"{name}: {human(y)} one-bit MACs a cycle, {human(x)} a bit of DRAM, "
            f"{human(roof)} multipliers": (x, y)
            for name, (roof, x, y) in points.items()
        },
        marker="o", ms=5, color=COLOURS[0],
    )  # fmt: skip
    if len(points) <= 8:
        for name, (_, x, y) in points.items():
            axes.annotate(name, (x, y), (4, -10), textcoords="offset points", fontsize=8)
    axes.set(
        xscale="log", yscale="log", xlim=ends, xlabel="one-bit MACs a bit of DRAM",
        ylabel="one-bit MACs a cycle",
    )  # fmt: skip
    few_marks(axes.xaxis)
    few_marks(axes.yaxis)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


def _machines(ranked: list[Taken], comparison: Comparison) -> Table:
    def ratio(taken: Taken, base: int) -> float | None:
        return float(taken.one_bit / base) if taken.one_bit is not None and base else None

    columns = [
        Column("machine", lambda taken: taken.name),
        Column("size", lambda taken: taken.machine.size),
        Column("cycles", lambda taken: float(taken.cycles), human),
        Column("used", lambda taken: taken.used, "{:.1%}".format),
        Column("idle most for", lambda t: t.waits_for and f"{t.waits_for[0]} {t.waits_for[1]:.0%}"),
        Column("÷ 8×8 bits", lambda taken: ratio(taken, comparison.dense), "{:.2f}".format),
        Column("÷ ideal", lambda taken: ratio(taken, comparison.ideal), "{:.2f}".format),
    ]
    if comparison.memory:
        columns.append(Column("layers that wait for DRAM", lambda t: sum(t.waiting), str))
    columns.append(Column("source", lambda taken: taken.machine.source))
    return Table("Machines", columns, ranked)


def _layers(ranked: list[Taken], comparison: Comparison) -> Table:
    def cycles(place: int) -> Any:
        return lambda row: row[1][place].cycles / ranked[place].images  # of one inference

    columns = [Column("layer", lambda row: printable(row[0]))]
    columns += [Column(taken.name, cycles(i), human) for i, taken in enumerate(ranked)]
    names = [quantized.layer.name for quantized in comparison.layers]
    counts = zip(*(taken.counts for taken in ranked), strict=True)
    return Table("Cycles by layer", columns, list(zip(names, counts, strict=True)))
