"""A Cost as a table for the terminal."""

from collections.abc import Callable, Sequence

from esnsim.costs.bops import DEFINITIONS
from esnsim.costs.cost import Cost, LayerCost
from esnsim.costs.figures import Metrics
from esnsim.costs.metric import metric_value
from esnsim.report.grid import fitting, folded, grid, room_for_names, shortened
from esnsim.report.units import printable
from esnsim.units import exact, human, percent

HEADINGS = (
    "layer", "op", "shape", "MACs", "filters", "pruned", "bits", "ESNa", "ESNd", "ESNd~",
    "share",
)  # fmt: skip
EXPENDABLE = ("shape", "op", "filters", "pruned", "ESNd", "MACs")  # on a narrow screen
TEXTS = {
    "layer",
    "op",
    "shape",
}  # aligned left; the numbers after them are aligned right
NONE = "–"
BAR = 40  # characters of the longest bar of the histogram

#: Sort keys of `--sort` besides the order of the graph.
SORTS: dict[str, Callable[[LayerCost], float]] = {
    "macs": lambda row: row.metrics.macs,
    "weights": lambda row: row.metrics.weights,
    "filters": lambda row: row.metrics.filters,
    "pruned": lambda row: row.metrics.pruned_filters,
    "bits": lambda row: row.metrics.mean_width_by_macs,
    "esn_a": lambda row: row.metrics.esn_a_x4.macs,
    "esn_d": lambda row: row.metrics.esn_d.macs,
    "esn_d_tilde": lambda row: row.metrics.esn_d_tilde.macs,
}

Number = Callable[[float], str]
Cells = tuple[str, ...]


def render(
    cost: Cost,
    rows: Sequence[LayerCost],
    *,
    histogram: bool = False,
    all_digits: bool = False,
    columns: int | None = None,
    bold: bool = False,
) -> str:
    """The table of `rows`, the totals, and perhaps the histogram of widths.

    Shares are of MAC×bit. Names are shortened to fit into `columns`, and where that is not enough
    columns are left out; None is as wide as it needs.
    """
    number = exact if all_digits else human
    every = [HEADINGS, *(_cells(row, cost.total, number) for row in rows)]
    headings, *cells, total = fitting([*every, _totals(cost.total, number)], EXPENDABLE, columns)
    room = room_for_names([headings, *cells, total], columns)
    names = shortened([row[0] for row in cells], [row[1] for row in every[1:]], room)
    more = len(cost.layers) - len(rows)
    shown = [(name, *row[1:]) for name, row in zip(names, cells, strict=True)]
    if more:
        shown.append((f"… and {more:,} more", *[""] * (len(headings) - 1)))
    texts = len(TEXTS & {*headings})
    lines = [
        grid(headings, shown, total, texts=texts, columns=columns, bold=bold),
        "",
        *folded(summary(cost, number), columns),
        *(["", *_histogram(cost.bits_histogram)] if histogram else []),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def brief(cost: Cost) -> str:
    """The table of the ten largest layers."""
    rows = sorted(cost.layers, key=SORTS["esn_d_tilde"], reverse=True)
    return render(cost, rows[:10], columns=100)


def above(cost: Cost, metric: str, limit: float) -> str | None:
    """What a total is above its limit by, in words; None where it is not."""
    value = metric_value(cost.total, metric)
    if value <= limit:
        return None
    over = value - limit
    by = f"{exact(over)} ({percent(over, limit)})" if limit else "all of it"
    return f"{metric} is {exact(value)}: above {exact(limit)} by {by}"


def _cells(row: LayerCost, total: Metrics, number: Number) -> Cells:
    layer, metrics = row.layer, row.metrics
    share = percent(metrics.esn_d_tilde.macs, total.esn_d_tilde.macs)
    shape = "×".join(map(str, layer.weight.shape))
    return printable(layer.name), printable(layer.op), shape, *_numbers(metrics, number), share


def _totals(total: Metrics, number: Number) -> Cells:
    return "total", "", "", *_numbers(total, number), ""


def _numbers(metrics: Metrics, number: Number) -> Cells:
    return (
        number(metrics.macs),
        f"{metrics.filters:,}",
        f"{metrics.pruned_filters:,}",
        f"{metrics.mean_width_by_macs:.2f}",
        number(metric_value(metrics, "esn_a")),
        number(metrics.esn_d.macs),
        number(metrics.esn_d_tilde.macs),
    )


def summary(cost: Cost, number: Number) -> list[str]:
    """What stands below the table."""
    total, machines = cost.total, cost.machines
    lines = [
        *_widths(total, number),
        f"ESNa      {number(metric_value(total, 'esn_a'))} by MACs, "
        f"{number(metric_value(total, 'esn_a.weights'))} by weights",
        f"ESNd      {number(total.esn_d.macs)} bits by MACs, {number(total.esn_d.weights)} by "
        f"weights; stored by filter: {number(total.esn_d_tilde.weights)} bits",
        f"weights   {number(total.weights)}, of live filters and channels "
        f"{number(total.live_weights)}, not zero {number(total.nonzero_weights)}",
        f"MACs      {number(total.macs)} dense, {number(total.live_macs)} live; "
        "multiply–accumulates of weights, no bias",
    ]
    if cost.network.products:
        lines.append(
            f"          and {number(cost.product_macs)} of products of two activations, "
            "in no other number"
        )
    lines += [*_bops(cost, number), _bytes(total, number)]
    lines.append(
        f"machines  cpu {number(machines.cpu)}, gpu {number(machines.gpu)}, "
        f"int8 array {number(machines.int8_array)}, ideal digital "
        f"{number(machines.ideal_digital)}, analog {number(machines.ideal_analog)}"
    )
    return [*lines, *_assumptions(cost)]


def _widths(total: Metrics, number: Number) -> list[str]:
    own, layerwise = number(total.esn_d_tilde.macs), total.mac_bits_layerwise
    return [
        f"MAC×bit   {own}, each filter by its own width (ESNd~); shares are of this,",
        f"          {number(layerwise)} with every filter as wide as its layer's widest: "
        f"{percent(total.mac_bits_saved, layerwise)} saved",
        f"width     {total.mean_width_by_macs:.2f} bits, mean by MACs; "
        f"{total.mean_width_by_weights:.2f} by weights",
    ]


def _bops(cost: Cost, number: Number) -> list[str]:
    """BOPs as we count them, a dash where nothing says b_a, and as others do where asked."""
    found = cost.bops
    live = found.pop("live")
    if live is None:
        found.pop("effectual")  # the dash is said once
    widths = sorted({row.activation_bits for row in cost.layers if row.activation_bits})
    told = "activations of " + " to ".join(dict.fromkeys(map(str, widths[:1] + widths[-1:])))
    lines = [f"BOPs      {number(live)}, MAC×bit × {told} bits"] if live is not None else [
        "BOPs      –, as nothing says how wide activations are (--activation-bits)"
    ]  # fmt: skip
    for name, total in found.items():
        value = NONE if total is None else number(total)
        lines.append(f"          {name} {value}: {DEFINITIONS[name].help}")
    return lines


def _bytes(total: Metrics, number: Number) -> str:
    return (
        f"bytes     {number(total.packed_bytes)} of live weights at their widths, "
        f"{number(total.stored_bytes)} in integers of ONNX; {number(round(total.intensity))} MACs "
        "a byte"
    )


def _assumptions(cost: Cost) -> list[str]:
    """What the numbers depend on: codes, BatchNormalization, the shapes of the inputs."""
    scheme, source = cost.scheme, cost.network.source
    bits = f", {scheme.nominal_bits} bits" if scheme.nominal_bits and not scheme.widths else ""
    codes = f"midrise, {scheme.resolved_rule} steps{bits}"
    codes += f", zeros {'kept' if scheme.keep_zeros else 'coded as ±½'}"
    if cost.stored:
        rest = len(cost.layers) - cost.stored
        codes = "as the model stores them" + (f"; {rest:,} layers {codes}" if rest else "")
    lines = [f"codes     {codes}, width rule {cost.width}"]
    if source.batchnorms and not cost.folded:
        count = f"{source.batchnorms} BatchNormalizations"
        lines.append(f"          {count} in the graph, not folded (--fold-batchnorm)")
    inputs = [f"{printable(name)} {'×'.join(map(str, shape))}" for name, shape in source.inputs]
    return [*lines, f"input     {', '.join(inputs)}"]


def _histogram(counts: dict[int, int]) -> list[str]:
    """Filters by width, as in the paper's Fig. 6."""
    longest, whole = max(counts.values(), default=1), sum(counts.values())
    lines = ["bits  filters"]
    for bits in range(max(counts, default=0) + 1):
        count = counts.get(bits, 0)
        bar = "█" * (max(1, round(BAR * count / longest)) if count else 0)
        lines.append(f"{bits:4}  {count:7,}  {percent(count, whole):>6}  {bar}")
    return lines
