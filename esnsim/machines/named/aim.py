"""What a machine takes of a network, as a metric: cycles@maki, time@bitfusion, energy@isaac."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from esnsim.costs.metric import find_metric
from esnsim.errors import UsageError
from esnsim.machines.base import Activations
from esnsim.machines.named.catalog import machine
from esnsim.machines.named.description import Described, Ints
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

    Layers without any, which no engine runs, take nothing. Weights do not wait for memory.
    """

    quantity: str
    name: str
    machine: Described
    prices: Prices | None
    activations: Mapping[int, Activations]

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
        count = self.machine.count(work)
        if self.prices is not None:
            parts = self.prices.of(self.name, self.machine, count, BITS)
            return sum((parts or {}).values()) / work.images
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
    """A metric such as energy@isaac or energy@maki@45nm. Raises UsageError."""
    quantity, _, rest = metric.partition(AT)
    name, _, node = rest.partition(AT)
    if quantity not in QUANTITIES:
        known = ", ".join(f"{each}{AT}{name or 'maki'}" for each in QUANTITIES)
        raise UsageError(f"'{metric}' is no metric of a machine: give {known}")
    found = machine(name)
    analog = isinstance(found, Reads)
    prices = None
    if quantity == "energy":
        node = node or (ANALOG_NODE if analog else NODE)
        if node not in NODES:
            raise UsageError(f"no node '{node}': use one of {', '.join(NODES)}")
        prices = NODES[node]
        if (prices.conversion is None) == analog:
            raise UsageError(f"'{metric}': {node} has no price for {name}; leave the node out")
    elif node:
        raise UsageError(f"'{metric}': a node prices energy, not {quantity}: leave it out")
    return Aim(quantity=quantity, name=name, machine=found, prices=prices, activations=activations)
