"""A cost as a page: layers, widths of filters, MAC×bit by layer."""

from esnsim.costs.cost import Cost, LayerCost
from esnsim.page.draw import draw_layers, draw_widths
from esnsim.page.page import Column, Page, Picture, Table, facts
from esnsim.report.cost.table import summary
from esnsim.report.units import printable
from esnsim.units import human, percent

UNIT = "MAC×bit"


def page(cost: Cost) -> Page:
    """The page of a cost."""
    total, source = cost.total, cost.network.source
    less = ""
    if total.mac_bits_saved:
        less = percent(total.mac_bits_saved, total.mac_bits_layerwise)
        less = f", {less} less than with every filter as wide as its layer's widest"
    return Page(
        title=f"What {printable(source.path or 'the model')} costs",
        lead=f"One inference takes {human(total.macs)} multiply–accumulates at a mean width of "
        f"{total.mean_width_by_macs:.2f} bits: {human(total.esn_d_tilde.macs)} {UNIT}{less}.",
        facts=facts(summary(cost, human)),
        pictures=[widths(cost), by_layer(cost)],
        tables=[layers(cost)],
        notes=[*(f"{x.op} '{x.name}' is not counted: {x.reason}" for x in cost.network.uncounted),
               *cost.notes],
    )  # fmt: skip


def widths(cost: Cost) -> Picture:
    """The histogram of widths."""
    counts = cost.bits_histogram
    told = ", ".join(f"{n:,} of {bits}" for bits, n in counts.items() if n)
    return Picture(
        "Widths of filters", f"Filters by width in bits: {told}.",
        lambda axes: draw_widths(axes, {"filters": counts}),
    )  # fmt: skip


def by_layer(cost: Cost) -> Picture:
    """MAC×bit by layer."""
    metrics = [row.metrics for row in cost.layers]
    series = {
        "as wide as the widest": [m.mac_bits_layerwise for m in metrics],
        "each filter by its width": [m.esn_d_tilde.macs for m in metrics],
    }
    return Picture(
        "MAC×bit by layer",
        f"{UNIT} of each of {len(metrics)} layers, every filter as wide as its layer's widest, and "
        "each by its own width; the table has the numbers.",
        lambda axes: draw_layers(axes, [row.layer.name for row in cost.layers], series, UNIT),
    )


def layers(cost: Cost) -> Table:
    """The table of layers."""
    whole = cost.total.esn_d_tilde.macs

    def bits(row: LayerCost) -> int:
        return row.metrics.esn_d_tilde.macs

    return Table(
        "Layers",
        (
            Column("layer", lambda row: printable(row.layer.name)),
            Column("op", lambda row: printable(row.layer.op)),
            Column("shape", lambda row: "×".join(map(str, row.layer.weight.shape))),
            Column("MACs", lambda row: row.metrics.macs, human),
            Column("filters", lambda row: row.metrics.filters, "{:,}".format),
            Column("pruned", lambda row: row.metrics.pruned_filters, "{:,}".format),
            Column("bits", lambda row: row.metrics.mean_width_by_macs, "{:.2f}".format),
            Column("ESNa", lambda row: row.metrics.esn_a.macs, human),
            Column("ESNd", lambda row: row.metrics.esn_d.macs, human),
            Column("ESNd~", bits, human),
            Column("share", bits, lambda part: percent(part, whole)),
        ),
        cost.layers,
    )
