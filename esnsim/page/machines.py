"""Machines by name as a page: bars on one axis, a roofline where there is a memory, layers."""

from typing import Any

from esnsim.machines.named.comparison import Comparison, Taken, hertz
from esnsim.page.draw import draw_parts, draw_roofline
from esnsim.page.page import Column, Page, Picture, Table, facts
from esnsim.report.machines.table import bound, by_work, lost_to, summary
from esnsim.report.simulation.table import Look
from esnsim.report.units import printable
from esnsim.units import human, joules


def page(comparison: Comparison) -> Page:
    """The page of machines by name."""
    model = comparison.network.network.source.path or "the model"
    ranked = sorted(comparison.taken, key=by_work)
    best = ranked[0]
    return Page(
        title=f"{printable(model)} on {len(ranked)} machines",
        lead=_lead(best, comparison),
        facts=facts(summary(comparison, Look(), True)),
        pictures=[
            _bars(ranked, comparison),
            *_energy(ranked, comparison),
            *_roofline(ranked, comparison),
        ],
        tables=[_machines(ranked, comparison), _layers(ranked, comparison)],
        notes=comparison.network.network.notes + comparison.network.notes,
    )


def _lead(best: Taken, comparison: Comparison) -> str:
    if best.one_bit is None or not comparison.ideal:
        return f"{best.name} takes {human(float(best.cycles))} reads of one image."
    return (
        f"At equal one-bit multipliers {best.name} takes the least: "
        f"{comparison.of_ideal(best):.2f} times the ideal."
    )


def _bars(ranked: list[Taken], comparison: Comparison) -> Picture:
    values = {t.name: comparison.of_ideal(t) or 0.0 for t in ranked if t.one_bit}
    rows = {t.name: _work(t, comparison) for t in ranked if t.one_bit}
    return Picture(
        "Work on one axis",
        "Cycles × one-bit multipliers of each machine, in multiples of the ideal, and what they go "
        "to: " + ", ".join(f"{name} {value:.2f}" for name, value in values.items()) + ".",
        lambda axes: draw_parts(axes, rows, "cycles × one-bit multipliers, ÷ ideal"),
        bars=len(values),
    )  # fmt: skip


def _work(taken: Taken, comparison: Comparison) -> dict[str, float]:
    """Work ÷ ideal by what it goes to; where bits are skipped what is used is one part."""
    lost, total = comparison.lost(taken), comparison.of_ideal(taken) or 0.0
    ideal, widths = lost.pop("ideal"), lost.pop("widths")
    used = {"ideal": ideal, "widths": widths} if widths >= 0 else {"ideal": ideal + widths}
    return {part: total * share for part, share in (used | lost).items()}


def _energy(ranked: list[Taken], comparison: Comparison) -> list[Picture]:
    rows = {t.name: {part: 1e-6 * e for part, e in t.energy.items()} for t in ranked if t.parts}
    if not rows:
        return []
    return [Picture(
        "Energy by part", "Energy of one inference on each machine, in µJ: "
        + ", ".join(f"{name} {human(sum(parts.values()))}" for name, parts in rows.items()) + ".",
        lambda axes: draw_parts(axes, rows, "energy of one inference, µJ"),
        bars=len(rows),
    )]  # fmt: skip


def _roofline(ranked: list[Taken], comparison: Comparison) -> list[Picture]:
    points = {
        taken.name: (taken.machine.multipliers or 0, *point)
        for taken in ranked
        if (point := comparison.roofline(taken))
    }
    if not points:
        return []
    rates = sorted({
        float(t.memory.bits_a_cycle(hertz(t.machine, comparison.clock)))
        for t in ranked if t.memory is not None
    })  # fmt: skip
    told = " or ".join(f"{rate:g}" for rate in rates)
    return [Picture(
        "Roofline", "Work of each machine a cycle over its work a bit of DRAM, below the memory's "
        f"{told} bits a cycle and each machine's multipliers.",
        lambda axes: draw_roofline(axes, points, rates),
    )]  # fmt: skip


def _machines(ranked: list[Taken], comparison: Comparison) -> Table:
    columns = [
        Column("machine", lambda taken: taken.name),
        Column("size", lambda taken: taken.machine.size),
        Column("cycles", lambda taken: float(taken.cycles), human),
        Column("used", lambda taken: taken.used, "{:.1%}".format),
        Column("lost most to", lambda taken: lost_to(comparison.lost(taken))),
        Column("÷ 8×8 bits", comparison.of_dense, "{:.2f}".format),
        Column("÷ ideal", comparison.of_ideal, "{:.2f}".format),
    ]
    if any(taken.memory for taken in ranked):
        columns.append(Column("bound", bound))
    if comparison.prices:
        columns.append(Column("energy", lambda taken: taken.total_pj or None, joules))
    columns.append(Column("source", lambda taken: taken.machine.source))
    return Table("Machines", columns, ranked)


def _layers(ranked: list[Taken], comparison: Comparison) -> Table:
    def cycles(place: int) -> Any:
        return lambda row: float(ranked[place].of_image(row[1][place].cycles))

    columns = [Column("layer", lambda row: printable(row[0]))]
    columns += [Column(taken.name, cycles(i), human) for i, taken in enumerate(ranked)]
    names = [quantized.layer.name for quantized in comparison.layers]
    counts = zip(*(taken.counts for taken in ranked), strict=True)
    return Table("Cycles by layer", columns, list(zip(names, counts, strict=True)))
