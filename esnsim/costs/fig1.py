"""The machines of the paper's Fig. 1, real and ideal: what the same network costs on each."""

from dataclasses import dataclass

WORDS = (1, 8, 16, 32)  # bits of the words that CPUs and GPUs multiply


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Cost of one inference on each machine, in bit operations; `ideal_analog` in Σ W_int²."""

    cpu: int
    gpu: int
    int8_array: int
    ideal_digital: int
    ideal_analog: float


def word(bits: int) -> int:
    """The narrowest word that holds codes of `bits` bits (0 bits: a word of 1)."""
    return next((w for w in WORDS if bits <= w), 32 * -(-bits // 32))


def cpu_cost(nonzero_macs: int, widest: int) -> int:
    """Serial: only MACs of codes that are not zero cost, each the word of the layer's widest."""
    return nonzero_macs * word(widest)


def gpu_cost(dense_macs: int, widest: int) -> int:
    """Massively parallel: zeros cost as much as the rest; same words."""
    return dense_macs * word(widest)


def int8_array_cost(dense_macs: int, widest: int) -> int:
    """An array of 8-bit multipliers: every width up to 8 costs 8, up to 16 twice as much."""
    return dense_macs * 8 * max(1, -(-widest // 8))
