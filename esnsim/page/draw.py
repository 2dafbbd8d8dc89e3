"""What the pictures of pages have in common: bars of widths and layers, points, a roofline."""

from collections.abc import Mapping, Sequence
from typing import Any

from esnsim.report.units import printable
from esnsim.units import human

#: Colours of series; on pages each is a variable of style.css, which dark pages change.
COLOURS = (
    "#1f6f8b", "#9db4c0", "#c8553d", "#588157", "#8f5fa8", "#b8860b", "#d98cb3", "#2a9d8f",
    "#7f5539", "#5b5ea6", "#a9c46c", "#6c757d",
)  # fmt: skip
TIP = "tip:"  # before the text that a page shows of what a pointer is over
WIDE_RATIO = 100  # from end to end of an axis, from which on only powers of ten are marked


def tip(artist: Any, text: str) -> None:
    """Let a page show a text where a pointer is over a part of a picture."""
    artist.set_gid(TIP + text)


def draw_widths(axes: Any, histograms: Mapping[str, Mapping[int, int]]) -> None:
    """Filters by width, side by side where there are several histograms."""
    widest = max((max(counts, default=0) for counts in histograms.values()), default=0)
    thick = 0.8 / max(1, len(histograms))
    for index, (name, counts) in enumerate(histograms.items()):
        offset = (index - (len(histograms) - 1) / 2) * thick
        for bits in range(widest + 1):
            count = counts.get(bits, 0)
            colour = _colour(index, len(histograms))
            label = None if bits else name
            [bar] = axes.bar(bits + offset, count, thick, color=colour, label=label)
            if count:
                tip(bar, f"{name}: {count:,} filters of {bits} bit{'s' * (bits != 1)}")
    axes.set(xlabel="width of the filter, bits (0: pruned)", ylabel="filters")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if len(histograms) > 1:
        _legend(axes)


def draw_layers(
    axes: Any, names: Sequence[str], series: Mapping[str, Sequence[float]], unit: str,
    stacked: bool = False,
) -> None:  # fmt: skip
    """A bar a layer for each series: one before the other, or on top of it."""
    from matplotlib.ticker import EngFormatter

    below = [0.0] * len(names)
    for index, (label, heights) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)] if stacked else _colour(index, len(series))
        bars = axes.bar(range(1, len(names) + 1), heights, 0.8, below, color=colour, label=label)
        for bar, name, height in zip(bars, names, heights, strict=True):
            tip(bar, f"{printable(name)}: {human(height)} {unit}, {label}")
        if stacked:
            below = [low + height for low, height in zip(below, heights, strict=True)]
    axes.set(xlabel="layer, in the order of the graph", ylabel=unit, xlim=(0.3, len(names) + 0.7))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(axes)


def draw_parts(axes: Any, rows: Mapping[str, Mapping[str, float]], xlabel: str) -> None:
    """Named bars one below the other, the first on top, each of parts; small parts are one.

    Bars far longer than the median are cut, with their length.
    """
    every, kept = dict.fromkeys(part for parts in rows.values() for part in parts), _large(rows)
    names = [part for part in every if part in kept] + ["others"] * (len(kept) < len(every))
    longest = 4 * sorted(sum(parts.values()) for parts in rows.values())[len(rows) // 2]
    for place, (row, parts) in enumerate(rows.items()):
        shown = {part: parts.get(part, 0.0) for part in names[: len(kept)]}
        shown["others"] = sum(value for part, value in parts.items() if part not in kept)
        _draw_row(axes, place, row, {part: shown[part] for part in names})
        if (total := sum(parts.values())) > longest:
            axes.annotate(f"{human(total)} →", (longest, place), ha="right", va="center")
            axes.set_xlim(0, longest)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set(xlabel=xlabel, ylim=(len(rows) - 0.4, -0.6))
    _legend(axes)


def _large(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Parts that get a colour: before others those that are the largest of a bar, then the second
    largest of one.
    """
    ranks: dict[str, tuple[int, float]] = {}
    for parts in rows.values():
        whole = sum(parts.values()) or 1
        for rank, part in enumerate(sorted(parts, key=lambda part: -parts[part])):
            found = (rank, -parts[part] / whole)
            ranks[part] = min(found, ranks.get(part, found))
    return sorted(ranks, key=lambda part: ranks[part])[: len(COLOURS) - 1]


def _draw_row(axes: Any, place: int, row: str, parts: Mapping[str, float]) -> None:
    """A bar of parts, one after the other; the first row names them."""
    left = 0.0
    for index, (part, value) in enumerate(parts.items()):
        label = None if place else part
        [bar] = axes.barh(place, value, 0.7, left, color=COLOURS[index], label=label)
        tip(bar, f"{row}: {human(value)} {part}")
        left += value


def draw_roofline(
    axes: Any, points: Mapping[str, tuple[float, float, float]], rates: Sequence[float]
) -> None:
    """Named points (x, y) below slopes, the rates, and below roofs, each point its own."""
    places = [x for _, x, _ in points.values()]
    ends = (min(places) / 3, max(places) * 3)
    for rate in rates:
        label = "memory" if rate == rates[0] else None
        axes.plot(ends, [rate * x for x in ends], color=COLOURS[2], lw=1.2, label=label)
    roofs = sorted({roof for roof, _, _ in points.values()})
    for roof in roofs:
        label = "multipliers" if roof == roofs[0] else None
        ridge = max(ends[0], roof / rates[-1])
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


def few_marks(axis: Any) -> None:
    """A logarithmic axis whose numbers stand as people write them: 10k."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    subs = (1, 2, 5) if high < WIDE_RATIO * low else (1,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axis.set_major_formatter(EngFormatter(sep=""))
    axis.set_minor_formatter(NullFormatter())


def draw_points(axes: Any, points: Mapping[str, tuple[float, float]], **how: Any) -> None:
    """Points, each with a text where a pointer is over it."""
    for text, (x, y) in points.items():
        [point] = axes.plot([x], [y], **how)
        tip(point, text)


def _colour(index: int, count: int) -> str:
    """The strong colour for the last of several series: what is now, or what counts."""
    return COLOURS[(count - 1 - index) % len(COLOURS)]


def _legend(axes: Any) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
