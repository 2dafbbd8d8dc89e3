"""A memory cell: its range of conductances, and the errors with which it is written."""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.crossbar.spec import CrossbarSpec


@dataclass(frozen=True, slots=True)
class Device:
    """A cell of a crossbar that holds whole numbers of `bits` bits.

    Conductances are in steps of a cell: a value v has v + residual.
    """

    spec: CrossbarSpec
    bits: int

    @property
    def full(self) -> int:
        """The largest value."""
        return (1 << self.bits) - 1

    @property
    def residual(self) -> float:
        """The conductance at zero. With ideal converters it cancels, and is left out."""
        ratio = self.spec.on_off_ratio
        return 0.0 if ratio is None or self.spec.exact else self.full / (ratio - 1)

    @property
    def largest(self) -> float:
        """The conductance of the largest value."""
        return self.full + self.residual

    @property
    def leaks(self) -> bool:
        """Whether the residual conductance reaches the converter: pairs cancel it."""
        return self.residual > 0 and self.spec.sign == "offset"

    @property
    def product(self) -> float:
        """The largest product of a cell and an input that reaches the converter.

        In the mean of a column: of cells that may be inverted half of them are full at most.
        """
        most = self.full / 2 if self.spec.flip else self.full
        return (most + self.residual * self.leaks) * ((1 << self.spec.input_bits) - 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of conductances as `write` gives them."""
        if self.leaks or self.spec.programming_error > 0:
            return np.dtype(np.float32)
        return np.min_scalar_type(-self.full)

    @property
    def read_noise(self) -> float:
        """σ of the product with an input of 1, in steps; the noises of a pair add up."""
        return self.spec.read_noise * self.largest * sqrt(self.spec.cells_per_weight)

    def write(self, digits: NDArray[np.int32], rng: np.random.Generator) -> NDArray[Any]:
        """Conductances (columns, K) of values, of which a pair holds the two signs."""
        if not self.spec.programming_error:
            return digits + np.float32(self.residual) if self.leaks else digits
        signs = (1, -1)[: self.spec.cells_per_weight]
        noise = rng.standard_normal((len(digits), len(signs), digits.shape[1]), np.float32)
        out = np.zeros(digits.shape, np.float32)
        for side, sign in enumerate(signs):
            cell = np.maximum(sign * digits, 0) + np.float32(self.residual)
            spread = cell if self.spec.proportional else np.float32(self.largest)
            out += sign * (cell + self.spec.programming_error * spread * noise[:, side])
        return out
