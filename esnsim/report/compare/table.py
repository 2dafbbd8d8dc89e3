"""Compared models as tables for the terminal and for Markdown, and in words."""

from collections.abc import Sequence

from esnsim.comparison.causes import NARROWER, PRUNED, layer_causes
from esnsim.comparison.compare import Compared, Difference, Side, increase, quotient
from esnsim.comparison.match import Pair
from esnsim.costs.figures import Figures
from esnsim.costs.metric import metric_title, metric_value
from esnsim.report.grid import folded, grid, markdown
from esnsim.report.scored import score, scored_words, sqnr_words
from esnsim.report.units import printable, times
from esnsim.units import Digits, exact, human, percent

#: Headings of ratios, and the metrics that they are of.
RATIOS = {
    "MACs": "live_macs", "ESNd~": "esn_d_tilde", "ESNa": "esn_a", "ESNd": "esn_d",
    "bytes": "esn_d_tilde.weights",
}  # fmt: skip
HEADINGS = ("model", "MACs", "filters", "bits", *[*RATIOS][1:])
LAYERS = ("layer", "changed", "filters", "bits", *RATIOS)
NAMED = 3  # layers that a line about a limit names
COMMENT = 10  # layers of a comment
CAUSES = 16  # characters of causes in a table
BOTH = (PRUNED, NARROWER)

Cells = Sequence[str]


def render(
    compared: Compared, *, top: int | None = None, all_digits: bool = False,
    columns: int | None = None, bold: bool = False,
) -> str:  # fmt: skip
    """Totals of all models, and of each but the first the layers that changed, or the `top` of
    them whose MAC×bit changed most.
    """
    lines = [grid(HEADINGS, _totals(compared, all_digits), columns=columns, bold=bold)]
    for difference in compared.differences:
        rows = _layers(difference, top)
        if rows:
            lines.append(grid(LAYERS, rows, texts=2, columns=columns, bold=bold))
        lines += [*folded(words(difference, top), columns), ""]
    return "\n".join([*lines, *folded(summary(compared), columns)]).rstrip() + "\n"


def brief(compared: Compared) -> str:
    """One screen of it: the ten layers that changed most."""
    return render(compared, top=COMMENT, columns=100)


def as_markdown(compared: Compared) -> str:
    """The same as a comment: tables of Markdown, and at most ten layers of each model."""
    parts = [markdown(HEADINGS, _totals(compared, False))]
    for difference in compared.differences:
        parts += [
            "\n".join(f"- {' '.join(line.split())}" for line in words(difference, COMMENT)),
            markdown(LAYERS, _layers(difference, COMMENT), texts=2),
        ]
    parts.append("\n".join(f"- {' '.join(line.split())}" for line in summary(compared)))
    return "\n\n".join(part for part in parts if part) + "\n"


def above(difference: Difference, metric: str, share: float) -> str | None:
    """What a total is above that of the first model by, and which layers got dearer; None where it
    is within the share.
    """
    before, after = difference.before, difference.after
    was, now = (metric_value(side.totals, metric) for side in (before, after))
    if now <= was * (1 + share):
        return None
    over = f"{percent(now - was, was)} above" if was else "above"
    dearer = [
        f"layer '{pair_name(pair)}' by {human(more)}{_because(pair)}"
        for pair, more in difference.dearer(metric)[:NAMED]
    ]
    return (
        f"{metric_title(metric)} of '{printable(after.name)}' is {exact(now)}, {over} the "
        f"{exact(was)} of '{printable(before.name)}', and {100 * share:g}% is allowed; dearer: "
        f"{', '.join(dearer) or 'no layer by its name'}"
    )


def _because(pair: Pair) -> str:
    causes = layer_causes(pair)
    return f" ({', '.join(causes)})" if causes else ""


def _totals(compared: Compared, all_digits: bool) -> list[Cells]:
    """A row a model, and below each but the first its ratios."""
    first = compared.sides[0]
    rows: list[Cells] = [_figures(printable(first.name), first.totals, all_digits)]
    for difference in compared.differences:
        after = difference.after
        ratios = _ratios(difference.before.totals, after.totals)
        rows.append(_figures(printable(after.name), after.totals, all_digits))
        rows.append(["÷ the first", ratios[0], "", "", *ratios[1:]])
    return rows


def _figures(name: str, of: Figures, all_digits: bool) -> list[str]:
    number = Digits(all_digits).number
    return [
        name, number(of.live_macs), f"{of.filters - of.pruned_filters:,}",
        f"{of.mean_width_by_macs:.2f}",
        *(number(metric_value(of, name)) for name in [*RATIOS.values()][1:4]),
        number(of.packed_bytes),
    ]  # fmt: skip


def _ratios(before: Figures, after: Figures) -> list[str]:
    found = (quotient(before, after, metric) for metric in RATIOS.values())
    return ["–" if ratio is None else _ratio(ratio) for ratio in found]


def _ratio(value: float) -> str:
    if value >= 100:
        return human(value)
    return f"{value:.2f}" if value >= 0.1 or not value else f"{value:.1g}"


def _layers(difference: Difference, top: int | None) -> list[Cells]:
    pairs = difference.changed
    if top is not None and len(pairs) > top:
        most = sorted(pairs, key=lambda pair: -abs(increase(pair, "esn_d_tilde")))[:top]
        pairs = tuple(pair for pair in pairs if pair in most)
    return [_layer(pair) for pair in pairs]


def _layer(pair: Pair) -> Cells:
    before, after, causes = pair.before, pair.after, layer_causes(pair)
    why = "both" if causes == BOTH else ", ".join(causes)
    why = why if len(why) <= CAUSES else f"{causes[0]}, …"
    if before is None or after is None:
        [row] = [row for row in (before, after) if row]
        return (pair_name(pair), why, f"{row.filters - row.pruned_filters:,}",
                f"{row.mean_width_by_macs:.2f}", *[""] * len(RATIOS))  # fmt: skip
    filters = [f"{row.filters - row.pruned_filters:,}" for row in (before, after)]
    bits = [f"{row.mean_width_by_macs:.2f}" for row in (before, after)]
    return pair_name(pair), why, _arrow(filters), _arrow(bits), *_ratios(before, after)


def _arrow(values: Sequence[str]) -> str:
    return "→".join(dict.fromkeys(values))


def pair_name(pair: Pair) -> str:
    """The name of a layer in the first model that has it."""
    row = pair.before or pair.after
    return printable(row.name) if row else ""


def words(difference: Difference, top: int | None = None) -> list[str]:
    """A model beside the first in words."""
    before, after = difference.before.totals, difference.after.totals
    pairs, changed = difference.pairs, len(difference.changed)
    common = sum(pair.by is not None for pair in pairs)
    by_shape = sum(pair.by == "shape" for pair in pairs)
    counts = [f"{common:,} in common"]
    counts += [f"{by_shape:,} of them by weight shape and order"] if by_shape else []
    counts += [f"{len(pairs) - common:,} in one model alone"] if len(pairs) > common else []
    counts.append(f"{changed:,} changed")
    counts += [f"{top:,} shown, which changed most"] if top is not None and changed > top else []
    return [
        f"MAC×bit   '{printable(difference.after.name)}' has {_times(before, after)}: "
        f"{_causes(difference.causes)}",
        f"          live MACs {human(before.live_macs)} → {human(after.live_macs)}, width, mean by "
        f"MACs, {before.mean_width_by_macs:.2f} → {after.mean_width_by_macs:.2f} bits",
        f"layers    {', '.join(counts)}",
    ]


def _times(before: Figures, after: Figures) -> str:
    if before.esn_d_tilde.macs == after.esn_d_tilde.macs:
        return "as much"
    less = quotient(after, before, "esn_d_tilde")
    return "none left" if less is None else times(less)


def _causes(causes: Sequence[str]) -> str:
    if not causes:
        return "as many live MACs, as wide"
    return f"both {PRUNED} and {NARROWER}" if tuple(causes) == BOTH else " and ".join(causes)


def summary(compared: Compared) -> list[str]:
    """What the figures are, and how accurate the models are on images."""
    lines = [
        "figures   MACs of live weights, filters that are not pruned, bytes of live weights at the",
        "          widths of their filters; of layers, ratios to the first model",
    ]
    if compared.scored is None:
        return lines
    rated = [side for side in compared.sides if side.evaluation]
    lines += [f"{'' if i else 'accuracy':10}{_accuracy(side)}" for i, side in enumerate(rated)]
    for difference in compared.differences:
        if difference.tie:
            names = [printable(side.name) for side in (difference.before, difference.after)]
            lines.append(f"          '{names[0]}' and '{names[1]}' tie on these images")
    scored = scored_words(compared.scored, compared.images)
    return [*lines, f"scored    {scored}, as the files run"]


def _accuracy(side: Side) -> str:
    found = side.evaluation
    assert found is not None
    if found.accuracy is None:
        return f"'{printable(side.name)}' {sqnr_words(found)}"
    low, high = found.interval
    kind = "agreement with the first" if found.top1 is None else "top-1"
    return f"'{printable(side.name)}' {score(found)} {kind} (95 %: {low:.1%} to {high:.1%})"
