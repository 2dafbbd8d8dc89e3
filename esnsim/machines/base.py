"""What a machine of any kind answers: commands, evaluation and reports ask nothing else.

A kind is a folder: its description (a frozen dataclass that is a `Machine`), its engine, and its
`Result`; `machines.presets` lists the kinds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, dataclass, field, replace
from fractions import Fraction
from math import log10
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from esnsim.costs.equations import esn_a_x4, esn_d_tilde
from esnsim.errors import EsnsimError
from esnsim.model.network import Layer
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.units import Digits


class MismatchError(EsnsimError):
    """What was counted is not what the closed form says: a defect of esnsim."""


class Activations(NamedTuple):
    """Integers of one layer (batch, C, *input_size), their zero point, and whether signed."""

    integers: NDArray[Any]
    zero_point: int = 0
    signed: bool = False


class Operation(NamedTuple):
    """What all energies of a machine are relative to, and its own."""

    name: str
    plural: str
    price: float


class Counts(Protocol):
    """What an engine counted, exactly; sums of two are counts too."""

    def __add__(self, other: Self) -> Self: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(ABC):
    """What layers took on a machine: exact sums over `images`, divided where a figure is read.

    `signal` is Σ y² of the exact outputs y, and `noise` Σ (ŷ − y)² of those that came out.
    """

    layers: tuple[QuantizedLayer, ...]
    images: int
    counts: Counts
    signal: float = 0.0
    noise: float = 0.0

    #: Columns of a table; those of `details` go first where it is too wide, and `compared` are
    #: those by which variants of a machine are told apart.
    headings: ClassVar[tuple[str, ...]]
    details: ClassVar[tuple[str, ...]] = ()
    compared: ClassVar[tuple[str, ...]] = ()

    def add_images(self, other: Self) -> Self:
        """The same layers on the images of both."""
        return replace(self._sum(other), images=self.images + other.images)

    def add_layers(self, other: Self) -> Self:
        """The layers of both on the same images."""
        return replace(self._sum(other), layers=self.layers + other.layers)

    def _sum(self, other: Self) -> Self:
        return replace(
            self,
            counts=self.counts + other.counts,
            signal=self.signal + other.signal,
            noise=self.noise + other.noise,
        )

    def of_image(self, count: float) -> Fraction:
        """A count, or a sum over all images, of one inference."""
        return Fraction(count) / self.images

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of one inference."""
        return sum(layer.layer.macs for layer in self.layers)

    @property
    def esn_d_tilde(self) -> int:
        """MAC×bit of one inference (Eq. 7)."""
        return sum(esn_d_tilde(q.sums, "code") * q.layer.macs_per_weight for q in self.layers)

    @property
    def esn_a_x4(self) -> int:
        """Four times ESNa of one inference (Eq. 2)."""
        return sum(esn_a_x4(q.sums) * q.layer.macs_per_weight for q in self.layers)

    @property
    def mean_bits(self) -> float:
        """Mean width by MACs, of the filters that are not pruned."""
        live = sum(
            int(q.sums.weights[q.sums.width_code > 0].sum()) * q.layer.macs_per_weight
            for q in self.layers
        )
        return self.esn_d_tilde / live if live else 0.0

    @property
    def sqnr(self) -> float | None:
        """Signal to noise of the outputs in dB; None where they are exact."""
        if self.noise > 0 and self.signal > 0:
            return 10 * log10(self.signal / self.noise)
        return None

    @property
    def total_energy(self) -> float:
        """Energy of one inference."""
        return sum(self.energy.values())

    @property
    def over_ideal(self) -> float | None:
        """Times what ideal hardware of the kind takes, None where that is nothing."""
        return self.total_energy / self.ideal_energy if self.ideal_energy else None

    @property
    def cycles(self) -> int | None:
        """Cycles of one inference, None where the machine does not count them."""
        return None

    @property
    @abstractmethod
    def energy(self) -> Mapping[str, float]:
        """Energy of one inference by part, in the machine's unit."""

    @property
    @abstractmethod
    def ideal_energy(self) -> float:
        """The same on ideal hardware of the kind."""

    @abstractmethod
    def check(self) -> None:
        """Raise MismatchError unless the counts are what the closed form says."""

    @abstractmethod
    def columns(self, digits: Digits) -> tuple[str, ...]:
        """What stands under `headings`."""

    @abstractmethod
    def summary(self, digits: Digits) -> list[str]:
        """Lines on the machine and on all layers."""

    @abstractmethod
    def figures(self) -> dict[str, object]:
        """The machine's own keys of a document."""

    def mismatch(self, what: str, counted: int, wanted: int) -> MismatchError:
        """The error for a count that is not the closed form's."""
        name = self.layers[0].layer.name
        return MismatchError(
            f"layer '{name}': {what} was counted as {counted:,} but is {wanted:,} in closed form: "
            "a defect of esnsim, please report it with the model"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """Outputs (batch, M, *output_size) in the digital engine's units, and what they took."""

    outputs: NDArray[Any]
    result: Result


class LayerEngine(Protocol):
    """A layer made ready for a machine, which all its runs share."""

    def observe(self, activations: Activations) -> None:
        """Take calibration activations in, on a machine that calibrates."""

    def run(self, activations: Activations) -> Run:
        """The layer on integers of the machine's width."""


class Machine(Protocol):
    """The description of a machine."""

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def activation_bits(self) -> int:
        """Bits of an activation."""

    @property
    def priced(self) -> bool:
        """Whether energies are in pJ."""

    @property
    def calibrates(self) -> bool:
        """Whether ranges are set by activations that are observed before a run."""

    @property
    def noisy(self) -> bool:
        """Whether errors or noise are drawn."""

    @property
    def size(self) -> str:
        """Its dimensions in words."""

    @property
    def variant(self) -> str:
        """The choice in which machines of its kind differ, if there is one."""

    @property
    def operation(self) -> Operation:
        """What energies are relative to."""

    @property
    def ideal_formula(self) -> str:
        """`ideal_energy` in words."""

    def prepare(self, layer: QuantizedLayer, seed: Sequence[int], threads: int) -> LayerEngine:
        """A layer made ready; `seed` is of its errors and its noise."""

    def ideal_energy(self, amplitude_x4: int, mac_bits: int) -> float:
        """What ideal hardware of the kind spends on so much of 4·ESNa and of ESNd~."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A field of a machine that the command line sets, and `sets` with it; `whole` are numbers, or
    one of `words`. It means nothing to a machine whose field `needs` is None.
    """

    field: str
    help: str
    choices: Collection[str] = ()
    whole: bool = False
    words: Collection[str] = ()
    sets: tuple[tuple[str, object], ...] = ()
    needs: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of machine: its description, the ones with names, and what options set of it.

    `prices` are energies, in the unit of the first; `unlisted` ones only a file sets. `compare`
    names a field of which `--compare` runs all choices. `clocked` machines have speeds.
    """

    describe: Callable[[], Machine]
    presets: Mapping[str, Machine]
    default: str
    options: tuple[Option, ...]
    prices: tuple[Option, ...]
    unlisted: tuple[Option, ...] = ()
    compare: Mapping[str, str] = field(default_factory=dict)
    clocked: bool = False


def unit_of(machine: Machine) -> str:
    """The unit of a machine's energies."""
    if machine.priced:
        return "pJ"
    name, plural, price = machine.operation
    return plural if price == 1 else f"units of which a {name} takes {price:g}"


def random_activations(layer: QuantizedLayer, bits: int, seed: Sequence[int]) -> Activations:
    """Uniform unsigned integers for one inference of a layer, where there are no images to run."""
    return random_integers(layer.layer, bits, seed)


def random_integers(layer: Layer, bits: int, seed: Sequence[int]) -> Activations:
    """The same for a layer that is not quantised."""
    geometry, rng = layer.geometry, np.random.default_rng(seed)
    shape = (geometry.rows, len(layer.channels), *geometry.input_size)
    return Activations(rng.integers(0, 1 << bits, shape, np.uint8 if bits <= 8 else np.uint16))
