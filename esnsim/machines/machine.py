"""A network on a machine: layers run on integer activations, counted, checked and priced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import EsnsimError
from esnsim.machines.array.engine import Counts, DigitalEngine, Run
from esnsim.machines.array.program import Program
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar.cells import Crossbar
from esnsim.machines.crossbar.converters import Converter
from esnsim.machines.crossbar.engine import AnalogCounts, AnalogEngine
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork

Spec = ArraySpec | CrossbarSpec
#: Integers of one layer (batch, C, *input_size), their zero point, and whether they are signed.
Activations = tuple[NDArray[Any], int, bool]


class MismatchError(EsnsimError):
    """What was counted is not what the closed form says: a defect of esnsim."""


@dataclass(frozen=True, slots=True)
class LayerRun:
    """What a layer took for `images` inferences.

    `closed_form` is MAC×bit of one inference at the array's widths. For analog machines `signal`
    is Σ y² of the exact outputs y and `noise` Σ (ŷ − y)² of those that came out.
    """

    quantized: QuantizedLayer
    counts: Counts | AnalogCounts
    images: int
    closed_form: int
    signal: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True, slots=True)
class Simulation:
    """Layers in graph order on a machine; `activations` says where theirs came from."""

    network: QuantizedNetwork
    spec: Spec
    layers: tuple[LayerRun, ...]
    images: int
    activations: str
    not_simulated: tuple[tuple[str, str], ...] = ()
    accuracy: "Accuracy | None" = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 of an end-to-end run beside the float model's, of `images`.

    Without labels both are None, and `agreement` is the share of images where the two agree.
    """

    images: int
    simulated: float | None
    float_model: float | None
    agreement: float


class Machine:
    """An engine that keeps what layers have in common from run to run, and adds up counts.

    Layers are told apart by their index in the network. With the same seed, analog errors and
    noise are the same whatever else runs.
    """

    def __init__(
        self, network: QuantizedNetwork, spec: Spec, threads: int = 0, seed: int = 0
    ) -> None:
        self.network, self.spec = network, spec
        self._exact = DigitalEngine(
            spec
            if isinstance(spec, ArraySpec)
            else ArraySpec(activation_bits=spec.activation_bits),
            threads,
        )
        self._analog = None if isinstance(spec, ArraySpec) else AnalogEngine(spec, threads)
        self._programs: dict[int, Program] = {}
        self._crossbars: dict[int, tuple[Crossbar, np.random.Generator]] = {}
        self._sums: dict[int, NDArray[np.int64]] = {}
        self._converters: dict[int, Converter] = {}
        self._runs: dict[int, LayerRun] = {}
        self._seed = seed

    def run(self, index: int, activations: Activations) -> Any:
        """Run layer `index`; the engine's run, whose counts are added up here."""
        layer, images = self.network.layers[index], len(activations[0])
        images //= layer.layer.geometry.batch
        exact = self._run_exactly(index, activations)
        if self._analog is None:
            self._add(LayerRun(layer, exact.counts, images, closed_form(layer, self.spec)), index)
            return exact
        x, zero_point, signed = activations
        crossbar, rng = self._crossbar(index, self._analog)
        if index not in self._converters:
            self._converters[index] = self._analog.converter(crossbar, self._sums.get(index))
        run = self._analog.run(layer, x, rng, zero_point, signed, crossbar, self._converters[index])
        wanted = exact.outputs.astype(np.float64)
        signal, noise = float((wanted**2).sum()), float(((run.outputs - wanted) ** 2).sum())
        form = closed_form(layer, self.spec)
        self._add(LayerRun(layer, run.counts, images, form, signal, noise), index)
        return run

    @property
    def calibrates(self) -> bool:
        """Whether converters take their ranges from activations that `observe` is given."""
        spec = self.spec
        if isinstance(spec, ArraySpec) or spec.adc_bits is None:
            return False
        return spec.adc_range == "calibrated"

    def observe(self, index: int, activations: Activations) -> None:
        """Add calibration activations of layer `index` to those that set its converters' range."""
        assert self._analog is not None
        crossbar, _ = self._crossbar(index, self._analog)
        found = self._analog.observe(crossbar, *activations)
        self._sums[index] = self._sums.get(index, 0) + found

    def runs(self) -> tuple[LayerRun, ...]:
        """What each layer that ran took, in graph order. Raises MismatchError."""
        found = tuple(self._runs[index] for index in sorted(self._runs))
        for run in found:
            check(run, self.spec)
        return found

    def _crossbar(self, index: int, engine: AnalogEngine) -> tuple[Crossbar, np.random.Generator]:
        if index not in self._crossbars:
            rng = np.random.default_rng((self._seed, index))
            self._crossbars[index] = engine.prepare(self.network.layers[index], rng), rng
        return self._crossbars[index]

    def _run_exactly(self, index: int, activations: Activations) -> Run:
        layer = self.network.layers[index]
        if index not in self._programs:
            self._programs[index] = self._exact.prepare(layer)
        x, zero_point, signed = activations
        return self._exact.run(layer, x, zero_point, signed, self._programs[index])

    def _add(self, run: LayerRun, index: int) -> None:
        before = self._runs.get(index)
        self._runs[index] = run if before is None else _sum(before, run)


def closed_form(layer: QuantizedLayer, spec: Spec) -> int:
    """Σ_m MAC_m · b_m of one inference (Eq. 7), widths rounded up as the array does."""
    step = spec.width_step if isinstance(spec, ArraySpec) else 1
    widths = -(-layer.sums.width_code // step) * step
    return int((layer.sums.weights * widths).sum()) * layer.layer.geometry.windows


def check(run: LayerRun, spec: Spec) -> None:
    """Raise MismatchError unless the walk over the tiles counted what the closed form says."""
    name = run.quantized.layer.name
    if isinstance(run.counts, Counts):
        counted, wanted, what = run.counts.active, run.closed_form * run.images, "MAC×bit"
    elif isinstance(spec, CrossbarSpec) and spec.ideal_amplitude:
        counted = int(run.counts.amplitude or 0)
        squares = int(run.quantized.sums.squares_x4.sum())
        wanted = squares * run.quantized.layer.geometry.windows * run.images
        what = "4·ESNa"
    else:
        return
    if counted != wanted:
        raise MismatchError(
            f"layer '{name}': {what} was counted as {counted:,} but is {wanted:,} in closed form: "
            "a defect of esnsim, please report it with the model"
        )


def random_activations(layer: QuantizedLayer, bits: int, seed: Sequence[int]) -> Activations:
    """Uniform unsigned integers for one inference of a layer, where there are no images to run."""
    geometry, rng = layer.layer.geometry, np.random.default_rng(seed)
    shape = (geometry.batch, len(layer.layer.channels), *geometry.input_size)
    return rng.integers(0, 1 << bits, shape, np.uint8 if bits <= 8 else np.uint16), 0, False


def _sum(a: LayerRun, b: LayerRun) -> LayerRun:
    totals: Mapping[str, Any] = {
        field.name: _plus(getattr(a.counts, field.name), getattr(b.counts, field.name))
        for field in fields(a.counts)
    }
    return replace(
        a,
        counts=type(a.counts)(**totals),
        images=a.images + b.images,
        signal=a.signal + b.signal,
        noise=a.noise + b.noise,
    )


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b
