"""What commands share: how weights become codes, and the model that they are read from."""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esnsim.commands import options
from esnsim.commands.parser import refuse
from esnsim.commands.paths import InputFile, model_files
from esnsim.errors import ModelError, UsageError, WidthError
from esnsim.onnxfile.path import ModelPath, builtins
from esnsim.report.progress import Meter
from esnsim.report.write import say

if TYPE_CHECKING:
    from esnsim.graph.model import Model
    from esnsim.model.network import Network, Uncounted
    from esnsim.quantization.quantizer import QuantizedNetwork
    from esnsim.quantization.scheme import Scheme

MODEL = InputFile(ModelPath, model_files)


def add_model(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the model, and the group of options about it."""
    parser.add_argument(
        "model", type=MODEL, metavar="MODEL", help=f"an .onnx file, or {' '.join(builtins())}"
    )
    group = parser.add_argument_group("model")
    add_inputs(group)
    group.add_argument("--strict", action="store_true", help="fail if an operator is not counted")
    return group


def add_inputs(group: "argparse._ActionsContainer") -> None:
    """Add what is said of a model's inputs."""
    group.add_argument(
        "--input-shape", action="append", default=[], metavar="NAME=1,3,224,224",
        type=options.input_shape,
        help="free sizes of an input (also NAME:1x3x224x224; again for another)",
    )  # fmt: skip
    group.add_argument(
        "--input-value", action="append", default=[], metavar="NAME=16000",
        type=options.input_value,
        help="the value of an input of one number, which chooses the branch of an If (again for "
        "another)",
    )  # fmt: skip


def add_codes(parser: argparse.ArgumentParser, fold: bool = True) -> "argparse._ArgumentGroup":
    """Add the options that say how weights become codes; with `fold` also --fold-batchnorm."""
    from esnsim.quantization.rules import RULES

    group = parser.add_argument_group("codes")
    group.add_argument(
        "--bits-per-filter", nargs="?", const=options.ALONE, metavar="N|FILE",
        type=InputFile(options.widths),
        help="alone: show the histogram of widths; N, or a .json, .csv, .npz file of layer name -> "
        "widths: assign widths; a report of esnsim cost gives its steps too",
    )  # fmt: skip
    group.add_argument("--bits", type=int, metavar="N", help="nominal width of a code (default 8)")
    group.add_argument(
        "--step", metavar="RULE|Δ|FILE", type=InputFile(options.step),
        help=f"step rule: {', '.join(RULES)}; or a step for all layers, or a file of "
        "steps (default layer-max; filter-max where widths are assigned)",
    )  # fmt: skip
    group.add_argument(
        "--alpha",
        type=float,
        default=1.0,
        metavar="N",
        help="step in σ for filter-sigma, our reconstruction of Sasaki et al. 2019",
    )
    group.add_argument(
        "--keep-zeros", action=argparse.BooleanOptionalAction, default=True,
        help="weights of exactly 0 stay 0 in filters that survive (default yes)",
    )  # fmt: skip
    if fold:
        group.add_argument(
            "--fold-batchnorm", action="store_true", help="fold BatchNormalization into the weights"
        )
    return group


def add_criteria(group: "argparse._ArgumentGroup") -> None:
    """Add which filters are pruned first."""
    from esnsim.compression.prune.criteria import CRITERIA, SCOPES

    what = "which filters go first (default norm)"
    options.add_choice(group, "--criterion", CRITERIA, "norm", what)
    options.add_choice(group, "--scope", SCOPES, "layer", "among which filters (default layer)")


def scheme_of(arguments: argparse.Namespace) -> "Scheme":
    """The scheme that the options give. Raises UsageError, WidthError."""
    from esnsim.quantization.files import read_values
    from esnsim.quantization.scheme import Scheme

    widths, step = arguments.bits_per_filter, arguments.step
    if arguments.bits is not None and isinstance(widths, int):
        raise UsageError("--bits and --bits-per-filter N both say a width: leave one out")
    given: float | dict[str, Any] | None = None
    if isinstance(widths, Path):
        widths = read_values(widths, "width")
    elif widths == options.ALONE:
        widths = None
    if step is not None and not isinstance(step, str):
        given = read_values(step, "step") if isinstance(step, Path) else step
        step = "given"
    try:
        scheme = Scheme(step, arguments.bits, arguments.alpha, arguments.keep_zeros, widths, given)
    except WidthError as error:
        raise UsageError(str(error)) from None
    if step != "filter-sigma":
        refuse(
            arguments, ["alpha"], "is the step of filter-sigma in σ: give --step filter-sigma too"
        )
    return scheme


def read_model(arguments: argparse.Namespace) -> "Model":
    """The model, in the branches that inputs choose, BatchNormalization folded if asked for; what
    is not counted is said.
    """
    from esnsim.graph.branches import specialised
    from esnsim.graph.model import open_model

    model = specialised(
        open_model(arguments.model, dict(arguments.input_shape), dict(arguments.input_value))
    )
    return replace(model, network=_prepared(model.network, arguments))


def read_network(arguments: argparse.Namespace) -> "Network":
    """The network of the model alone, BatchNormalization folded if asked for."""
    from esnsim.importer.read import read_onnx

    return _prepared(
        read_onnx(arguments.model, dict(arguments.input_shape), dict(arguments.input_value)),
        arguments,
    )


def _prepared(network: "Network", arguments: argparse.Namespace) -> "Network":
    from esnsim.model.fold import fold_batchnorm

    warn_uncounted(network.uncounted, arguments.strict)
    return fold_batchnorm(network) if getattr(arguments, "fold_batchnorm", False) else network


def quantized_network(network: "Network", scheme: "Scheme", quiet: bool) -> "QuantizedNetwork":
    """The network quantised, with a bar where that takes long."""
    from esnsim.quantization.quantizer import quantize

    with Meter(len(network.layers), quiet, "quantising") as meter:
        return quantize(network, scheme, lambda layer: meter.advance(layer.name))


def warn_uncounted(uncounted: "Sequence[Uncounted]", strict: bool) -> None:
    """Say which operators are not counted, a line for each kind and reason."""
    kinds = Counter((item.op, item.reason) for item in uncounted)
    first = {(item.op, item.reason): item.name for item in reversed(uncounted)}
    lines = [
        f"{op} '{first[op, reason]}'{f' and {count - 1} more' if count > 1 else ''} "
        f"{'are' if count > 1 else 'is'} not counted: {reason}"
        for (op, reason), count in kinds.items()
    ]
    if lines and strict:
        raise ModelError(f"{'; '.join(lines)} (--strict allows none)")
    for line in lines:
        say(f"warning: {line}")
