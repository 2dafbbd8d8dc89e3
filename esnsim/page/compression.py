"""A compressed model as a page: what it costs and is worth before and after."""

from esnsim.compression.compressed import Compressed
from esnsim.costs.metric import metric_title
from esnsim.page.cost import UNIT, layers
from esnsim.page.draw import draw_layers, draw_widths
from esnsim.page.page import Page, Picture, facts
from esnsim.report.compression.document import words
from esnsim.report.units import printable, times
from esnsim.units import human


def page(result: Compressed) -> Page:
    """The page of a compressed model."""
    old, new = map(human, result.spent)
    less = "" if result.ratio is None else f": {times(result.ratio)}"
    model = result.before.network.source.path or "The model"
    return Page(
        title=f"{printable(model)}, compressed",
        lead=f"{metric_title(result.recipe.metric)} went from {old} to {new}{less}.",
        facts=facts(words(result).splitlines()[1:]),
        pictures=[_widths(result), _by_layer(result)],
        tables=[layers(result.after)],
        notes=result.notes,
    )


def _widths(result: Compressed) -> Picture:
    counts = {"before": result.before.bits_histogram, "after": result.after.bits_histogram}
    return Picture(
        "Widths of filters", "Filters by width in bits, before and after.",
        lambda axes: draw_widths(axes, counts),
    )  # fmt: skip


def _by_layer(result: Compressed) -> Picture:
    """MAC×bit of each layer; before where layers are the same ones."""
    names = [row.layer.name for row in result.after.layers]
    costs = {"before": result.before, "after": result.after}
    series = {
        when: [row.metrics.esn_d_tilde.macs for row in cost.layers]
        for when, cost in costs.items()
        if len(cost.layers) == len(names)
    }
    return Picture(
        "MAC×bit by layer", f"{UNIT} of each of {len(names)} layers, before and after; the table "
        "has the numbers after.", lambda axes: draw_layers(axes, names, series, UNIT),
    )  # fmt: skip
