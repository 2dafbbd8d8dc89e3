"""A network on many machines by name: what each takes, layer by layer, on one axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from esnsim.costs.equations import esn_a_x4, esn_d_tilde
from esnsim.machines.base import Activations, MismatchError
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import Described
from esnsim.machines.named.memory import LEVELS, Memory, moved_bits
from esnsim.machines.named.prices import Parts, Prices
from esnsim.machines.named.reads import Reads
from esnsim.machines.named.work import work_of
from esnsim.machines.simulator import NotRun
from esnsim.model.network import Skipped
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork
from esnsim.results import Outcome

COMPUTE = "compute"  # what bounds a layer that waits for no memory
DENSE_BITS = 8  # of the array that figures are relative to: 8-bit by 8-bit multipliers


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a machine took of each layer, exact sums over `images`.

    `moved` are the bits that DRAM moves for each layer of one inference, nothing where there is no
    memory; waiting for them is in `counts`. `parts` are the energies of each layer of one inference
    in pJ by part, nothing where they have no price. `adc_bits` are those of the least converter
    that loses nothing of each layer, of analog machines. `memory` is what is behind the machine,
    its own or that of all, None behind analog ones.
    """

    name: str
    machine: Described
    counts: tuple[Count, ...]
    images: int
    moved: tuple[int, ...] = ()
    parts: tuple[Parts, ...] = ()
    adc_bits: tuple[int, ...] = ()
    memory: Memory | None = None

    @property
    def energy(self) -> Parts:
        """Energy of one inference in pJ by part."""
        names = self.parts[0] if self.parts else ()
        return {name: sum(layer[name] for layer in self.parts) for name in names}

    @property
    def total_pj(self) -> float:
        """Energy of one inference in pJ, 0 without prices."""
        return sum(self.energy.values())

    @property
    def dram_bits(self) -> int:
        """Bits that DRAM moves for one inference."""
        return sum(self.moved)

    @property
    def dram_pj(self) -> float:
        """What DRAM takes for one inference."""
        return self.memory.energy(self.dram_bits) if self.memory else 0.0

    @property
    def total(self) -> Count:
        """All layers."""
        return sum(self.counts, Count())

    @property
    def cycles(self) -> Fraction:
        """Cycles of one inference, for analog machines reads."""
        return self.of_image(self.total.cycles)

    def of_image(self, count: int) -> Fraction:
        """A count over all images, of one inference."""
        return Fraction(count, self.images)

    @property
    def one_bit(self) -> Fraction | None:
        """Cycles × one-bit multipliers of one inference, None of analog machines."""
        multipliers = self.machine.multipliers
        return None if multipliers is None else self.cycles * multipliers

    @property
    def used(self) -> float | None:
        """Active unit-cycles among all, None where none are counted."""
        return self.total.active / self.total.slots if self.total.slots else None

    @property
    def bounds(self) -> tuple[str, ...]:
        """What bounds each layer: its work, or the level of memory that it waits for."""
        return tuple(
            next((level for level in LEVELS if count.idle.get(level)), COMPUTE)
            for count in self.counts
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Outcome):
    """Layers in graph order on machines by name, and what of the network did not run there.

    `memory` is what was put behind all digital machines, `clock` in Hz what they all run at.
    """

    network: QuantizedNetwork
    layers: tuple[QuantizedLayer, ...]
    taken: tuple[Taken, ...]
    not_simulated: tuple[NotRun, ...]
    activations: str
    activation_bits: int
    images: int
    memory: Memory | None = None
    prices: Prices | None = None
    clock: float | None = None

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of one inference of the layers."""
        return sum(q.layer.macs for q in self.layers)

    @property
    def esn_d_tilde(self) -> int:
        """MAC×bit of one inference of the layers (Eq. 7)."""
        return sum(esn_d_tilde(q.sums, "code") * q.layer.macs_per_weight for q in self.layers)

    @property
    def ideal(self) -> int:
        """One-bit MACs of one inference: MAC×bit × bits of an activation."""
        return self.activation_bits * self.esn_d_tilde

    @property
    def dense(self) -> int:
        """The same where each dense MAC takes 8 × 8 of them."""
        return DENSE_BITS**2 * self.macs

    @property
    def ideal_analog(self) -> float | None:
        """What ESNa takes at the node in pJ (Eq. 2), None without a price."""
        cell = self.prices and self.prices.cell
        sums = (esn_a_x4(q.sums) * q.layer.macs_per_weight for q in self.layers)
        return cell * sum(sums) / 4 if cell else None

    @property
    def left_out(self) -> int:
        """Dense multiply-accumulates of the layers that did not run."""
        return sum(item.macs for item in self.not_simulated)

    def rate(self, taken: Taken) -> float | None:
        """Inferences a second at the machine's clock, or digital ones at `clock` Hz: one after the
        other, or where layers are pipelined as often as the slowest is done.
        """
        cycles = taken.cycles
        if isinstance(taken.machine, Reads) and taken.machine.pipelined:
            cycles = taken.of_image(max(count.cycles for count in taken.counts))
        return hertz(taken.machine, self.clock) / float(cycles) if cycles else None

    def of_dense(self, taken: Taken) -> float | None:
        """Times what dense 8-bit MACs take of one-bit ones, None of analog machines."""
        return (
            float(taken.one_bit / self.dense) if taken.one_bit is not None and self.dense else None
        )

    def roofline(self, taken: Taken) -> tuple[float, float] | None:
        """One-bit MACs a bit of DRAM, and a cycle; None where there is no memory, or no work."""
        if not taken.dram_bits or not taken.cycles:
            return None
        return self.ideal / taken.dram_bits, self.ideal / float(taken.cycles)

    def of_ideal(self, taken: Taken) -> float | None:
        """Times what ideal hardware takes: of one-bit MACs, of ESNa on analog machines."""
        if taken.one_bit is not None:
            return float(taken.one_bit / self.ideal) if self.ideal else None
        spent, least = taken.total_pj, self.ideal_analog
        return spent / least if spent and least else None

    def lost(self, taken: Taken) -> dict[str, float]:
        """Where the rest goes: shares of what a machine takes, by cause, that add up to 1.

        Of digital machines unit-cycles that are idle, and "widths": what active ones multiply
        beyond MAC×bit × activation bits, negative where bits are skipped. Of analog ones energy by
        part.
        """
        if taken.one_bit is None:
            spent = taken.total_pj
            return {part: value / spent for part, value in taken.energy.items()} if spent else {}
        if not taken.one_bit:
            return {}
        total, ideal = taken.total, float(self.ideal / taken.one_bit)
        idle = {cause: units / total.slots for cause, units in total.idle.items()}
        return {"ideal": ideal, "widths": 1 - ideal - sum(idle.values())} | idle


class Counter:
    """Machines that take layers one by one, and keep what they took."""

    def __init__(
        self, network: QuantizedNetwork, machines: Mapping[str, Described], bits: int
    ) -> None:
        self.network, self._machines, self._bits = network, machines, bits
        self._layers = list(network.layers)
        self._counts: dict[int, dict[str, Count]] = {}
        self._images: dict[int, int] = {}
        self._adc_bits: dict[tuple[int, str], int] = {}

    @property
    def layers(self) -> list[QuantizedLayer]:
        """All that may be counted: the network's layers, and what was run alone."""
        return self._layers

    def run(
        self, index: int, activations: Activations, layer: QuantizedLayer | None = None
    ) -> None:
        """Count layer `index` on these activations, or another that stands for it on this image.

        Raises UsageError for what does not fit.
        """
        layer = layer or self._layers[index]
        work = work_of(layer, activations, self._bits)
        before = self._counts.setdefault(index, dict.fromkeys(self._machines, Count()))
        for name, machine in self._machines.items():
            if isinstance(machine, Reads) and machine.converts:
                self._adc_bits[index, name] = machine.adc_bits(work)
            before[name] += checked(machine.count(work), layer).times(layer.layer.repeats)
        self._images[index] = self._images.get(index, 0) + work.images

    def run_alone(self, images: Sequence[tuple[QuantizedLayer, Activations]]) -> None:
        """Count what is no layer of the network, as it is on each image."""
        self._layers.append(images[0][0])
        for layer, activations in images:
            self.run(len(self._layers) - 1, activations, layer)

    def comparison(
        self, skipped: Sequence[Skipped], activations: str, memory: Memory | None = None,
        prices: Prices | None = None, clock: float | None = None,
    ) -> Comparison:  # fmt: skip
        """What each machine took, behind a memory, its own or none, and what did not run."""
        order = sorted(self._counts)
        layers = {id(quantized.layer): quantized for quantized in self.network.layers}
        return Comparison(
            network=self.network,
            layers=tuple(self._layers[index] for index in order),
            taken=tuple(self._taken(name, order, memory, prices, clock) for name in self._machines),
            not_simulated=tuple(NotRun(layers[id(item.layer)], item.reason) for item in skipped),
            activations=activations,
            activation_bits=self._bits,
            images=self._images[order[0]],
            memory=memory,
            prices=prices,
            clock=clock,
        )

    def _taken(
        self, name: str, order: Sequence[int], memory: Memory | None, prices: Prices | None,
        clock: float | None,
    ) -> Taken:  # fmt: skip
        machine, images = self._machines[name], self._images[order[0]]
        counts = tuple(self._counts[index][name] for index in order)
        memory = None if machine.multipliers is None else memory or machine.memory
        moved: tuple[int, ...] = ()
        if memory is not None:
            layers, speed = (self._layers[index] for index in order), hertz(machine, clock)
            moved = tuple(moved_bits(memory, machine, layer, self._bits) for layer in layers)
            counts = tuple(
                count + memory.wait(count, images * bits, speed)
                for count, bits in zip(counts, moved, strict=True)
            )
        converts = isinstance(machine, Reads) and machine.converts
        taken = Taken(
            name=name, machine=machine, counts=counts, images=images, moved=moved, memory=memory,
            adc_bits=tuple(self._adc_bits[index, name] for index in order) if converts else (),
        )  # fmt: skip
        return replace(taken, parts=self._parts(taken, prices))

    def _parts(self, taken: Taken, prices: Prices | None) -> tuple[Parts, ...]:
        """Energies of each layer of one inference, with DRAM's behind a memory."""
        if prices is None:
            return ()
        priced = (prices.of(taken.name, taken.machine, c, self._bits) for c in taken.counts)
        found = [
            {name: value / taken.images for name, value in parts.items()}
            for parts in priced if parts is not None
        ]  # fmt: skip
        if len(found) < len(taken.counts):
            return ()
        if taken.memory is not None:
            for parts, bits in zip(found, taken.moved, strict=True):
                parts["DRAM"] = taken.memory.energy(bits)
        return tuple(found)


def hertz(machine: Described, clock: float | None) -> float:
    """Cycles a second: the machine's own, or of digital ones those of a clock."""
    return machine.hertz if machine.multipliers is None or not clock else clock


def checked(count: Count, layer: QuantizedLayer) -> Count:
    """The count. Raises MismatchError unless active and idle unit-cycles are all there are."""
    seen = count.active + sum(count.idle.values())
    if seen != count.slots or min(count.idle.values(), default=0) < 0:
        raise MismatchError(
            f"layer '{layer.layer.name}': unit-cycles were counted as {seen:,} of {count.slots:,}: "
            "a defect of esnsim, please report it with the model"
        )
    return count
