"""A network on a machine: layers run on integer activations, counted and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from esnsim.costs.equations import esn_d_tilde
from esnsim.machines.base import Activations, LayerEngine, Machine, Result, Run
from esnsim.model.network import Skipped
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork
from esnsim.results import Outcome

if TYPE_CHECKING:
    from esnsim.evaluate.scores import EndToEnd


@dataclass(frozen=True, slots=True)
class NotRun:
    """A layer that does not run on the machine, and why."""

    layer: QuantizedLayer
    reason: str

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of one inference."""
        return self.layer.layer.macs

    @property
    def esn_d_tilde(self) -> int:
        """MAC×bit of one inference."""
        return esn_d_tilde(self.layer.sums, "code") * self.layer.layer.macs_per_weight


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Simulation(Outcome):
    """Layers in graph order on a machine, and what of the network did not run there.

    `activations` says where the layers' integers came from. What ran and what did not is together
    what `cost` counts; products of two activations have no weights, and stand apart. A `clock` in
    Hz gives a speed.
    """

    network: QuantizedNetwork
    machine: Machine
    layers: tuple[Result, ...]
    not_simulated: tuple[NotRun, ...]
    activations: str
    accuracy: "EndToEnd | None" = None
    clock: float | None = None

    @property
    def total(self) -> Result:
        """All layers that ran."""
        return reduce(lambda a, b: a.add_layers(b), self.layers)

    @property
    def images(self) -> int:
        """Inferences that were run."""
        return self.layers[0].images

    @property
    def left_out(self) -> tuple[int, int]:
        """MACs and MAC×bit of the layers that did not run."""
        return (
            sum(item.macs for item in self.not_simulated),
            sum(item.esn_d_tilde for item in self.not_simulated),
        )

    @property
    def product_macs(self) -> int:
        """MACs of products of two activations, which no machine here runs."""
        return sum(product.macs for product in self.network.network.products)

    @property
    def speed(self) -> "Speed | None":
        """Speeds at the clock, None without one, and of machines whose cycles are not counted."""
        return speed(self, self.clock) if self.clock else None


@dataclass(frozen=True, slots=True)
class Beside:
    """One network on several machines: of two kinds, or with each value of a `field`."""

    simulations: tuple[Simulation, ...]
    field: str = "kind"

    @property
    def names(self) -> list[str]:
        """The names of the machines: where they differ."""
        return [str(getattr(each.machine, self.field)) for each in self.simulations]


class Simulator:
    """A machine that keeps what a layer's runs have in common, and adds up what they took.

    Layers are told apart by their index in the network. With the same seed, errors and noise are
    the same whatever else runs.
    """

    def __init__(
        self, network: QuantizedNetwork, machine: Machine, threads: int = 0, seed: int = 0
    ) -> None:
        self.network, self.machine = network, machine
        self._threads, self._seed = threads, seed
        self._engines: dict[int, LayerEngine] = {}
        self._results: dict[int, Result] = {}

    def run(self, index: int, activations: Activations) -> Run:
        """Run layer `index`, and add what it took to what its runs before did."""
        run = self._engine(index).run(activations)
        before = self._results.get(index)
        self._results[index] = run.result if before is None else before.add_images(run.result)
        return run

    def observe(self, index: int, activations: Activations) -> None:
        """Give layer `index` calibration activations."""
        self._engine(index).observe(activations)

    def results(self) -> tuple[Result, ...]:
        """What each layer that ran took, in graph order. Raises MismatchError."""
        found = tuple(self._results[index] for index in sorted(self._results))
        for result in found:
            result.check()
        return found

    def simulation(
        self, skipped: Sequence[Skipped], activations: str, accuracy: "EndToEnd | None" = None
    ) -> Simulation:
        """What ran, and beside it the layers that did not. Raises MismatchError."""
        layers = {id(quantized.layer): quantized for quantized in self.network.layers}
        return Simulation(
            network=self.network,
            machine=self.machine,
            layers=self.results(),
            not_simulated=tuple(NotRun(layers[id(item.layer)], item.reason) for item in skipped),
            activations=activations,
            accuracy=accuracy,
        )

    def _engine(self, index: int) -> LayerEngine:
        if index not in self._engines:
            self._engines[index] = self.machine.prepare(
                self.network.layers[index], (self._seed, index), self._threads
            )
        return self._engines[index]


@dataclass(frozen=True, slots=True)
class Speed:
    """What a clock (Hz) makes of cycles; a dense MAC is two operations. TOPS/W needs joules."""

    clock: float
    inferences_per_second: float
    tops: float
    tops_per_watt: float | None


def speed(simulation: Simulation, clock: float) -> Speed | None:
    """Speeds at a clock, None of a machine whose cycles are not counted, or that takes none."""
    total = simulation.total
    if not total.cycles:
        return None
    rate, operations, spent = clock / total.cycles, 2 * total.macs, total.total_energy
    per_watt = operations / spent if simulation.machine.priced and spent else None
    return Speed(clock, rate, operations * rate / 1e12, per_watt)
