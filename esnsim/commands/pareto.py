"""`esnsim pareto`: accuracy against cost over pruning ratios, widths, step rules and policies."""

import argparse
import shutil
import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import replace
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from esnsim.commands import codes, images, options
from esnsim.commands.paths import InputFile, OutputFile, file_name
from esnsim.errors import UsageError, WidthError
from esnsim.report.write import say, write, write_bytes

if TYPE_CHECKING:
    from esnsim.sweeps.pareto import Candidate, Sweep
    from esnsim.sweeps.results import Results
    from esnsim.sweeps.sweep import Refused, Task

HELP = "accuracy against cost: prune, quantise, and the frontier"
DESCRIPTION = """\
Prunes, quantises and evaluates a model, or several on the same images, at every point of a grid,
without training, and gives the points that no other beats in both cost and accuracy: the cheapest
within a drop of accuracy, and what quantising only, pruning only, and pruning then quantising cost
at equal accuracy. Every finished point is kept at once in a file that --resume goes on with."""

PICTURES = (".png", ".svg", ".pdf")


def _picture(text: str) -> Path:
    """The name of a picture."""
    found = file_name(text)
    if found.suffix.lower() not in PICTURES:
        raise ArgumentTypeError(f"'{text}': give a {', '.join(PICTURES)} file")
    return found


def _results(arguments: argparse.Namespace) -> Path:
    """Where finished points are kept unless told."""
    return Path(f"{Path(arguments.models[0].removeprefix('builtin:')).stem}.pareto.jsonl")


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `pareto`."""
    p.add_argument(
        "models",
        nargs="+",
        type=codes.MODEL,
        metavar="MODEL",
        help=".onnx files, or builtin:resnet20; one or more",
    )
    p.add_argument(
        "--input-shape", action="append", default=[], metavar="NAME=1,3,224,224",
        type=options.input_shape, help="free sizes of an input (also NAME:1x3x224x224; several)",
    )  # fmt: skip
    p.add_argument(
        "--input-value", action="append", default=[], metavar="NAME=16000",
        type=options.input_value, help="the value of an input of one number (several)",
    )  # fmt: skip
    _add_grid(p.add_argument_group("grid"))
    images.add_evaluation(p.add_argument_group("images"))
    _add_running(p.add_argument_group("running"))
    _add_output(p.add_argument_group("output"))


def _add_grid(group: "argparse._ArgumentGroup") -> None:
    from esnsim.compression.policies import POLICIES
    from esnsim.compression.prune.criteria import CRITERIA, SCOPES
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
    group.add_argument(
        "--criterion", choices=list(CRITERIA), default="norm",
        help=f"which filters go first (default norm): {options.offered(CRITERIA)}",
    )  # fmt: skip
    group.add_argument(
        "--scope", choices=list(SCOPES), default="layer",
        help=f"among which filters (default layer): {options.offered(SCOPES)}",
    )  # fmt: skip


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
    group.add_argument(
        "--metric", type=options.metric, default="esn_d_tilde", metavar="NAME",
        help="cost: esn_d_tilde (MAC×bit, default), esn_d, esn_a, live_macs, …; .weights by "
        "parameters",
    )  # fmt: skip
    group.add_argument(
        "--drop", type=options.share, default=0.01, metavar="1%",
        help="points of accuracy that may be lost (default 1%%)",
    )  # fmt: skip
    form = group.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything (docs/pareto.md)")
    form.add_argument("--csv", action="store_true", help="a row a point, all columns")
    group.add_argument(
        "-o", "--output", type=OutputFile(), metavar="FILE",
        help="write there, whole or not at all; .json and .csv say the form",
    )  # fmt: skip
    group.add_argument(
        "--frontier", action="store_true", help="only the points of the frontier in the table"
    )
    group.add_argument(
        "--picture",
        type=OutputFile(_picture),
        metavar="FILE",
        help="accuracy against log cost, as .png, .svg, .pdf",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.sweeps.pareto import candidates
    from esnsim.sweeps.results import Results
    from esnsim.sweeps.sweep import binding

    _check(arguments)
    a, task = arguments, _task(arguments)
    grid = candidates(a.models, a.ratios, a.policy, a.step, a.bits)
    with Results(a.results, binding(task), a.resume) as results:
        sweep = _sweep(a, task, results, grid)
    write(_render(sweep, arguments, task), arguments.output)
    if arguments.picture:
        from esnsim.report.sweep.picture import picture

        write_bytes(picture(sweep, arguments.picture.suffix.lower()), arguments.picture)
    return 0


def _sweep(
    arguments: argparse.Namespace, task: "Task", results: "Results", grid: "Sequence[Candidate]"
) -> "Sweep":
    """Everything that is not in the results yet, then all of the grid as a sweep."""
    from contextlib import closing

    from esnsim.progress import listening
    from esnsim.report.progress import Meter
    from esnsim.report.sweep.table import so_far
    from esnsim.sweeps.pareto import Sweep
    from esnsim.sweeps.sweep import (
        Refused,
        described,
        measured,
        run_candidates,
        stay_float,
    )

    images = described(task)
    if not arguments.quiet:
        for note in (note for model in arguments.models for note in stay_float(task, model)):
            say(note)

    def sweep() -> Sweep:
        points = tuple(results.points[c] for c in grid if c in results.points)
        return Sweep(images, baselines, points, arguments.metric, arguments.drop)

    todo = [candidate for candidate in grid if candidate not in results.points]
    refused: list[Refused] = []
    with Meter(len(todo), arguments.quiet) as meter, listening(meter.within):
        baselines = tuple(measured(task, model, results) for model in arguments.models)
        with closing(run_candidates(task, todo, arguments.jobs, arguments.scheduler)) as found:
            for item in found:
                if isinstance(item, Refused):
                    refused.append(item)
                else:
                    results.add(item)
                meter.finish(so_far(sweep(), len(grid)))
    _tell(refused, arguments.quiet)
    done = sweep()
    if not done.points:
        raise WidthError(
            "no point of the grid can be made, for the reasons above: give other --bits"
        )
    return done


def _tell(refused: "Sequence[Refused]", quiet: bool) -> None:
    """Which candidates there are no points of, a line for each reason."""
    from collections import Counter

    for reason, count in Counter(item.reason for item in refused).items():
        if not quiet:
            say(f"{count} {'point' if count == 1 else 'points'} left out: {reason}")


def _check(arguments: argparse.Namespace) -> None:
    """Refuse at once what would fail at the end of a long sweep."""
    from importlib.util import find_spec

    if arguments.picture and find_spec("matplotlib") is None:
        raise UsageError("--picture needs matplotlib: pip install 'esnsim[report]'")
    if arguments.scheduler and arguments.jobs > 1:
        raise UsageError("--jobs and --scheduler exclude each other: give one")
    if len(set(arguments.models)) < len(arguments.models):
        raise UsageError("a model is given twice: leave one out")
    if (arguments.targets is None) == ("esna-targets" in arguments.policy):
        raise UsageError("--policy esna-targets and --targets go together: give both, or none")


def _task(arguments: argparse.Namespace) -> "Task":
    from os import cpu_count

    from esnsim.images.split import first_of
    from esnsim.sweeps.sweep import Pictures, Task, split_pictures

    preparation = images.preparation_of(arguments)
    if arguments.data is None and not all(m.startswith("builtin:") for m in arguments.models):
        raise UsageError("accuracy needs images: give --data")
    everything = Pictures(arguments.data, arguments.labels, preparation)
    if arguments.calibration is None:
        scored, calibration = split_pictures(everything)
    else:
        scored, calibration = everything, Pictures(arguments.calibration, None, preparation)
    if arguments.images:
        first_of(scored.open(), arguments.images)
        scored = replace(scored, count=arguments.images)
    return Task(
        scored,
        calibration,
        arguments.correct, arguments.criterion, arguments.scope, tuple(arguments.input_shape),
        arguments.targets,
        max(1, (cpu_count() or 1) // arguments.jobs),
        images.scoring_of(arguments),
        tuple(arguments.input_value),
    )  # fmt: skip


def _render(sweep: "Sweep", arguments: argparse.Namespace, task: "Task") -> str:
    from esnsim.report.sweep.document import as_csv, as_json
    from esnsim.report.sweep.table import render
    from esnsim.sweeps.sweep import binding

    suffix = arguments.output.suffix.lower() if arguments.output else ""
    if arguments.json or (suffix == ".json" and not arguments.csv):
        return as_json(sweep, binding(task))
    if arguments.csv or suffix == ".csv":
        return as_csv(sweep)
    screen = arguments.output is None and sys.stdout is not None and sys.stdout.isatty()
    return render(
        sweep,
        frontier_only=arguments.frontier,
        columns=shutil.get_terminal_size().columns if screen else None,
        bold=screen and "NO_COLOR" not in environ and environ.get("TERM") != "dumb",
    )
