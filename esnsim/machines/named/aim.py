"""What a machine takes of a network, as a metric: cycles@maki, time@bitfusion, energy@isaac."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from esnsim.costs.metric import find_metric
from esnsim.errors import UsageError
from esnsim.machines.base import Activations
from esnsim.machines.files import is_file
from esnsim.machines.named.catalog import machine, read_named
from esnsim.machines.named.description import Described, Ints
from esnsim.machines.named.memories import MEMORIES, find_memory
from esnsim.machines.named.memory import Memory, moved_bits
from esnsim.machines.named.prices import NODES, Prices
from esnsim.machines.named.reads import Reads
from esnsim.machines.named.work import work_of
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork

AT = "@"
QUANTITIES = ("cycles", "time", "energy")  # the last two in µs and pJ
BITS = 8  # of an activation
NODE, ANALOG_NODE = "28nm", "32nm"  # whose prices count unless another is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A quantity of one inference on a machine, on `activations` of 8 bits of each layer, by index.

    Layers without any, which no engine runs, take nothing. Behind a `memory` layers wait for it,
    and energy has what DRAM takes in it.
    """

    quantity: str
    name: str
    machine: Described
    prices: Prices | None
    activations: Mapping[int, Activations]
    memory: Memory | None = None

    #: Costs of filters are whole numbers of so many parts of the quantity's unit.
    PARTS: ClassVar[Mapping[str, float]] = {"cycles": 1 << 16, "time": 1e9, "energy": 1 << 16}

    @property
    def parts(self) -> float:
        """The parts of a unit that costs of filters are counted in."""
        return self.PARTS[self.quantity]

    def of_layer(self, index: int, layer: QuantizedLayer) -> float:
        """What a layer takes."""
        if index not in self.activations:
            return 0.0
        work = work_of(layer, self.activations[index], BITS)
        count, moved = self.machine.count(work), 0
        if self.memory is not None:
            moved = moved_bits(self.memory, self.machine, layer, BITS)
            count += self.memory.wait(count, work.images * moved, self.machine.hertz)
        if self.prices is not None:
            parts = self.prices.of(self.name, self.machine, count, BITS)
            dram = self.memory.energy(moved) if self.memory else 0.0
            return sum((parts or {}).values()) / work.images + dram
        cycles = count.cycles / work.images
        return 1e6 * cycles / self.machine.hertz if self.quantity == "time" else cycles

    def of(self, network: QuantizedNetwork) -> float:
        """What a network takes."""
        return sum(self.of_layer(index, layer) for index, layer in enumerate(network.layers))

    def of_filters(self, index: int, layer: QuantizedLayer) -> Ints:
        """What each filter (M,) of a layer takes, in `parts`: its share of the layer, by its bits.

        Of a machine that charges all filters as the widest of the layer it is shared alike.
        """
        spent = self.of_layer(index, layer) * self.parts
        widths = np.asarray(layer.sums.width_code, np.int64)
        if not self.machine.by_filter:
            widths = np.asarray(widths > 0, np.int64)
        return np.asarray(np.ceil(spent * widths / max(1, int(widths.sum()))), np.int64)


def check_aim(metric: str) -> str:
    """A metric of a machine that there is. Raises UsageError."""
    read_aim(metric, {})
    return metric


def known_metric(metric: str) -> str:
    """A metric of `esnsim.costs.metric`, or of a machine. Raises UsageError."""
    return check_aim(metric) if AT in metric else find_metric(metric)


def read_aim(metric: str, activations: Mapping[int, Activations]) -> Aim:
    """A metric such as energy@isaac, energy@maki@45nm or time@maki@bitsim, on a machine with a name
    or one of a file, whose memory counts; or another memory. Raises UsageError, EsnsimError.
    """
    quantity, name, *behind = metric.split(AT)
    if quantity not in QUANTITIES:
        known = ", ".join(f"{each}{AT}{name or 'maki'}" for each in QUANTITIES)
        raise UsageError(f"'{metric}' is no metric of a machine: give {known}")
    found = read_named(Path(name)) if is_file(name) else machine(name)
    analog = isinstance(found, Reads)
    nodes = [part for part in behind if part in NODES]
    memories = [part for part in behind if part in MEMORIES or is_file(part)]
    strange = [part for part in behind if part not in (*nodes, *memories)]
    if strange or max(len(nodes), len(memories)) > 1:
        known = ", ".join((*NODES, *MEMORIES))
        raise UsageError(
            f"'{metric}': after the machine give a node, a memory or both, of {known}, or a file "
            "of a memory"
        )
    if analog and memories:
        raise UsageError(f"'{metric}': analog machines hold their weights: leave the memory out")
    return Aim(
        quantity=quantity, name=name, machine=found, prices=_prices(metric, analog, nodes),
        activations=activations,
        memory=find_memory(memories[0]) if memories else None if analog else found.memory,
    )  # fmt: skip


def _prices(metric: str, analog: bool, nodes: Sequence[str]) -> Prices | None:
    """Those of a metric of energy, of the node that it names or the usual one."""
    if not metric.startswith(f"energy{AT}"):
        if nodes:
            quantity = metric.partition(AT)[0]
            raise UsageError(f"'{metric}': a node prices energy, not {quantity}: leave it out")
        return None
    node = nodes[0] if nodes else ANALOG_NODE if analog else NODE
    if (NODES[node].conversion is None) == analog:
        raise UsageError(f"'{metric}': {node} has no price for that machine; leave the node out")
    return NODES[node]
