"""`esnsim compress`: a cheaper file of an ONNX model."""

import argparse
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from esnsim.commands import codes, images, options, output
from esnsim.commands.parser import refuse
from esnsim.commands.paths import InputFile, OutputFile, aim_files, file_name
from esnsim.errors import ModelError, UsageError
from esnsim.progress import listening
from esnsim.report.progress import Meter
from esnsim.report.write import STDOUT, say, screen, write, write_bytes

if TYPE_CHECKING:
    from esnsim.compression.compressed import Compressed
    from esnsim.compression.recipe import Recipe

HELP = "prune and quantise a model, and write it as ONNX"
DESCRIPTION = """\
Prunes and quantises an ONNX model without training, and writes it as ONNX with a JSON report
beside it: to a budget, as far as a drop of accuracy allows, or to given codes. `esnsim cost` reads
the same widths and the same cost from the file."""

#: Options that ask for more than pruning; without any of them a model that loses nothing is not
#: written.
ASKED = {
    "activations", "alpha", "bits", "bits_per_filter", "budget", "drop", "format", "keep_zeros",
    "sqnr", "step", "targets",
}  # fmt: skip


def _model(text: str) -> Path:
    """The name of the model that is written."""
    found = file_name(text)
    if found.suffix.lower() == ".json" or found in STDOUT:
        raise ArgumentTypeError(f"'{text}' is where the report goes: give a model, as small.onnx")
    return found


def _share(text: str) -> float | None:
    """A share of filters, None for as many as pay."""
    return None if text == "auto" else options.share(text)


def _report(arguments: argparse.Namespace) -> Path:
    """Where the report goes unless told: beside the model."""
    output: Path = arguments.output
    return output.with_suffix(".json")


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `compress`."""
    p.add_argument(
        "-o", "--output", type=OutputFile(_model), metavar="FILE", required=True,
        help="the model, FILE.onnx",
    )  # fmt: skip
    _add_aim(p.add_argument_group("aim"))
    codes.add_codes(p, fold=False)
    _add_pruning(p.add_argument_group("pruning"))
    codes.add_model(p)
    _add_images(p.add_argument_group("images"))
    _add_output(p.add_argument_group("output"))


def _add_aim(group: "argparse._ArgumentGroup") -> None:
    from esnsim.compression.allocate.budget_metrics import budgeted

    aim = group.add_mutually_exclusive_group()
    aim.add_argument(
        "--budget", type=InputFile(options.budget, aim_files), metavar="200M|2ms@maki",
        help="the most that the metric may be; or of a machine: 2ms@maki, 5uJ@isaac, 90k@bismo "
        "cycles, 2ms@mine.toml; behind a memory: 2ms@maki@bitsim",
    )  # fmt: skip
    aim.add_argument(
        "--drop", type=options.share, metavar="1%",
        help="the least cost at which so many points of accuracy are lost at most",
    )  # fmt: skip
    aim.add_argument(
        "--sqnr", type=options.decibels, metavar="25dB",
        help="the least cost at which the outputs' error is so far below the float model's signal",
    )  # fmt: skip
    group.add_argument(
        "--metric", type=InputFile(str, aim_files), metavar="NAME",
        help=f"one of {', '.join(budgeted())} (default esn_d_tilde, MAC×bit); .weights by "
        "parameters; or a machine's: cycles@maki, time@maki, energy@isaac",
    )  # fmt: skip
    _add_policy(group)


def _add_policy(group: "argparse._ArgumentGroup") -> None:
    from esnsim.compression.allocate.effort import EFFORTS
    from esnsim.compression.policies import POLICIES

    what = "how filters share a budget (default allocate)"
    options.add_choice(group, "--policy", POLICIES, None, what)
    what = "what allocate measures noise with (default normal)"
    options.add_choice(group, "--effort", EFFORTS, "normal", what)
    group.add_argument(
        "--targets", type=InputFile(), metavar="FILE",
        help="ESNa of each layer in training, as ESNTracker writes it, for esna-targets",
    )  # fmt: skip
    group.add_argument(
        "--epoch", type=options.at_least_one, metavar="N", help="of --targets (default the last)"
    )


def _add_pruning(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--prune",
        type=_share,
        default=0.0,
        metavar="0.5|auto",
        help="share of filters to remove; auto: as many as pay for the aim, each layer its share",
    )
    codes.add_criteria(group)
    group.add_argument(
        "--quantize", action=argparse.BooleanOptionalAction, default=True,
        help="--no-quantize only prunes, and writes floats",
    )  # fmt: skip


def _add_images(group: "argparse._ArgumentGroup") -> None:
    images.add_evaluation(group)
    group.add_argument("--threads", type=options.count, default=0, help="0 (default): one a core")


def _add_output(group: "argparse._ArgumentGroup") -> None:
    from esnsim.compression.export.formats import FORMATS

    group.add_argument(
        "--format", choices=list(FORMATS), help=options.offered(FORMATS),
    )  # fmt: skip
    group.add_argument(
        "--activations", type=int, choices=(8,), metavar="8", help="activations as integers (qdq)"
    )
    group.add_argument(
        "--report", type=OutputFile(default=_report, schema="esnsim.compress/"), metavar="FILE",
        help="the JSON report (default beside the model)",
    )  # fmt: skip
    output.add_page(group)
    group.add_argument(
        "--resume", type=OutputFile(), metavar="FILE",
        help="keeps layers as they are done, and goes on with those that are; gone at the end",
    )  # fmt: skip
    group.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.report.compression.document import as_json, words
    from esnsim.report.grid import folded

    result = _compressed(arguments, _recipe(arguments))
    if result.nothing_removed and ASKED.isdisjoint(arguments.given):
        raise ModelError(result.nothing_removed)
    data = result.to_bytes()
    write_bytes(data, arguments.output)
    write(as_json(result, arguments.output, len(data)), arguments.report)
    told = words(result, arguments.output, len(data)).splitlines()
    write("\n".join(folded(told, screen(None)[0])) + "\n", None)
    output.write_page(result, arguments)
    notes = result.notes
    if "prune" in arguments.given and arguments.prune == 0:
        notes = ("--prune 0 removes no filter", *notes)
    if not arguments.quiet:
        for note in notes:
            say(note)
    return 0


def _compressed(arguments: argparse.Namespace, recipe: "Recipe") -> "Compressed":
    from esnsim.compression.compress import compress

    a = arguments
    model, pictures = codes.read_model(a), images.images_of(a, a.model)
    used = images.calibration_of(a, pictures)
    images.check_scored(a, pictures is not None, "--data")
    if pictures is None and used is None:
        refuse(a, ["correct"], "corrects with images: give --data or --calibration")
    several = recipe.searches or recipe.ratio is None
    with Meter(12 if several else 3, a.quiet) as meter, listening(meter.within):
        return compress(
            model,
            recipe,
            pictures,
            used,
            a.threads,
            meter.advance,
            images.scoring_of(a),
            a.images,
            a.resume,
        )


def _recipe(arguments: argparse.Namespace) -> "Recipe":
    """What the options ask for. Raises UsageError for those that exclude each other."""
    from esnsim.compression.allocate.budget_metrics import check_metric
    from esnsim.compression.recipe import Recipe

    a = arguments
    aimed = any(aim is not None for aim in (a.budget, a.drop, a.sqnr, a.targets))
    if a.quantize and aimed and (a.bits is not None or a.bits_per_filter is not None):
        raise UsageError("--budget, --drop, --sqnr, --targets choose the widths: leave --bits out")
    if aimed and a.step is not None and not isinstance(a.step, str):
        raise UsageError("--budget, --drop, --sqnr, --targets choose the steps: give --step a rule")
    if a.policy is not None and not aimed:
        raise UsageError(f"--policy {a.policy} shares a budget: give --budget, --drop or --sqnr")
    if (a.policy or "esna-targets") != "esna-targets" and a.targets is not None:
        raise UsageError(f"--targets are for the policy esna-targets, not {a.policy}")
    if a.policy == "esna-targets" and a.targets is None:
        raise UsageError("the policy esna-targets needs the ESNa of training: give --targets")
    if not a.quantize and (aimed or a.bits or a.bits_per_filter or a.step):
        raise UsageError("--no-quantize keeps floats: leave the options about codes out")
    _check_used(a, aimed)
    scheme = None if aimed or not a.quantize else codes.scheme_of(a)
    budget, metric = a.budget or (None, None)
    if metric is not None and a.metric not in (None, metric):
        raise UsageError(f"--budget is of {metric}, --metric of {a.metric}: leave --metric out")
    return Recipe(
        ratio=a.prune, criterion=a.criterion, scope=a.scope, scheme=scheme,
        policy=a.policy or ("esna-targets" if a.targets else "allocate"),
        rule=a.step if aimed else None, effort=a.effort,
        targets=a.targets, epoch=a.epoch, metric=check_metric(metric or a.metric or "esn_d_tilde"),
        budget=budget, drop=a.drop, sqnr=a.sqnr, correct=a.correct,
        rounding=a.rounding,
        form=a.format or ("qdq" if a.quantize else "float"),
        activations=a.activations is not None, quantize=a.quantize,
    )  # fmt: skip


def _check_used(a: argparse.Namespace, aimed: bool) -> None:
    """Raise UsageError for options that would change nothing."""
    if not a.prune:
        refuse(a, ["criterion", "scope"], "is about which filters go: give --prune too")
    if a.targets is None:
        refuse(a, ["epoch"], "is one of --targets: give them too")
    if aimed or not a.quantize:
        reason = "is about codes at given widths: leave it, or the aim or --no-quantize, out"
        refuse(a, ["alpha", "keep_zeros"], reason)
    if not aimed:
        refuse(a, ["effort"], "is about how a budget is shared: give --budget, --drop or --sqnr")
