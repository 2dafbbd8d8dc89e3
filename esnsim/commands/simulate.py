"""`esnsim simulate`: what a machine spends on a network, bit for bit."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from esnsim.commands import accelerators, codes, images, machine, options, output
from esnsim.commands.parser import refuse
from esnsim.errors import UsageError
from esnsim.report.progress import Meter
from esnsim.report.write import say, screen, write
from esnsim.units import human

if TYPE_CHECKING:
    from esnsim.evaluate.simulation import Activations
    from esnsim.images.sets import ImageSet
    from esnsim.machines.base import Machine
    from esnsim.machines.named.comparison import Comparison
    from esnsim.machines.simulator import Beside, Simulation
    from esnsim.quantization.quantizer import QuantizedNetwork
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
    from esnsim.report.simulation.document import FORMS

    codes.add_codes(p)
    codes.add_model(p)
    group = p.add_argument_group("machine")
    machine.add_machine(group)
    accelerators.add_accelerators(group)
    _add_images(p.add_argument_group("activations"))
    out = p.add_argument_group("output")
    output.add_output(out, FORMS)
    output.add_page(out)
    output.add_picture(out, "with --machines: cycles and energy by part, a roofline")
    out.add_argument("--exact", action="store_true", help="all digits instead of 41.1M")


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
    from esnsim.machines.simulator import Beside
    from esnsim.report.simulation.document import FORMS
    from esnsim.report.simulation.table import Look
    from esnsim.run.cut import cut

    output.check_picture(arguments)
    form = output.form_of(arguments, FORMS)
    scheme = codes.scheme_of(arguments)
    named = accelerators.chosen(arguments)
    specs = [] if named else machine.machines(arguments)
    given = _activations(arguments, _images(arguments), specs)
    model = codes.read_model(arguments)
    quantized = codes.quantized_network(model.network, scheme, arguments.quiet)
    look = Look(arguments.exact, *screen(arguments.output))
    if named:
        with _meter(arguments, len(quantized.layers), given) as meter:
            compared = accelerators.compare(
                arguments, model, quantized, named, given, meter.advance
            )
        write(accelerators.render(compared, form, arguments, look), arguments.output)
        output.write_page(compared, arguments)
        output.write_picture(arguments, partial(_drawn, compared))
        left_out = _left_out(compared)
    else:
        graph = cut(model, arguments.threads)
        found = [_simulate(arguments, graph, quantized, spec, given) for spec in specs]
        ran = Beside(tuple(found), machine.told_apart(arguments))
        write(_render(ran, form, arguments, look), arguments.output)
        first, *more = ran.simulations
        output.write_page(ran if more else first, arguments)
        left_out = _left_out(first)
    if not arguments.quiet:
        for note in (*left_out, *model.network.notes, *quantized.notes):
            say(note)
    return 0


def _drawn(compared: "Comparison", suffix: str) -> bytes:
    from esnsim.page.picture import picture_file

    return picture_file(compared, suffix)


def _left_out(simulation: "Simulation | Comparison") -> list[str]:
    """What of the network did not run, and what `cost` counts for it."""
    from esnsim.machines.named.comparison import Comparison

    return [
        f"layer '{item.layer.layer.name}' is not simulated ({human(item.macs)} MACs, "
        f"{human(item.esn_d_tilde)} MAC×bit): {item.reason}"
        for item in simulation.not_simulated
    ] + [
        f"product '{item.name}' is not simulated ({human(item.macs)} MACs): it multiplies two "
        "activations"
        for item in simulation.network.network.products
        if not (item.matrices and isinstance(simulation, Comparison))
    ]


def _images(arguments: argparse.Namespace) -> "ImageSet | None":
    """The images to run, None for random integers."""
    images.check_scored(arguments, arguments.end_to_end, "--end-to-end")
    found = images.images_of(arguments, str(arguments.model))
    if found is not None:
        return found
    if arguments.end_to_end:
        raise UsageError("--end-to-end needs images: give --data")
    refuse(arguments, ["percentile", "signed"], "is about activations of images: give --data")
    return None


def _activations(
    arguments: argparse.Namespace, pictures: "ImageSet | None", specs: "Sequence[Machine]"
) -> "Activations":
    """What layers run on. Raises UsageError for a seed of nothing."""
    from esnsim.evaluate.simulation import Activations

    if pictures is not None and not any(spec.noisy for spec in specs):
        reason = "is of noise and of random integers, and there are neither: leave it out"
        refuse(arguments, ["seed"], reason)
    return Activations(
        images=pictures, count=arguments.images, end_to_end=arguments.end_to_end,
        percentile=arguments.percentile, signed=arguments.signed, seed=arguments.seed,
        scoring=images.scoring_of(arguments),
    )  # fmt: skip


def _meter(arguments: argparse.Namespace, layers: int, given: "Activations") -> "Meter":

    count = given.split()[1].count if given.images else 1
    return Meter(count, arguments.quiet, unit="images", per=max(1, layers))


def _simulate(
    arguments: argparse.Namespace, graph: "CutGraph", quantized: "QuantizedNetwork",
    spec: "Machine", given: "Activations",
) -> "Simulation":  # fmt: skip
    from esnsim.evaluate.simulation import simulate_graph

    with _meter(arguments, len(graph.macs), given) as meter:
        found = simulate_graph(graph, quantized, spec, given, arguments.threads, meter.advance)
    return replace(found, clock=arguments.clock)


def _render(ran: "Beside", form: str, arguments: argparse.Namespace, look: "Look") -> str:
    from esnsim.report.simulation.comparison import compared
    from esnsim.report.simulation.document import FORMS
    from esnsim.report.simulation.table import render

    if form in FORMS:
        return FORMS[form].text(ran.simulations)
    if arguments.compare:
        return compared(ran, look)
    return "\n".join(render(simulation, look) for simulation in ran.simulations)
