"""`esnsim machines`: the accelerators that `simulate --machines` knows, and each as a file."""

import argparse

from esnsim.commands.paths import OutputFile
from esnsim.report.write import screen, write

HELP = "accelerators by name: list them, or print one as a file"
DESCRIPTION = """\
The accelerators that `esnsim simulate MODEL --machines NAME,…` compares, each with its source, what
is assumed and what it leaves out. With NAME, that machine as a TOML file, every field with what it
means: change it, and give the file to --machines."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `machines`."""
    p.add_argument("name", nargs="?", metavar="NAME", help="one of them; all without")
    p.add_argument("-o", "--output", type=OutputFile(), metavar="FILE", help="write there")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.machines.named.catalog import as_file, machines
    from esnsim.report.machines.table import listing

    columns, _ = screen(arguments.output)
    text = as_file(arguments.name) if arguments.name else listing(machines(), columns or 100)
    write(text, arguments.output)
    return 0
