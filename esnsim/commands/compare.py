"""`esnsim compare`: models beside the first, layer by layer."""

import argparse
from typing import TYPE_CHECKING

from esnsim.commands import codes, images, options, output
from esnsim.commands.parser import refuse
from esnsim.errors import UsageError
from esnsim.onnxfile.path import builtins
from esnsim.progress import listening
from esnsim.report.progress import Meter
from esnsim.report.write import say, screen, write

if TYPE_CHECKING:
    from esnsim.comparison.compare import Compared

ABOVE = 1  # exit code of --fail-above

HELP = "models beside the first: which layers changed, and how"
DESCRIPTION = """\
Compares models, or reports of `esnsim cost --json`, with the first of them: MACs, filters, widths,
ESNd~, ESNa, ESNd and bytes of layers that are matched by name, then by weight shape and order, and
what made the difference; with images also accuracies. --fail-above makes a pull request fail that
makes a model dearer."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `compare`."""
    from esnsim.costs.metric import METRICS
    from esnsim.report.compare.document import FORMS

    p.add_argument(
        "models", nargs="+", type=codes.MODEL, metavar="MODEL",
        help="two or more .onnx files, .json reports of esnsim cost, or "
        f"{' '.join(builtins())}",
    )  # fmt: skip
    codes.add_codes(p, fold=False)
    group = p.add_argument_group("model")
    codes.add_inputs(group)
    group.add_argument("--strict", action="store_true", help="fail if an operator is not counted")
    pictures = p.add_argument_group("images")
    images.add_images(pictures, "the embedded images are the default for embedded models")
    images.add_scoring(pictures)
    pictures.add_argument("--images", type=options.at_least_one, metavar="N", help="the first N")
    pictures.add_argument(
        "--calibration", type=images.IMAGES, metavar="FILE|FOLDER",
        help="as given to compress: all of --data are scored then, else those after the first 256 "
        "(half, of fewer)",
    )  # fmt: skip
    out = p.add_argument_group("output")
    output.add_output(out, FORMS)
    output.add_page(out)
    out.add_argument(
        "--top", type=options.at_least_one, metavar="N", help="the N layers that changed most"
    )
    out.add_argument("--exact", action="store_true", help="all digits instead of 41.1M")
    out.add_argument(
        "--fail-above", action="append", default=[], metavar="[METRIC=]1%", type=options.growth,
        help=f"exit code {ABOVE} if a total is so much above the first model's (METRIC: default "
        f"esn_d_tilde, MAC×bit; {', '.join(METRICS)}), with the layers that got dearer",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.report.compare.document import FORMS

    form = output.form_of(arguments, FORMS)
    if form in FORMS:
        refuse(arguments, ["top", "exact"], f"is about the table, not about {form}: leave it out")
    result = _compared(arguments)
    for side in result.sides:
        codes.warn_uncounted(side.reported.uncounted, arguments.strict)
    write(_render(result, form, arguments), arguments.output)
    output.write_page(result, arguments)
    if not arguments.quiet:
        for side in result.sides:
            for note in side.reported.notes:
                say(f"{side.name}: {note}")
        for note in (note for difference in result.differences for note in difference.notes):
            say(note)
    return _check(result, arguments)


def _compared(arguments: argparse.Namespace) -> "Compared":
    from esnsim.api import compare

    a = arguments
    if len(a.models) < 2:
        raise UsageError(f"one model, '{a.models[0]}', compares with nothing: give two or more")
    builtin = next((name for name in a.models if name.startswith("builtin:")), a.models[0])
    pictures = images.images_of(a, builtin)
    images.check_scored(a, pictures is not None, "--data")
    if pictures is None:
        refuse(a, ["calibration"], "is about accuracy: give --data too")
    with Meter(len(a.models), a.quiet, "comparing") as meter, listening(meter.within):
        return compare(
            *a.models, scheme=codes.scheme_of(a), images=pictures, count=a.images,
            calibration=images.calibration_of(a, pictures), scoring=images.scoring_of(a),
            input_shapes=dict(a.input_shape), input_values=dict(a.input_value),
            watch=meter.advance,
        )  # fmt: skip


def _render(result: "Compared", form: str, arguments: argparse.Namespace) -> str:
    from esnsim.report.compare.document import FORMS
    from esnsim.report.compare.table import render

    if form in FORMS:
        return FORMS[form].text(result)
    columns, bold = screen(arguments.output)
    return render(result, top=arguments.top, all_digits=arguments.exact, columns=columns, bold=bold)


def _check(result: "Compared", arguments: argparse.Namespace) -> int:
    """The exit code after --fail-above, with a line for each total that grew too much."""
    from esnsim.report.compare.table import above

    found = [
        line for difference in result.differences for metric, share in arguments.fail_above
        if (line := above(difference, metric, share))
    ]  # fmt: skip
    for line in found:
        say(line)
    return ABOVE if found else 0
