"""DRAM behind a machine: bits that a layer moves, and the cycles in which it waits for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from esnsim.errors import UsageError
from esnsim.machines.lowering import needs_mask
from esnsim.machines.named.description import Count, Described
from esnsim.machines.named.events import INPUTS, OUTPUTS, PARTIAL_SUMS, WEIGHTS
from esnsim.quantization.quantizer import QuantizedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Buffers of `weights` and `activations` bytes in front of DRAM of `dram_bits` a cycle.

    Weights move once for each image, inputs and outputs where they do not fit their buffer
    together. Where neither weights nor inputs fit theirs, one of them moves again for each buffer
    full of the other, whichever is less (BitSim's rule). A bit moved takes `dram_pj` pJ.

    Buffers give or take `*_port` bits a cycle; None is as many as are asked for. Transfers overlap
    with the work: a layer takes as long as the longest of its work and of both levels.
    """

    source: str
    weights: int
    activations: int
    dram_bits: int
    dram_pj: float
    weight_port: int | None = None
    input_port: int | None = None
    output_port: int | None = None

    def traffic(self, weights: int, inputs: int, outputs: int) -> int:
        """Bits that DRAM moves for a layer of so many bits of each."""
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
        """What so many bits take, in pJ."""
        return moved * self.dram_pj

    def wait(self, count: Count, moved: int) -> Count:
        """What the layer takes more than its work, its units idle, while bits are moved."""
        buffer, dram = self.buffer_cycles(count.events), -(-moved // self.dram_bits)
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

MEMORIES: Mapping[str, Memory] = {
    "bitsim": Memory(
        source="yc2367/BitSim@6845fad: 288 + 256 KB, 128 bits a cycle, 1,000 pJ a 64 bits",
        weights=288 << 10, activations=256 << 10, dram_bits=128, dram_pj=15.625,
    ),
    "bitfusion": Memory(
        source="hsharma35/bitfusion@04ec1c8: 64 + 48 KB (32 of inputs, 16 of outputs, here taken "
        "together), 192 bits a cycle, 15 pJ a bit as in its code (its comment says 6); 512, 16 and "
        "32 banks of 32 bits",
        weights=64 << 10, activations=48 << 10, dram_bits=192, dram_pj=15.0,
        weight_port=512 * 32, input_port=16 * 32, output_port=32 * 32,
    ),
}  # fmt: skip


def find_memory(name: str) -> Memory:
    """The memory of a name. Raises UsageError."""
    if name not in MEMORIES:
        raise UsageError(f"no memory '{name}': use one of {', '.join(MEMORIES)}")
    return MEMORIES[name]


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
