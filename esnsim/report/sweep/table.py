"""A sweep as a table for the terminal, and what it says in words."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from esnsim.costs.metric import metric_title, metric_value
from esnsim.report.grid import SCREEN, fitting, folded, grid
from esnsim.report.scored import scored_words
from esnsim.report.units import printable, times
from esnsim.sweeps.compare import (
    METHODS,
    Comparison,
    by_method,
    by_model,
    chosen_of_each,
    compare,
    levels,
)
from esnsim.sweeps.frontier import Sweep, cheapest, floor
from esnsim.sweeps.points import Baseline, Point
from esnsim.units import human

EXPENDABLE = ("by MACs", "95%", "SQNR")  # columns, on a narrow screen
BRIEF = 20  # points that one screen has room for
MARK = "●"  # of a point on the frontier
#: What a verdict is given by: bits by MACs, by filter and by weight, squares, and stored bits.
VERDICTS = ("esn_d_tilde", "esn_d", "esn_a", "esn_d_tilde.weights")
LETTERS = dict(zip(METHODS, ("Q", "P", "PQ"), strict=True))


def render(
    sweep: Sweep, frontier_only: bool = False, columns: int | None = None, bold: bool = False
) -> str:
    """Every point, cheapest first, the frontier marked; then the answers in words."""
    shown = sweep.frontier if frontier_only else sweep.cheapest_first
    table = _table(sweep, shown, columns, bold)
    lines = folded(words(sweep).splitlines(), columns)
    return "\n".join([table, *lines]) + "\n"


def brief(sweep: Sweep) -> str:
    """The end of the frontier, the models in float, and the cheapest point within the drop."""
    table = _table(sweep, sweep.frontier[-BRIEF:], columns=100)
    cheaper = len(sweep.frontier) - BRIEF
    more = [f"… and {cheaper:,} cheaper points of the frontier"] if cheaper > 0 else []
    return "\n".join([table, *more, *_models(sweep), *_cheapest(sweep)])


def words(sweep: Sweep) -> str:
    """What the models are in float, the cheapest point within the drop, costs at equal accuracy."""
    lines = [*_models(sweep), *_cheapest(sweep)]
    for model, points in by_model(sweep).items():
        name = f", {titles(sweep)[model]}" if len(sweep.baselines) > 1 else ""
        baseline = next(b for b in sweep.baselines if b.model == model)
        lines += _methods(sweep, baseline, points, name)
    if len(sweep.baselines) > 1:
        lines += [*_between_models(sweep), "", *verdicts(sweep)]
    lines += _widths(sweep)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def so_far(sweep: Sweep) -> str:
    """How far a sweep is: 12 of 32 points, best 58.2M at 93.8%."""
    done = f"{len(sweep.points)} of {sweep.grid} points"
    best = sweep.chosen
    if best is None:
        return f"{done}, none within {_points(sweep.drop)}"
    return f"{done}, best {human(sweep.price(best))} at {_percent(best.accuracy)}"


def titles(sweep: Sweep) -> dict[str, str]:
    """A short name of each model, the whole path where two would be the same."""
    short = {b.model: PurePath(b.model.removeprefix("builtin:")).stem for b in sweep.baselines}
    names = list(short.values())
    return {m: printable(name if names.count(name) == 1 else m) for m, name in short.items()}


def chosen_named(sweep: Sweep) -> dict[str, Point]:
    """`chosen_of_each` by names to be read."""
    short = titles(sweep)
    return {short.get(name, name): point for name, point in chosen_of_each(sweep).items()}


def describe(point: Point, title: str) -> str:
    """A point in words: resnet20, 25% of filters pruned, mean width 3 bits (allocate, mse)."""
    candidate = point.candidate
    pruned = f"{100 * candidate.ratio:g}% of filters pruned" if candidate.ratio else "unpruned"
    bits = f"{candidate.bits:g} bit{'' if candidate.bits == 1 else 's'}"
    if candidate.policy == "uniform":
        return f"{title}, {pruned}, {bits} (uniform, {candidate.rule})"
    return f"{title}, {pruned}, mean width {bits} ({_policy(point)})"


def _policy(point: Point) -> str:
    policy, rule = point.candidate.policy, point.candidate.rule
    return policy if policy == rule else f"{policy}, {rule}"


def _table(sweep: Sweep, shown: Sequence[Point], columns: int | None, bold: bool = False) -> str:
    headings, *rows = fitting([_headings(sweep), *_rows(sweep, shown)], EXPENDABLE, columns)
    return grid(headings, rows, texts=3, columns=columns, bold=bold)


def _headings(sweep: Sweep) -> tuple[str, ...]:
    return (
        "network", "policy", "step", "pruned", "bits", "by MACs", metric_title(sweep.metric),
        _accuracy_name(sweep.best), "95%", "SQNR", "",
    )  # fmt: skip


def _rows(sweep: Sweep, shown: Sequence[Point]) -> list[tuple[str, ...]]:
    best, names = set(map(id, sweep.frontier)), titles(sweep)
    rows: list[tuple[str, ...]] = []
    for point in shown:
        candidate, evaluation = point.candidate, point.evaluation
        low, high = evaluation.interval
        rows.append(
            (
                names[candidate.model], candidate.policy, candidate.rule,
                f"{100 * candidate.ratio:g}%", f"{candidate.bits:g}",
                f"{point.total.mean_width_by_macs:.2f}",
                human(sweep.price(point)), _percent(point.accuracy),
                f"{100 * low:.1f}–{100 * high:.1f}", f"{evaluation.sqnr_db:.1f}",
                MARK if id(point) in best else "",
            )
        )  # fmt: skip
    return rows


def _models(sweep: Sweep) -> list[str]:
    names = titles(sweep)
    lines = []
    for baseline in sweep.baselines:
        low, high = baseline.evaluation.interval
        lines.append(
            f"float     {names[baseline.model]}: {_accuracy_name(baseline)} "
            f"{_percent(baseline.accuracy)} ({100 * low:.1f}–{100 * high:.1f}%), "
            f"{human(baseline.macs)} MACs"
        )
        if baseline.scored is not None:
            images = baseline.evaluation.images
            lines.append(f"scored    {scored_words(baseline.scored, images)}")
    return [*lines, f"data      {sweep.images}"]


def _cheapest(sweep: Sweep) -> list[str]:
    """The cheapest point within the drop, or what comes closest."""
    best, chosen, names = sweep.best, sweep.chosen, titles(sweep)
    least, metric = floor(best, sweep.drop), metric_title(sweep.metric)
    within = f"within {_points(sweep.drop)} of float ({_percent(least)})"
    if chosen is None:
        closest = max(sweep.points, key=lambda p: p.accuracy, default=None)
        found = f"; the best is {_percent(closest.accuracy)}" if closest else ""
        return [f"cheapest  no point is {within}{found}"]
    tie = ", a tie with float" if chosen.evaluation.ties(best.evaluation) else ""
    lines = [
        f"cheapest  {within}: {describe(chosen, names[chosen.candidate.model])}",
        f"          {human(sweep.price(chosen))} {metric}, {_percent(chosen.accuracy)}{tie}",
    ]
    widest, ratio = sweep.widest, sweep.saved
    if widest is not None and widest is not chosen and ratio is not None:
        than = describe(widest, names[widest.candidate.model])
        lines.append(f"          {times(ratio, '.2f')} than {than}")
    return lines


def _methods(sweep: Sweep, baseline: Baseline, points: Sequence[Point], name: str) -> list[str]:
    """Costs at equal accuracy of pruning then quantising and of each alone."""
    groups = {f"{method} ({LETTERS[method]})": p for method, p in by_method(points).items()}
    quantised, pruned, mixed = groups
    if not groups[mixed]:
        return []
    widest = max(point.candidate.bits for point in points)
    title = (
        f"{metric_title(sweep.metric)} at equal accuracy{name}; prune only keeps {widest:g} bits"
    )
    pairs = [(mixed, other) for other in (quantised, pruned) if groups[other]]
    return ["", title, *_equal(sweep, groups, pairs, levels(baseline, sweep.drop))]


def _between_models(sweep: Sweep) -> list[str]:
    """Costs at equal accuracy of each model, against the first that was given."""
    names = titles(sweep)
    groups = {names[model]: points for model, points in by_model(sweep).items()}
    first, *others = groups
    pairs = [(name, first) for name in others]
    title = f"{metric_title(sweep.metric)} at equal accuracy, between networks"
    return ["", title, *_equal(sweep, groups, pairs, levels(sweep.best, sweep.drop))]


def verdicts(sweep: Sweep) -> list[str]:
    """Whether another model beats the first within the drop, a sentence a metric."""
    least, names = floor(sweep.best, sweep.drop), titles(sweep)
    first, *others = by_model(sweep).items()
    found = []
    for metric in VERDICTS:

        def price(point: Point, metric: str = metric) -> float:
            return metric_value(point.total, metric)

        each = [
            (item, names[model])
            for model, points in others
            for item in compare(points, first[1], [least], price)
        ]
        what = f"by {metric_title(metric)}, within {_points(sweep.drop)} of float:"
        if each:
            item, name = max(each, key=lambda pair: pair[0].ratio)
            found.append(f"{what} {_says(item, name, names[first[0]])}")
        else:
            found.append(f"{what} no two networks reach it")
    return found


def _equal(
    sweep: Sweep,
    groups: Mapping[str, Sequence[Point]],
    pairs: Sequence[tuple[str, str]],
    accuracies: Sequence[float],
) -> list[str]:
    """The least cost of each group for each accuracy, and ratios of pairs (ours, theirs)."""
    found = [compare(groups[one], groups[two], accuracies, sweep.price) for one, two in pairs]
    rows = [
        (
            _percent(accuracy),
            *(_cost(sweep, cheapest(points, accuracy, sweep.price)) for points in groups.values()),
            *(_ratio(next((c for c in each if c.accuracy == accuracy), None)) for each in found),
        )
        for accuracy in accuracies
    ]
    ratios = [f"{_short(theirs)} ÷ {_short(ours)}" for ours, theirs in pairs]
    heads = ("at least", *groups, *ratios)
    lines = grid(heads, rows, texts=1, columns=SCREEN).splitlines()
    for (ours, theirs), each in zip(pairs, found, strict=True):
        lines += _sentences(each, _long(ours), _long(theirs)) or _apart(groups, ours, theirs)
    return lines


def _short(group: str) -> str:
    """The letters of a method, or a model's name."""
    return group.rpartition("(")[2].rstrip(")")


def _long(group: str) -> str:
    return group.partition(" (")[0]


def _widths(sweep: Sweep) -> list[str]:
    """Filters by width, as in Fig. 6, of the point that each method or model would choose."""
    chosen = chosen_named(sweep)
    if not chosen:
        return []
    names = [f"{name}, {_percent(point.accuracy)}" for name, point in chosen.items()]
    widest = max(max(point.histogram, default=0) for point in chosen.values())
    rows = [
        (f"{bits}", *(f"{point.histogram.get(bits, 0):,}" for point in chosen.values()))
        for bits in range(widest + 1)
    ]
    title = f"filters by bits, cheapest within {_points(sweep.drop)}, else most accurate"
    return ["", title, *grid(("bits", *names), rows, texts=0).splitlines()]


def _cost(sweep: Sweep, point: Point | None) -> str:
    return "–" if point is None else human(sweep.price(point))


def _ratio(item: Comparison | None) -> str:
    return "–" if item is None else f"{item.ratio:.2f}×{' (tie)' if item.tie else ''}"


def _sentences(found: Sequence[Comparison], ours: str, theirs: str) -> list[str]:
    """In words at the greatest and at the least accuracy that both reach."""
    ends = [found[0], found[-1]] if len(found) > 1 else found
    return [_sentence(item, ours, theirs) for item in ends]


def _apart(groups: Mapping[str, Sequence[Point]], *names: str) -> list[str]:
    """How far each group gets, where they share no level of accuracy."""
    best = (_percent(max(p.accuracy for p in groups[name])) for name in names)
    reached = " and ".join(f"{b} by {_long(n)}" for n, b in zip(names, best, strict=True))
    return [f"no level is reached by both: at most {reached}"]


def _sentence(item: Comparison, ours: str, theirs: str) -> str:
    return f"at {_percent(item.accuracy)} {_says(item, ours, theirs)}"


def _says(item: Comparison, ours: str, theirs: str) -> str:
    less, more = (ours, theirs) if item.ratio > 1 else (theirs, ours)
    ratio = max(item.ratio, 1 / item.ratio)
    says = f"costs {ratio:.2f} times less than" if ratio > 1 else "costs as much as"
    tie = ": a tie, as within that cost both may reach it" if item.tie else ""
    return f"{less} {says} {more}{tie}"


def _accuracy_name(baseline: Baseline) -> str:
    return "agreement" if baseline.evaluation.top1 is None else "top-1"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _points(drop: float) -> str:
    return f"{100 * drop:g} point{'' if drop == 0.01 else 's'}"
