"""A network simulated: on random integers, or on images that are not those that calibrate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from esnsim.errors import UsageError
from esnsim.evaluate import inference
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.images.sets import ImageSet
from esnsim.images.split import first_of, split
from esnsim.machines.base import Machine
from esnsim.machines.simulator import Simulation, Simulator
from esnsim.model.network import Skipped
from esnsim.quantization.quantizer import QuantizedNetwork
from esnsim.run.cut import CutGraph

CALIBRATION_IMAGES = 64  # at most, which set the scales of activations

#: Is told of every layer before it runs, and how many images of a batch it is for.
Watch = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activations:
    """What layers run on. Without `images` on random integers.

    `count` images are run (None: 1, or with `end_to_end` all that do not calibrate). Activations
    have the range of those that calibrate, or of a `percentile` of it, `signed` or not; `seed` is
    of noise and of random integers. `scoring` says what of the outputs is scored.
    """

    images: ImageSet | None = None
    count: int | None = None
    end_to_end: bool = False
    percentile: float | None = None
    signed: bool = False
    seed: int = 0
    scoring: Scoring = GUESS

    def split(self) -> tuple[ImageSet, ImageSet]:
        """The images that calibrate, and those that are run. Raises UsageError for too many."""
        assert self.images is not None
        few, rest = split(self.images, CALIBRATION_IMAGES)
        wanted = self.count or (rest.count if self.end_to_end else 1)
        return few, first_of(rest, wanted)


def simulate_graph(
    graph: CutGraph, network: QuantizedNetwork, machine: Machine, given: Activations,
    threads: int = 0, watch: Watch = lambda layer, images: None,
) -> Simulation:  # fmt: skip
    """A quantised network on a machine, layer by layer or end to end.

    Raises UsageError where no layer can run, or images do not fit.
    """
    check_runs(graph)
    simulator = Simulator(network, machine, threads, given.seed)
    if given.images is None:
        if given.end_to_end:
            raise UsageError("--end-to-end needs images: give --data")
        inference.on_random_integers(simulator, graph, given.seed, machine.activation_bits, watch)
        return simulator.simulation(graph.not_simulated, "random integers")
    few, chosen = given.split()
    scales = inference.calibrated(
        graph, few, machine.activation_bits, given.percentile, given.signed
    )
    if machine.calibrates:
        inference.layer_by_layer(graph, simulator.observe, few, scales, _unseen)
    accuracy = None
    if given.end_to_end:
        accuracy = inference.end_to_end(graph, simulator, chosen, scales, watch, given.scoring)
    else:
        inference.layer_by_layer(graph, simulator.run, chosen, scales, watch)
    return simulator.simulation(graph.not_simulated, used_images(given, few, chosen), accuracy)


def check_runs(graph: CutGraph) -> None:
    """Raise UsageError where no layer can run."""
    if not graph.macs:
        raise UsageError("no layer of the model can be simulated: " + _reasons(graph.not_simulated))


def used_images(given: Activations, few: ImageSet, chosen: ImageSet) -> str:
    """Which images run, and how many calibrate, in words."""
    assert given.images is not None
    others = "others " if given.images.count > 1 else ""
    return (
        f"{chosen.count:,} of {given.images.count:,} images of {chosen.name}; {few.count:,} "
        f"{others}calibrate"
    )


def _reasons(skipped: Sequence[Skipped]) -> str:
    """Why the first layer stays where it is, and how many more do."""
    if not skipped:
        return "it has no weights that multiply activations"
    first, more = skipped[0], len(skipped) - 1
    others = f" (and {more} more)" if more else ""
    return f"layer '{first.layer.name}': {first.reason}{others}"


def _unseen(layer: str, images: int) -> None:
    """Calibration is no part of the progress that is shown."""
