"""`esnsim compress`: a cheaper file of an ONNX model."""

import argparse
from os import W_OK, access
from os.path import isfile, samefile
from pathlib import Path
from typing import TYPE_CHECKING

from esnsim.commands import codes, images, options
from esnsim.errors import EsnsimError, ModelError, UsageError
from esnsim.report.write import say, write, write_bytes

if TYPE_CHECKING:
    from esnsim.compression.compress import Compressed
    from esnsim.compression.recipe import Recipe

HELP = "prune and quantise a model, and write it as ONNX"
DESCRIPTION = """\
Prunes and quantises an ONNX model without training, and writes it as ONNX with a JSON report
beside it: to a budget, as far as a drop of accuracy allows, or to given codes. `esnsim cost` reads
the same widths and the same cost from the file."""

POLICIES = ("allocate", "uniform", "filter-sigma", "esna-targets")
WHOLE_MODEL = 1 << 31  # bytes that protobuf writes


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `compress`."""
    p.add_argument(
        "-o", "--output", type=Path, metavar="FILE", required=True, help="the model, FILE.onnx"
    )
    _add_aim(p.add_argument_group("aim"))
    codes.add_codes(p, fold=False)
    _add_pruning(p.add_argument_group("pruning"))
    codes.add_model(p)
    _add_images(p.add_argument_group("images"))
    _add_output(p.add_argument_group("output"))


def _add_aim(group: "argparse._ArgumentGroup") -> None:
    aim = group.add_mutually_exclusive_group()
    aim.add_argument(
        "--budget", type=options.number, metavar="200M", help="the most that the metric may be"
    )
    aim.add_argument(
        "--drop", type=options.drop, metavar="1%",
        help="the least cost at which so many points of accuracy are lost at most",
    )  # fmt: skip
    group.add_argument(
        "--metric", default="esn_d_tilde", metavar="NAME",
        help="esn_d_tilde (MAC×bit, default), esn_d, esn_a; .weights by parameters",
    )  # fmt: skip
    group.add_argument(
        "--policy", choices=POLICIES,
        help="how filters share a budget: by least noise at the output (allocate, default), one "
        "nominal width, one multiple of σ (filter-sigma, our reconstruction of Sasaki et al. "
        "2019), or the ESNa of each layer in training",
    )  # fmt: skip
    group.add_argument(
        "--targets", type=Path, metavar="FILE",
        help="ESNa of each layer in training, as ESNTracker writes it, for esna-targets",
    )  # fmt: skip
    group.add_argument(
        "--epoch", type=options.at_least_one, metavar="N", help="of --targets (default the last)"
    )


def _add_pruning(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--prune", type=options.share, default=0.0, metavar="0.5", help="share of filters to remove"
    )
    group.add_argument(
        "--criterion", choices=("norm", "l1", "batchnorm"), default="norm",
        help="which filters go first: least signal norm (default), L1 norm, BatchNorm scale",
    )  # fmt: skip
    group.add_argument(
        "--scope", choices=("layer", "network"), default="layer",
        help="the share holds in every layer (default) or over the network",
    )  # fmt: skip
    group.add_argument(
        "--quantize", action=argparse.BooleanOptionalAction, default=True,
        help="--no-quantize only prunes, and writes floats",
    )  # fmt: skip


def _add_images(group: "argparse._ArgumentGroup") -> None:
    images.add_evaluation(group)
    group.add_argument("--threads", type=options.count, default=0, help="0 (default): one a core")


def _add_output(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--format", choices=("qdq", "qonnx", "float"),
        help="qdq (default): integers, DequantizeLinear and Add; qonnx: Quant; float: promises no "
        "widths",
    )  # fmt: skip
    group.add_argument(
        "--activations", type=int, choices=(8,), metavar="8", help="activations as integers (qdq)"
    )
    group.add_argument(
        "--report", type=Path, metavar="FILE", help="the JSON report (default beside the model)"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.report.compression.document import as_json, words

    report = arguments.report or arguments.output.with_suffix(".json")
    _check_files(arguments, report)
    recipe = _recipe(arguments)
    result = _compressed(arguments, recipe)
    data = _bytes(result)
    write_bytes(data, arguments.output)
    write(as_json(result, arguments.output, len(data)), report)
    write(words(result, arguments.output, len(data)), None)
    if not arguments.quiet:
        for layer, reason in result.job.left:
            say(f"layer '{layer.name}' stays as it is: {reason}")
        for layer, reason in result.job.unpruned:
            say(f"layer '{layer.name}' keeps all its filters: {reason}")
        for note in result.job.network.notes:
            say(note)
    return 0


def _compressed(arguments: argparse.Namespace, recipe: "Recipe") -> "Compressed":
    from esnsim.compression.compress import compress
    from esnsim.images import sets as data
    from esnsim.progress import listening
    from esnsim.report.progress import Meter

    model = codes.read_model(arguments)
    pictures = images.images_of(arguments, arguments.model)
    if pictures is not None and arguments.images:
        pictures = pictures.first(arguments.images)
    used = None
    if arguments.calibration is not None:
        used = data.load(arguments.calibration, images.preparation_of(arguments))
        pictures = pictures or used
    steps = 12 if recipe.drop is not None else 3
    with Meter(steps, arguments.quiet) as meter, listening(meter.within):
        return compress(model, recipe, pictures, used, arguments.threads, meter.advance)


def _recipe(arguments: argparse.Namespace) -> "Recipe":
    """What the options ask for. Raises UsageError for those that exclude each other."""
    from esnsim.compression.allocate.budget import known
    from esnsim.compression.recipe import Recipe

    a = arguments
    aimed = a.budget is not None or a.drop is not None or a.targets is not None
    if a.quantize and aimed and (a.bits is not None or a.bits_per_filter is not None):
        raise UsageError("--budget, --drop and --targets choose the widths: leave --bits out")
    if aimed and a.step is not None and a.step not in options.RULES:
        raise UsageError("--budget, --drop and --targets choose the steps: give --step a rule")
    if a.policy is not None and not aimed:
        raise UsageError(f"--policy {a.policy} shares a budget: give --budget or --drop")
    if (a.policy or "esna-targets") != "esna-targets" and a.targets is not None:
        raise UsageError(f"--targets are for the policy esna-targets, not {a.policy}")
    if a.policy == "esna-targets" and a.targets is None:
        raise UsageError("the policy esna-targets needs the ESNa of training: give --targets")
    if not a.quantize and (aimed or a.bits or a.bits_per_filter or a.step):
        raise UsageError("--no-quantize keeps floats: leave the options about codes out")
    scheme = None if aimed or not a.quantize else codes.scheme_of(a)
    return Recipe(
        ratio=a.prune, criterion=a.criterion, scope=a.scope, scheme=scheme,
        policy=a.policy or ("esna-targets" if a.targets else "allocate"),
        rule=a.step if aimed else None, targets=a.targets, epoch=a.epoch, metric=known(a.metric),
        budget=a.budget, drop=a.drop, correct=a.correct,
        form=a.format or ("qdq" if a.quantize else "float"),
        activations=a.activations is not None, quantize=a.quantize,
    )  # fmt: skip


def _check_files(arguments: argparse.Namespace, report: Path) -> None:
    """Refuse at once what would fail, or overwrite an input, at the end."""
    a = arguments
    if a.output.suffix.lower() == ".json" or report == a.output:
        raise UsageError(f"-o '{a.output}' is where the report goes: give a model, as small.onnx")
    given = [a.model, a.bits_per_filter, a.step, a.targets, a.data, a.labels, a.calibration]
    for path in (a.output, report):
        for source in (g for g in given if isinstance(g, str | Path) and isfile(g)):
            if isfile(path) and samefile(path, source):
                raise UsageError(f"'{path}' would overwrite '{source}': give another file")
        if not access(path.parent, W_OK):
            raise EsnsimError(
                f"cannot write '{path}': give a file in a folder that exists, may be written to "
                "and has room"
            )


def _bytes(result: "Compressed") -> bytes:
    size = result.model.ByteSize()
    if size >= WHOLE_MODEL:
        raise ModelError(
            f"the compressed model has {size:,} bytes, and ONNX holds 2 GB without external data: "
            "give fewer bits, or the format qdq"
        )
    return result.model.SerializeToString()
