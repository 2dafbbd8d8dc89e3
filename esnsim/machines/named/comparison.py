"""A network on many machines by name: what each takes, layer by layer, on one axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from esnsim.costs.equations import esn_d_tilde
from esnsim.machines.base import Activations, MismatchError
from esnsim.machines.named.description import Count, Described
from esnsim.machines.named.memory import MEMORY, Memory, moved_bits
from esnsim.machines.named.work import work_of
from esnsim.machines.simulator import NotRun
from esnsim.model.network import Skipped
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork
from esnsim.results import Outcome

DENSE_BITS = 8  # of the array that figures are relative to: 8-bit by 8-bit multipliers


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a machine took of each layer, exact sums over `images`.

    `moved` are the bits that DRAM moves for each layer of one inference, nothing where there is no
    memory; waiting for them is in `counts`.
    """

    name: str
    machine: Described
    counts: tuple[Count, ...]
    images: int
    moved: tuple[int, ...] = ()

    @property
    def total(self) -> Count:
        """All layers."""
        return sum(self.counts, Count())

    @property
    def cycles(self) -> Fraction:
        """Cycles of one inference, for analog machines reads."""
        return Fraction(self.total.cycles, self.images)

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
    def waits_for(self) -> tuple[str, float] | None:
        """The cause for which most unit-cycles are idle, and their share of all."""
        total = self.total
        cause = max(total.idle, key=lambda name: total.idle[name], default=None)
        if cause is None or not total.idle[cause]:
            return None
        return cause, total.idle[cause] / total.slots

    @property
    def waiting(self) -> tuple[bool, ...]:
        """Of each layer, whether it waits for DRAM: memory bounds it, and not its work."""
        return tuple(count.idle.get(MEMORY, 0) > 0 for count in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Outcome):
    """Layers in graph order on machines by name, and what of the network did not run there."""

    network: QuantizedNetwork
    layers: tuple[QuantizedLayer, ...]
    taken: tuple[Taken, ...]
    not_simulated: tuple[NotRun, ...]
    activations: str
    activation_bits: int
    images: int
    memory: Memory | None = None

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


class Counter:
    """Machines that take layers one by one, and keep what they took."""

    def __init__(
        self, network: QuantizedNetwork, machines: Mapping[str, Described], bits: int
    ) -> None:
        self.network, self._machines, self._bits = network, machines, bits
        self._counts: dict[int, dict[str, Count]] = {}
        self._images: dict[int, int] = {}

    def run(self, index: int, activations: Activations) -> None:
        """Count layer `index` on these activations. Raises UsageError for what does not fit."""
        layer = self.network.layers[index]
        work = work_of(layer, activations, self._bits)
        before = self._counts.setdefault(index, dict.fromkeys(self._machines, Count()))
        for name, machine in self._machines.items():
            before[name] += checked(machine.count(work), layer)
        self._images[index] = self._images.get(index, 0) + work.images

    def comparison(
        self, skipped: Sequence[Skipped], activations: str, memory: Memory | None = None
    ) -> Comparison:
        """What each machine took, behind a memory or none, and the layers that did not run."""
        order = sorted(self._counts)
        layers = {id(quantized.layer): quantized for quantized in self.network.layers}
        return Comparison(
            network=self.network,
            layers=tuple(self.network.layers[index] for index in order),
            taken=tuple(self._taken(name, order, memory) for name in self._machines),
            not_simulated=tuple(NotRun(layers[id(item.layer)], item.reason) for item in skipped),
            activations=activations,
            activation_bits=self._bits,
            images=self._images[order[0]],
            memory=memory,
        )

    def _taken(self, name: str, order: Sequence[int], memory: Memory | None) -> Taken:
        machine, images = self._machines[name], self._images[order[0]]
        counts = tuple(self._counts[index][name] for index in order)
        if memory is None or machine.multipliers is None:
            return Taken(name=name, machine=machine, counts=counts, images=images)
        layers = (self.network.layers[index] for index in order)
        moved = tuple(moved_bits(memory, machine, layer, self._bits) for layer in layers)
        waiting = (memory.wait(c, images * bits) for c, bits in zip(counts, moved, strict=True))
        both = tuple(a + b for a, b in zip(counts, waiting, strict=True))
        return Taken(name=name, machine=machine, counts=both, images=images, moved=moved)


def checked(count: Count, layer: QuantizedLayer) -> Count:
    """The count. Raises MismatchError unless active and idle unit-cycles are all there are."""
    seen = count.active + sum(count.idle.values())
    if seen != count.slots or min(count.idle.values(), default=0) < 0:
        raise MismatchError(
            f"layer '{layer.layer.name}': unit-cycles were counted as {seen:,} of {count.slots:,}: "
            "a defect of esnsim, please report it with the model"
        )
    return count
