"""Published numbers and random cross-checks, on the machine that runs them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.schedule import SCHEDULES
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar.engine import AnalogEngine, energy
from esnsim.machines.crossbar.spec import PRESETS, CrossbarSpec
from esnsim.machines.random_layers import random_layer, stored_layer
from esnsim.machines.reference import integer_convolution
from esnsim.model.network import Codes, Geometry
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.quantization.scheme import Scheme
from esnsim.selfcheck import accelerators
from esnsim.selfcheck.accelerators import golden, same

LAYERS = 60  # random layers of the cross-check

#: A name, and a check that raises AssertionError with what was found.
Check = tuple[str, Callable[[], str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found: its detail, or the failure."""

    name: str
    passed: bool
    detail: str
    seconds: float


def run() -> Iterator[Outcome]:
    """Run every check, in order."""
    for name, check in CHECKS:
        start = time.perf_counter()
        try:
            detail, passed = check(), True
        except AssertionError as error:
            detail, passed = str(error), False
        yield Outcome(name, passed, detail, time.perf_counter() - start)


def schedules() -> str:
    """Cycles of the hand-computed layer under each schedule, and its outputs."""
    numbers = golden("schedules")
    layer, x = golden_layer(), golden_activations()
    wanted = integer_convolution(layer, x)
    steps = numbers["array"]["reduction_steps"] * numbers["array"]["window_steps"]
    checked = 0
    for rows, kinds in numbers["rows"].items():
        for kind, expected in kinds.items():
            run = DigitalEngine(ArraySpec(int(rows), 8, 1, kind)).run(layer, x)
            same(f"cycles, {rows} rows, {kind}", run.counts.cycles, expected["plane_steps"] * steps)
            same("MAC×bit", run.counts.active, numbers["mac_bits"])
            same("outputs", bool(np.array_equal(run.outputs, wanted)), True)
            checked += 1
    return f"{checked} arrays: cycles, MAC×bit and outputs"


def crossbar() -> str:
    """The matrix–vector product of CrossSim's analog core, ideal and through 8-bit converters."""
    numbers = golden("crossbar")
    layer, x = crosssim_layer()
    spec = CrossbarSpec(rows=numbers["rows"], columns=2 * numbers["columns"], zero_level=False)
    for bits, name in ((None, "ideal"), (8, "adc_8_bits")):
        engine = AnalogEngine(replace(spec, adc_bits=bits))
        outputs = engine.run(layer, x, np.random.default_rng(0)).outputs
        same(name, np.rint(outputs).astype(int).ravel().tolist(), numbers[name])
    return "outputs of 4 columns, ideal and through 8-bit converters"


def isaac() -> str:
    """A full array of ISAAC, run: its reads and conversions, and their energy."""
    numbers, spec = golden("isaac"), PRESETS["isaac"]
    rows, columns = (numbers["crossbar"][name] for name in ("rows", "columns"))
    rng = np.random.default_rng(0)
    values = rng.integers(-127, 128, (columns // 4, rows))  # 8 bits: four columns of 2-bit cells
    layer = stored_layer(values, Geometry(), Codes(8, False, False, lambda: np.ones(values.shape)))
    x = rng.integers(0, 256, (1, rows))
    counts = AnalogEngine(spec).run(layer, x, rng).counts
    same("reads, one for each bit", counts.array_reads, spec.activation_bits)
    same("conversions of a read", counts.conversions // counts.array_reads, columns)
    spent = energy(counts, spec)
    a_read, share = spent.total / counts.array_reads, spent.adc / spent.total
    derived = numbers["derived"]
    wanted = derived["energy_pj_per_array_read_with_converters"]
    same("pJ of an array read", round(a_read), wanted)
    same("share of converters", round(share, 2), derived["adc_share"])
    return f"{a_read:.0f} pJ an array read, {share:.0%} of it in converters"


def mac_counts() -> str:
    """MACs and weights of the networks that ship with onnx."""
    from esnsim.importer import read_onnx

    origin = getattr(find_spec("onnx"), "origin", None)
    assert origin, "the onnx package is not there"
    folder = Path(origin).parent / "backend" / "test" / "data" / "light"
    counts = golden("mac_counts")["onnx wheel, backend/test/data/light"]
    found = [name for name in counts if (folder / f"{name}.onnx").exists()]
    for name in found:
        layers = read_onnx(folder / f"{name}.onnx").layers
        ours = [sum(layer.macs for layer in layers), sum(layer.weight.size for layer in layers)]
        same(name, ours, counts[name])
    return f"{len(found)} networks of the onnx package, to the unit"


def random_layers() -> str:
    """The kernels against NumPy's integer convolution on layers of random geometry."""
    rng = np.random.default_rng()
    seed = int(rng.integers(1 << 32))
    for index in range(LAYERS):
        _random_layer(np.random.default_rng((seed, index)), f"seed {seed}, layer {index}")
    return f"{LAYERS} layers, three schedules and an ideal crossbar (seed {seed})"


def _random_layer(rng: np.random.Generator, name: str) -> None:
    geometry = _random_geometry(rng)
    filters, channels = (geometry.groups * int(n) for n in rng.integers(1, (12, 80)))
    layer = random_layer(filters, channels, geometry, Scheme(bits=int(rng.integers(1, 9))), rng)
    x = rng.integers(0, 256, (geometry.batch, channels, *geometry.input_size))
    wanted = integer_convolution(layer, x)
    for kind in SCHEDULES:
        rows, lanes, windows = (int(n) for n in rng.integers(1, 20, 3))
        outputs = DigitalEngine(ArraySpec(rows, lanes, windows, kind)).run(layer, x).outputs
        same(f"{name}, {kind}", bool(np.array_equal(outputs, wanted)), True)
    outputs = AnalogEngine(CrossbarSpec(bits_per_cell=2, dac_bits=1)).run(layer, x, rng).outputs
    same(f"{name}, crossbar", bool(np.array_equal(outputs, wanted)), True)


def _random_geometry(rng: np.random.Generator) -> Geometry:
    """A convolution of rank 0 to 3, asymmetric, grouped at times, transposed at times."""
    rank = int(rng.integers(0, 4))

    def sizes(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(n) for n in rng.integers(low, high + 1, rank))

    kernel, dilations, room = sizes(1, 3), sizes(1, 2), sizes(0, 5)
    size = tuple(d * (k - 1) + 1 + n for d, k, n in zip(dilations, kernel, room, strict=True))
    transposed = bool(rank and rng.random() < 0.25)
    most = 1 if transposed else 3  # a transposed convolution cuts its padding off
    pads = tuple((int(a), int(b)) for a, b in rng.integers(0, most, (rank, 2)))
    return Geometry(
        int(rng.integers(1, 4)), size, kernel, sizes(1, 3), dilations, pads,
        int(rng.choice([1, 1, 2, 3])), transposed,
    )  # fmt: skip


def golden_layer() -> QuantizedLayer:
    """The layer of schedules.json: 32 filters of widths 2 + (f mod 7) over 32 channels, 3×3.

    Windows go along x first, as DNNsim has them: rows of the plane are y.
    """
    f, c, i, j = np.indices((32, 32, 3, 3))
    m = (1 << (1 + f % 7)) - 1
    values = ((7 * f + 3 * c + 5 * i + 11 * j) % (2 * m + 1) - m).swapaxes(2, 3)
    geometry = Geometry(1, (8, 8), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    return stored_layer(values, geometry, Codes(8, False, False, lambda: np.ones(values.shape)))


def golden_activations() -> NDArray[np.int64]:
    """The activations (1, 32, 8, 8) of schedules.json."""
    c, x, y = np.indices((32, 8, 8))
    return np.asarray((((13 * c + 5 * x + 3 * y) % 256) >> (c % 4))[None].swapaxes(2, 3))


def crosssim_layer() -> tuple[QuantizedLayer, NDArray[np.int64]]:
    """The weights (4, 16) and the input (1, 16) of crossbar.json."""
    o, k = np.indices((4, 16))
    values = (37 * o + 11 * k + (o * k) % 5) % 255 - 127
    values[0, 0] = 127
    x = 29 * np.arange(16) % 256
    x[3] = 255
    stored = Codes(8, False, False, lambda: np.ones(values.shape))
    return stored_layer(values, Geometry(), stored), x[None]


CHECKS: tuple[Check, ...] = (
    ("schedules of the MAC array (schedules.json)", schedules),
    ("seven machines of DNNsim (dnnsim.json)", accelerators.check_dnnsim),
    ("Bit Fusion's own sweep (bitfusion.json)", accelerators.check_bitfusion),
    ("traces of SCALE-Sim (scalesim.json)", accelerators.check_scalesim),
    ("measured bars of BitWave (bitwave.json)", accelerators.check_bitwave),
    ("BitSim, SCNN, BitTactical, PUMA, BISMO (machines_extra.json)", accelerators.check_others),
    ("Bit Fusion behind its memory (machines_extra.json)", accelerators.check_memory),
    ("headlines of BISMO and ISAAC (headlines.json)", accelerators.check_headlines),
    ("analog core of CrossSim 3.2 (crossbar.json)", crossbar),
    ("energies of ISAAC (isaac.json)", isaac),
    ("MACs of known networks (mac_counts.json)", mac_counts),
    ("kernels against NumPy on random layers", random_layers),
)
