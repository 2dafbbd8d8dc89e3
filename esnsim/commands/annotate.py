"""`esnsim annotate`: costs written into a model's own file, where Netron shows them."""

import argparse

from esnsim.commands import codes
from esnsim.commands.parser import refuse
from esnsim.commands.paths import OutputFile
from esnsim.errors import ModelError, UsageError
from esnsim.report.write import STDOUT, say, write_bytes
from esnsim.units import human

HELP = "costs into a model's own file, for viewers such as Netron"
DESCRIPTION = """\
Writes what each layer costs into the metadata and the doc strings of a model's nodes, and the
totals into those of the model: MACs, MAC×bit, ESNa, widths of filters, pruned ones. What the model
computes stays bit for bit, and external data where it is. --remove takes it all out again."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `annotate`."""
    codes.add_codes(p, fold=False)
    codes.add_model(p)
    p.add_argument(
        "-o", "--output", type=OutputFile(), metavar="FILE", required=True, help="the model"
    )
    p.add_argument("--remove", action="store_true", help="take annotations out")
    p.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.annotation.annotate import annotate, check_place, read_whole, remove
    from esnsim.costs.cost import cost

    if arguments.output in STDOUT:
        raise UsageError("a model is no text: give -o a file")
    proto = read_whole(arguments.model)
    check_place(proto, arguments.model, arguments.output)
    if arguments.remove:
        refuse(
            arguments, ["alpha", "bits", "bits_per_filter", "keep_zeros", "step"],
            "is about costs, and --remove takes them out: leave it out",
        )  # fmt: skip
        if not remove(proto):
            raise ModelError(f"'{arguments.model}' has no annotations: there is nothing to remove")
        told = "without annotations"
    else:
        scheme = codes.scheme_of(arguments)
        network = codes.read_network(arguments)
        result = cost(codes.quantized_network(network, scheme, arguments.quiet))
        count = annotate(proto, result)
        told = f"{count:,} nodes annotated, MAC×bit {human(result.total.esn_d_tilde.macs)}"
    write_bytes(proto.SerializeToString(), arguments.output)
    if not arguments.quiet:
        say(f"wrote {arguments.output}: {told}")
    return 0
