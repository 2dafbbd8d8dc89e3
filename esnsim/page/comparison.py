"""Compared models as a page: MAC×bit layer by layer, and the layers of each beside the first."""

from esnsim.comparison.causes import layer_causes
from esnsim.comparison.compare import Compared, Difference, quotient
from esnsim.comparison.match import Pair
from esnsim.page.cost import UNIT
from esnsim.page.draw import draw_layers
from esnsim.page.page import Column, Page, Picture, Table, facts
from esnsim.report.compare.table import RATIOS, pair_name, summary, words
from esnsim.report.units import printable
from esnsim.units import human


def page(compared: Compared) -> Page:
    """The page of compared models."""
    names = [printable(side.name) for side in compared.sides]
    costs = [human(side.totals.esn_d_tilde.macs) for side in compared.sides]
    told = "; ".join(f"{name} {cost}" for name, cost in zip(names, costs, strict=True))
    lines = [line for difference in compared.differences for line in words(difference)]
    return Page(
        title=f"{names[0]} beside {', '.join(names[1:])}",
        lead=f"{UNIT} of one inference: {told}.",
        facts=facts([*lines, *summary(compared)]),
        pictures=[_by_layer(difference) for difference in compared.differences],
        tables=[_layers(difference) for difference in compared.differences],
        notes=[note for difference in compared.differences for note in difference.notes],
    )


def _by_layer(difference: Difference) -> Picture:
    """MAC×bit of each layer in both models, 0 where one has it not."""
    pairs = difference.pairs
    names = [pair_name(pair) for pair in pairs]
    series = {
        printable(difference.before.name): [
            pair.before.esn_d_tilde.macs if pair.before else 0 for pair in pairs
        ],
        printable(difference.after.name): [
            pair.after.esn_d_tilde.macs if pair.after else 0 for pair in pairs
        ],
    }
    return Picture(
        f"{UNIT} by layer, {printable(difference.after.name)}",
        f"{UNIT} of each of {len(pairs)} layers, in the first model and in this one; the table has "
        "the ratios.",
        lambda axes: draw_layers(axes, names, series, UNIT),
    )


def _layers(difference: Difference) -> Table:
    return Table(
        f"Layers of {printable(difference.after.name)}, ÷ those of the first",
        (
            Column("layer", pair_name),
            Column("changed", lambda pair: ", ".join(layer_causes(pair))),
            *(_ratio(heading, metric) for heading, metric in RATIOS.items()),
        ),
        difference.pairs,
    )


def _ratio(heading: str, metric: str) -> Column:
    def value(pair: Pair) -> float | None:
        if pair.before is None or pair.after is None:
            return None
        return quotient(pair.before, pair.after, metric)

    return Column(f"{heading} ÷", value, "{:.3g}".format)
