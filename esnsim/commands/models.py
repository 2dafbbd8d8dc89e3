"""`esnsim models`: the paper's networks, listed, or exported to ONNX."""

import argparse

from esnsim.commands.paths import OutputFile
from esnsim.errors import UsageError
from esnsim.report.write import say, write, write_bytes
from esnsim.units import exact, megabytes

HELP = "the paper's networks: list them, export them"
DESCRIPTION = """\
The networks of the paper with their multiply-accumulates and parameters. With --output, one of
them as an ONNX file, untrained; this needs PyTorch (pip install 'esnsim[train]')."""
HEADER = ("name", "input", "MACs", "parameters", "source")


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `models`."""
    p.add_argument("name", nargs="?", metavar="NAME", help="one of them; all without")
    p.add_argument(
        "-o", "--output", type=OutputFile(), metavar="FILE", help="write NAME there as ONNX"
    )
    p.add_argument("--seed", type=int, default=0, help="of the random weights (default 0)")
    p.add_argument(
        "--dynamo", action="store_true", help="torch's newer exporter, which folds BatchNorm"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.training.catalog import MODELS, entry

    if arguments.output and not arguments.name:
        raise UsageError("-o needs the NAME of a network: esnsim models resnet20 -o resnet20.onnx")
    if arguments.output:
        return _export(arguments)
    chosen = [arguments.name] if arguments.name else list(MODELS)
    rows: list[tuple[str, ...]] = [HEADER]
    for name in chosen:
        found = entry(name)
        shape = "x".join(map(str, found.input_shape))
        rows.append((name, shape, exact(found.macs), exact(found.parameters), found.source))
    write(_aligned(rows) + "\n", None)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from esnsim.training.catalog import entry
    from esnsim.training.export import export_onnx, import_torch

    found = entry(arguments.name)
    torch = import_torch()
    torch.manual_seed(arguments.seed)
    example = torch.zeros(1, *found.input_shape)
    data = export_onnx(found.build(), example, arguments.dynamo, free_batch=True)
    write_bytes(data, arguments.output)
    say(f"wrote {arguments.output} ({megabytes(len(data))}, random weights)")
    return 0


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Columns as wide as their widest cell; numbers to the right."""
    wide = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    right = [name in ("MACs", "parameters") for name in HEADER]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, wide, right, strict=True))
        .rstrip()
        for row in rows
    )  # fmt: skip
