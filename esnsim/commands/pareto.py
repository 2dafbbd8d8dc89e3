"""`esnsim pareto`: accuracy against cost over pruning ratios, widths, step rules and policies."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from esnsim.commands import codes, images, options, output
from esnsim.commands.parser import refuse
from esnsim.commands.paths import InputFile, OutputFile, aim_files
from esnsim.onnxfile.path import builtins
from esnsim.progress import listening
from esnsim.report.progress import Meter
from esnsim.report.write import say, screen, write

if TYPE_CHECKING:
    from esnsim.sweeps.frontier import Sweep
    from esnsim.sweeps.task import Pictures

HELP = "accuracy against cost: prune, quantise, and the frontier"
DESCRIPTION = """\
Prunes, quantises and evaluates a model, or several on the same images, at every point of a grid,
without training, and gives the points that no other beats in both cost and accuracy: the cheapest
within a drop of accuracy, and what quantising only, pruning only, and pruning then quantising cost
at equal accuracy. Every finished point is kept at once in a file that --resume goes on with."""


def _results(arguments: argparse.Namespace) -> Path:
    """Where finished points are kept unless told."""
    return Path(f"{Path(arguments.models[0].removeprefix('builtin:')).stem}.pareto.jsonl")


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `pareto`."""
    p.add_argument(
        "models", nargs="+", type=codes.MODEL, metavar="MODEL",
        help=f"one or more .onnx files, or {' '.join(builtins())}",
    )  # fmt: skip
    codes.add_inputs(p)
    _add_grid(p.add_argument_group("grid"))
    images.add_evaluation(p.add_argument_group("images"))
    _add_running(p.add_argument_group("running"))
    _add_output(p.add_argument_group("output"))


def _add_grid(group: "argparse._ArgumentGroup") -> None:
    from esnsim.compression.policies import POLICIES
    from esnsim.quantization.rules import RULES

    group.add_argument(
        "--ratios", type=options.shares, default=(0.0, 0.25, 0.5, 0.75), metavar="0,0.25,0.5",
        help="shares of filters to prune (default 0,0.25,0.5,0.75)",
    )  # fmt: skip
    group.add_argument(
        "--bits", type=options.mean_widths, default=options.mean_widths("1-8"), metavar="1-8",
        help="widths: nominal under uniform, the mean over MACs under the others, which take "
        "1-4:0.5 and 2.5 too (default 1-8)",
    )  # fmt: skip
    group.add_argument(
        "--policy", type=options.names(list(POLICIES)), default=("uniform",), metavar="A,B",
        help=f"how filters share the width (default uniform): {options.offered(POLICIES)}",
    )  # fmt: skip
    group.add_argument(
        "--step", type=options.names(list(RULES)), default=("layer-max",), metavar="A,B",
        help=f"step rules of uniform: {', '.join(RULES)} (default layer-max)",
    )  # fmt: skip
    group.add_argument(
        "--targets", type=InputFile(), metavar="FILE",
        help="ESNa of each layer during training, from ESNTracker, for esna-targets",
    )  # fmt: skip
    codes.add_criteria(group)


def _add_running(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--results", type=OutputFile(default=_results), metavar="FILE",
        help="where finished points are kept (default MODEL.pareto.jsonl in this folder)",
    )  # fmt: skip
    group.add_argument("--resume", action="store_true", help="go on with the points in --results")
    group.add_argument(
        "--jobs", type=options.at_least_one, default=1, metavar="N", help="processes (default 1)"
    )
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="run the points on a Dask cluster (tcp://host:8786)"
    )


def _add_output(group: "argparse._ArgumentGroup") -> None:
    from esnsim.costs.metric import METRICS
    from esnsim.report.sweep.document import FORMS

    group.add_argument(
        "--metric", type=InputFile(options.metric, aim_files), metavar="NAME",
        default="esn_d_tilde",
        help=f"cost: one of {', '.join(METRICS)} (default esn_d_tilde, MAC×bit); .weights by "
        "parameters; or a machine's: cycles@maki, time@bitfusion, energy@isaac",
    )  # fmt: skip
    group.add_argument(
        "--drop", type=options.share, default=0.01, metavar="1%",
        help="points of accuracy that may be lost (default 1%%)",
    )  # fmt: skip
    output.add_output(group, FORMS)
    output.add_page(group)
    group.add_argument(
        "--frontier", action="store_true", help="only the points of the frontier in the table"
    )
    output.add_picture(group, "accuracy against log cost")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.report.sweep.document import FORMS

    output.check_picture(arguments)
    form = output.form_of(arguments, FORMS)
    found = _sweep(arguments)
    if not arguments.quiet:
        for reason in found.left_out:
            say(reason)
    write(_render(found, form, arguments), arguments.output)
    output.write_page(found, arguments)
    output.write_picture(arguments, partial(_drawn, found))
    return 0


def _drawn(found: "Sweep", suffix: str) -> bytes:
    from esnsim.report.sweep.picture import picture

    return picture(found, suffix)


def _sweep(arguments: argparse.Namespace) -> "Sweep":
    """The sweep, shown as it goes on."""
    from esnsim.api import sweep

    a = arguments
    images.check_used(a, a.models[0])
    if not any(a.ratios):
        refuse(a, ["criterion", "scope"], "is about which filters go: give --ratios above 0")
    with Meter(0, a.quiet) as meter, listening(meter.within):
        return sweep(
            *a.models, ratios=a.ratios, bits=a.bits, policies=a.policy, rules=a.step,
            images=_pictures(a, a.data, a.labels), calibration=_pictures(a, a.calibration),
            count=a.images or None, metric=a.metric, drop=a.drop, correct=a.correct,
            rounding=a.rounding, criterion=a.criterion, scope=a.scope, targets=a.targets,
            results=a.results, resume=a.resume, jobs=a.jobs, scheduler=a.scheduler,
            scoring=images.scoring_of(a),
            input_shapes=dict(a.input_shape), input_values=dict(a.input_value),
            watch=partial(_show, meter, a.quiet),
        )  # fmt: skip


def _show(meter: "Meter", quiet: bool, found: "Sweep") -> None:
    """How far a sweep is; before the first point what no candidate changes."""
    from esnsim.report.sweep.table import so_far

    if not meter.total:
        meter.total = found.left
        for note in () if quiet else found.stay_float:
            say(note)
    else:
        meter.finish(so_far(found))


def _pictures(
    arguments: argparse.Namespace, path: Path | None, labels: Path | None = None
) -> "Pictures | None":
    from esnsim.sweeps.task import Pictures

    if path is None:
        return None
    return Pictures(source=path, labels=labels, preparation=images.preparation_of(arguments))


def _render(sweep: "Sweep", form: str, arguments: argparse.Namespace) -> str:
    from esnsim.report.sweep.document import FORMS
    from esnsim.report.sweep.table import render

    if form in FORMS:
        return FORMS[form].text(sweep)
    columns, bold = screen(arguments.output)
    return render(sweep, frontier_only=arguments.frontier, columns=columns, bold=bold)
