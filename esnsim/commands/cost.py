"""`esnsim cost`: the hardware-agnostic cost of an ONNX model."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from esnsim.commands import codes, options, output
from esnsim.errors import UsageError
from esnsim.report.write import say, screen, write

if TYPE_CHECKING:
    from esnsim.costs.cost import Cost, LayerCost
    from esnsim.model.network import Layer, Product

ABOVE = 3  # exit code of --fail-above

HELP = "hardware-agnostic cost of an ONNX model"
DESCRIPTION = """\
Computational cost of an ONNX model on ideal hardware: ESNa (squared integer weights, analog),
ESNd (bits, digital) and ESNd~ (MAC×bit, each filter by its own width). Float weights are
quantised on the way; weights that are quantised already are taken as they are."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `cost`."""
    from esnsim.costs.equations import WIDTH_RULES

    codes.add_codes(p).add_argument(
        "--width", choices=list(WIDTH_RULES), default="code",
        help="width of ±½: 1 bit (code, default) or 0 (paper, the literal Eq. 3)",
    )  # fmt: skip
    codes.add_model(p).add_argument(
        "--layers", metavar="REGEX", type=options.pattern, help="only layers whose name matches"
    )
    _add_bops(p.add_argument_group("BOPs"))
    _add_output(p.add_argument_group("output"))


def _add_bops(group: "argparse._ArgumentGroup") -> None:
    from esnsim.costs.bops import ALWAYS, DEFINITIONS

    others = {name: each for name, each in DEFINITIONS.items() if name not in ALWAYS}
    group.add_argument(
        "--activation-bits", type=options.at_least_one, metavar="N",
        help="width of activations where the model does not quantise them itself",
    )  # fmt: skip
    group.add_argument(
        "--bops", type=options.names([*others]), default=(), metavar="A,B",
        help=f"BOPs as others count them too: {options.offered(others)}",
    )  # fmt: skip


def _add_output(group: "argparse._ArgumentGroup") -> None:
    from esnsim.costs.metric import METRICS
    from esnsim.report.cost.document import FORMS
    from esnsim.report.cost.table import SORTS

    output.add_output(group, FORMS)
    output.add_page(group)
    group.add_argument("--sort", choices=list(SORTS), help="largest first instead of graph order")
    group.add_argument("--top", type=options.at_least_one, metavar="N", help="the first N rows")
    group.add_argument(
        "--exact", action="store_true", help="all digits instead of 41.1M (always in JSON and CSV)"
    )
    group.add_argument(
        "--fail-above", action="append", default=[], metavar="METRIC=N", type=options.limit,
        help=f"exit code {ABOVE} if a total is above N (200M): {', '.join(METRICS)}; "
        "add .weights for the weighting by parameters",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.annotation.annotate import annotation_notes
    from esnsim.costs.cost import cost

    form = _form(arguments)
    scheme = codes.scheme_of(arguments)
    network = codes.read_network(arguments)

    def include(part: "Layer | Product") -> bool:
        return arguments.layers is None or arguments.layers.search(part.name) is not None

    network = replace(network, products=tuple(filter(include, network.products)))
    quantized = codes.quantized_network(network, scheme, arguments.quiet)
    result = cost(
        quantized, arguments.width, include, activation_bits=arguments.activation_bits,
        bops=arguments.bops,
    )  # fmt: skip
    if not result.layers:
        raise UsageError(
            f"--layers '{arguments.layers.pattern}' matches none of the {len(network.layers)} "
            f"layers, such as '{network.layers[0].name}'"
        )
    result = replace(result, notes=(*result.notes, *annotation_notes(arguments.model, result)))
    write(_render(result, form, arguments), arguments.output)
    output.write_page(result, arguments)
    if not arguments.quiet:
        for note in result.notes:
            say(note)
    return _check(result, arguments.fail_above)


def _form(arguments: argparse.Namespace) -> str:
    from esnsim.report.cost.document import FORMS

    form = output.form_of(arguments, FORMS)
    if form in FORMS and not FORMS[form].rows and (arguments.sort or arguments.top):
        raise UsageError(
            f"--sort and --top choose rows; {form.upper()} holds every layer: leave them out"
        )
    return form


def _render(result: "Cost", form: str, arguments: argparse.Namespace) -> str:
    from esnsim.report.cost.document import FORMS
    from esnsim.report.cost.table import SORTS, render

    rows: Sequence[LayerCost] = result.layers
    if arguments.sort:
        rows = sorted(rows, key=SORTS[arguments.sort], reverse=True)
    rows = rows[: arguments.top]
    if form in FORMS:
        return FORMS[form].text(result, rows)
    columns, bold = screen(arguments.output)
    return render(
        result, rows, histogram=arguments.bits_per_filter is not None,
        all_digits=arguments.exact, columns=columns, bold=bold,
    )  # fmt: skip


def _check(result: "Cost", limits: Sequence[tuple[str, float]]) -> int:
    """The exit code after --fail-above, with a line for each total that is too large."""
    from esnsim.report.cost.table import above

    found = [line for metric, limit in limits if (line := above(result, metric, limit))]
    for line in found:
        say(line)
    return ABOVE if found else 0
