"""`esnsim simulate`: what a machine spends on a network, bit for bit."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from esnsim.commands import accelerators, codes, images, machine, options
from esnsim.commands.paths import OutputFile
from esnsim.errors import UsageError
from esnsim.report.write import say, screen, write

if TYPE_CHECKING:
    from esnsim.evaluate.simulation import Activations
    from esnsim.images.sets import ImageSet
    from esnsim.machines.base import Machine
    from esnsim.machines.simulator import Simulation
    from esnsim.machines.zoo.comparison import Comparison
    from esnsim.quantization.quantizer import QuantizedNetwork
    from esnsim.report.progress import Meter
    from esnsim.report.simulation.table import Look
    from esnsim.run.cut import CutGraph

HELP = "what a digital array or an analog crossbar spends on a model"
DESCRIPTION = """\
Runs every layer of an ONNX model on a variable-precision MAC array or an analog crossbar: exact
outputs, cycles and energy, counted tile by tile and checked against the closed form. Layers run on
the float model's activations for the images of --data, or on random integers; with --end-to-end the
whole network runs, and its accuracy is measured."""


def add_options(p: argparse.ArgumentParser) -> None:
    """Add the options of `simulate`."""
    codes.add_codes(p)
    codes.add_model(p)
    group = p.add_argument_group("machine")
    machine.add_machine(group)
    accelerators.add_accelerators(group)
    _add_images(p.add_argument_group("activations"))
    out = p.add_argument_group("output")
    form = out.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything (docs/simulate.md)")
    form.add_argument("--csv", action="store_true", help="a row a layer, all columns")
    out.add_argument(
        "-o", "--output", type=OutputFile(), metavar="FILE", help="write there, whole or not"
    )
    out.add_argument("--exact", action="store_true", help="all digits instead of 41.1M")
    out.add_argument("-q", "--quiet", action="store_true", help="no notes and no progress")


def _add_images(group: "argparse._ArgumentGroup") -> None:
    images.add_images(
        group, "the embedded images are the default for embedded models, for others random integers"
    )
    group.add_argument(
        "--images", type=options.at_least_one, metavar="N",
        help="how many to run (default 1; with --end-to-end all)",
    )  # fmt: skip
    images.add_scoring(group)
    group.add_argument("--end-to-end", action="store_true", help="run the network, not layers")
    group.add_argument(
        "--percentile", type=options.percentile, metavar="P",
        help="range of activations by percentile of the calibration images (default min and max)",
    )  # fmt: skip
    group.add_argument("--signed", action="store_true", help="symmetric signed activations")
    group.add_argument("--seed", type=options.count, default=0, help="of noise and random integers")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from esnsim.run.cut import cut

    scheme = codes.scheme_of(arguments)
    named = accelerators.chosen(arguments)
    specs = [] if named else machine.machines(arguments)
    given = _activations(arguments, _images(arguments))
    model = codes.read_model(arguments)
    quantized = codes.quantized_network(model.network, scheme, arguments.quiet)
    graph = cut(model, arguments.threads)
    ran: Simulation | Comparison
    if named:
        with _meter(arguments, graph, given) as meter:
            ran = accelerators.compare(arguments, graph, quantized, named, given, meter.advance)
        text = accelerators.render(ran, arguments, _look(arguments))
    else:
        simulations = [_simulate(arguments, graph, quantized, spec, given) for spec in specs]
        ran, text = simulations[0], _render(simulations, arguments)
    write(text, arguments.output)
    if not arguments.quiet:
        for note in (*_left_out(ran), *model.network.notes, *quantized.notes):
            say(note)
    return 0


def _left_out(simulation: "Simulation | Comparison") -> list[str]:
    """What of the network did not run, and what `cost` counts for it."""
    from esnsim.units import human

    return [
        f"layer '{item.layer.layer.name}' is not simulated ({human(item.macs)} MACs, "
        f"{human(item.esn_d_tilde)} MAC×bit): {item.reason}"
        for item in simulation.not_simulated
    ] + [
        f"product '{item.name}' is not simulated ({human(item.macs)} MACs): it multiplies two "
        "activations"
        for item in simulation.network.network.products
    ]


def _images(arguments: argparse.Namespace) -> "ImageSet | None":
    """The images to run, None for random integers."""
    found = images.images_of(arguments, str(arguments.model))
    if found is not None:
        return found
    if arguments.end_to_end:
        raise UsageError("--end-to-end needs images: give --data")
    return None


def _activations(arguments: argparse.Namespace, pictures: "ImageSet | None") -> "Activations":
    from esnsim.evaluate.simulation import Activations

    return Activations(
        images=pictures, count=arguments.images, end_to_end=arguments.end_to_end,
        percentile=arguments.percentile, signed=arguments.signed, seed=arguments.seed,
        scoring=images.scoring_of(arguments),
    )  # fmt: skip


def _meter(arguments: argparse.Namespace, graph: "CutGraph", given: "Activations") -> "Meter":
    from esnsim.report.progress import Meter

    count, layers = given.split()[1].count if given.images else 1, max(1, len(graph.macs))
    return Meter(count * layers, arguments.quiet, unit="images", per=layers)


def _simulate(
    arguments: argparse.Namespace, graph: "CutGraph", quantized: "QuantizedNetwork",
    spec: "Machine", given: "Activations",
) -> "Simulation":  # fmt: skip
    from esnsim.evaluate.simulation import simulate_graph

    with _meter(arguments, graph, given) as meter:
        return simulate_graph(graph, quantized, spec, given, arguments.threads, meter.advance)


def _look(arguments: argparse.Namespace) -> "Look":
    from esnsim.report.simulation.table import Look

    return Look(arguments.exact, *screen(arguments.output), arguments.clock)


def _render(simulations: "Sequence[Simulation]", arguments: argparse.Namespace) -> str:
    from esnsim.report.simulation import document as documents
    from esnsim.report.simulation.comparison import kinds, variants
    from esnsim.report.simulation.table import render

    form = options.output_form(arguments)
    if form == "json":
        found = [documents.document(simulation, arguments.clock) for simulation in simulations]
        return documents.as_json(found[0] if len(found) == 1 else found)
    if form == "csv":
        return documents.as_csv(simulations)
    look = _look(arguments)
    if len(arguments.compare) == 1:
        return variants(simulations, machine.variants()[arguments.compare[0]][1], look)
    if arguments.compare:
        return kinds(simulations, look)
    return "\n".join(render(simulation, look) for simulation in simulations)
