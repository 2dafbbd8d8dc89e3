"""DRAM behind a machine: bits that a layer moves, and the cycles in which it waits for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, inf, isfinite, prod

from esnsim.errors import UsageError
from esnsim.machines.lowering import needs_mask
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import Described, check_sizes
from esnsim.machines.named.events import INPUTS, OUTPUTS, PARTIAL_SUMS, WEIGHTS
from esnsim.quantization.quantizer import QuantizedLayer

MOST_BYTES = 1 << 50  # of a buffer
MOST_BITS = 1 << 32  # a cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Buffers of `weights` and `activations` bytes in front of DRAM of `dram_bits` a cycle.

    Where `dram_rate` is given DRAM moves so many bytes a second instead, whatever the clock of the
    machine in front of it. Weights move once for each image, inputs and outputs where they do not
    fit their buffer together. Where neither weights nor inputs fit theirs, one of them moves again
    for each buffer full of the other, whichever is less (BitSim's rule). A bit moved takes
    `dram_pj` pJ.

    Buffers give or take `*_port` bits a cycle; None is as many as are asked for. Transfers overlap
    with the work: a layer takes as long as the longest of its work and of both levels.
    """

    source: str = "your own"
    weights: int
    activations: int
    dram_bits: int | None = None
    dram_pj: float
    dram_rate: float | None = None
    weight_port: int | None = None
    input_port: int | None = None
    output_port: int | None = None

    def __post_init__(self) -> None:
        if (self.dram_bits is None) == (self.dram_rate is None):
            raise UsageError("DRAM gives so many bits a cycle, or bytes a second: give one of both")
        ports = ("dram_bits", "weight_port", "input_port", "output_port")
        given = [name for name in ports if getattr(self, name) is not None]
        check_sizes(self, dict.fromkeys(given, 1), MOST_BITS, "a memory")
        check_sizes(self, {"weights": 1, "activations": 1}, MOST_BYTES, "a memory")
        if self.dram_rate is not None and not 0 < self.dram_rate < inf:
            raise UsageError(f"DRAM of {self.dram_rate} bytes a second: give more than 0")
        if not (isfinite(self.dram_pj) and self.dram_pj >= 0):
            raise UsageError(f"DRAM of {self.dram_pj} pJ a bit: give 0 or more")

    def bits_a_cycle(self, hertz: float) -> Fraction:
        """What DRAM moves in a cycle of a machine of this clock."""
        if self.dram_rate is None:
            return Fraction(self.dram_bits or 0)
        return 8 * Fraction(self.dram_rate) / Fraction(hertz)

    def traffic(self, weights: int, inputs: int, outputs: int) -> int:
        """Bits that DRAM moves for a layer, of the bits of its weights, inputs and outputs."""
        weight_buffer, buffer = 8 * self.weights, 8 * self.activations
        moved = weights if inputs + outputs <= buffer else weights + inputs + outputs
        if weights > weight_buffer and inputs > buffer:
            again = (
                weights * (-(-inputs // buffer) - 1),
                inputs * (-(-weights // weight_buffer) - 1),
            )
            moved += min(again)
        return moved

    def energy(self, moved: int) -> float:
        """Energy in pJ of moving bits of DRAM."""
        return moved * self.dram_pj

    def wait(self, count: Count, moved: int, hertz: float = 1.0) -> Count:
        """What the layer takes more than its work, its units idle, while bits are moved."""
        buffer, dram = self.buffer_cycles(count.events), ceil(moved / self.bits_a_cycle(hertz))
        more = max(0, buffer - count.cycles, dram - count.cycles)
        level = MEMORY if dram >= buffer else BUFFER
        units = count.slots // count.cycles if count.cycles else 0
        return Count(cycles=more, slots=units * more, idle={level: units * more})

    def buffer_cycles(self, events: Mapping[str, int]) -> int:
        """Cycles in which the port that is asked for most gives or takes its bits."""
        asked = (
            (self.weight_port, (WEIGHTS,)),
            (self.input_port, (INPUTS,)),
            (self.output_port, (OUTPUTS, PARTIAL_SUMS)),
        )
        times = (
            -(-sum(events.get(name, 0) for name in names) // port)
            for port, names in asked if port is not None
        )  # fmt: skip
        return max(times, default=0)


#: The level of memory for which units are idle: DRAM, or the buffer before it.
LEVELS = MEMORY, BUFFER = "memory", "buffer"


def moved_bits(
    memory: Memory, machine: Described, layer: QuantizedLayer, activation_bits: int
) -> int:
    """Bits of one inference that DRAM moves: live weights as the machine stores them, live inputs,
    outputs of filters that are not pruned.
    """
    geometry, sums = layer.layer.geometry, layer.sums
    widths = machine.stored_widths(sums.width_code)
    if machine.masks:
        widths = widths + needs_mask(layer)
    inputs = geometry.rows * int(layer.live.sum()) * prod(geometry.input_size)
    outputs = geometry.rows * int((sums.width_code > 0).sum()) * prod(geometry.output_size)
    return memory.traffic(
        int((sums.weights * widths).sum()), activation_bits * inputs, activation_bits * outputs
    )
