"""What machines count beside cycles, because it has a price: events, by name (docs/machines.md)."""

import numpy as np

from esnsim.machines.named.description import Described
from esnsim.machines.named.work import Groups, Work

#: Of a machine of lanes: registers of weights, each cycle, and of activations, each step.
REGISTER_CYCLES, REGISTER_STEPS = "weight-register cycles", "activation-register steps"
#: Bits that a buffer gives or takes. A partial sum that is put away is two: written, and read.
BUFFER = WEIGHTS, INPUTS, OUTPUTS, PARTIAL_SUMS = (
    "weight bits", "input bits", "output bits", "partial-sum bits",
)  # fmt: skip
#: Of an analog machine. Over the cells of all reads: Σ (2·W)², and Σ x²·G.
READS, DRIVES, CONVERSIONS = "array reads", "row drives", "conversions"
AMPLITUDE, INPUT_POWER = "amplitude x4", "input power"

ACCUMULATOR_BITS = 32  # of a partial sum


def stored_bits(machine: Described, work: Work, alike: Groups) -> int:
    """Bits of the weights of these groups as the machine stores them, mask planes with them."""
    widths = np.append(alike.widths.ravel(), work.width)  # whole weights are as wide as the layer's
    planes = alike.masks.shape[0] * alike.masks.shape[1] if machine.masks else 0
    return alike.reduction * (int(machine.stored_widths(widths)[:-1].sum()) + planes)


def output_bits(work: Work, alike: Groups) -> int:
    """Bits of the outputs of these groups, as wide as activations."""
    return work.activation_bits * len(work.base) * alike.widths.size
