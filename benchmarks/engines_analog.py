"""The crossbar against one in plain NumPy, and against CrossSim's analog core."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Spread, check, interleave, run, spread, timed, turns
from esnsim.machines.crossbar.converters import Converter
from esnsim.machines.crossbar.engine import AnalogEngine
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.machines.windows import addresses, padded_pixels
from esnsim.quantization.quantizer import codes

Clock = Callable[[], float]

ROUNDS = 3
#: 128 × 128 pairs of cells with CrossSim's 8-bit converters: whole weights and activations; sliced
#: as ISAAC.
WHOLE = CrossbarSpec(128, 256, adc_bits=8, zero_level=False, exponent=None)
SLICED = replace(WHOLE, bits_per_cell=2, dac_bits=1, adc_range="granular")


def analog(
    tasks: Sequence[Any], threads: int, crosssim: str | None, folder: Path, clock: Clock
) -> dict[str, Any]:
    """Seconds of every shape of layers under both settings, and of CrossSim under the first."""
    return {
        "whole": [compare(task, WHOLE, threads, crosssim, folder, clock) for task in tasks],
        "sliced": [compare(task, SLICED, threads, None, folder, clock) for task in tasks],
    }


def compare(
    task: Any,
    spec: CrossbarSpec,
    threads: int,
    crosssim: str | None,
    folder: Path,
    clock: Clock,
) -> dict[str, Any]:
    """Ours and NumPy's, in turns and checked; CrossSim's where rows fill arrays."""
    engine, rng = AnalogEngine(spec, threads), np.random.default_rng(0)
    crossbar = engine.prepare(task.layer, rng)
    converter = engine.converter(crossbar)
    matrix, patches = as_matrices(task)
    outputs: dict[str, Any] = {}

    def ours() -> None:
        done = engine.run(task.layer, task.x, rng, crossbar=crossbar, converter=converter)
        outputs["ours"] = done.outputs

    def theirs() -> None:
        outputs["numpy"] = in_numpy(matrix, patches, spec, converter)

    jobs = {
        "ours": timed(ours, 2, clock),
        "numpy": timed(theirs, 2, clock),
    }  # threads of BLAS spin a while
    interleave(jobs, 1)
    agree(task, outputs["ours"].reshape(outputs["numpy"].shape), outputs["numpy"], converter)
    result = {"title": task.title, "count": task.count} | turns(jobs, ROUNDS)
    if crosssim is not None and matrix.shape[1] % spec.rows == 0:
        result["crosssim"] = in_crosssim(crosssim, matrix, patches, folder, clock)
        theirs_out = np.load(folder / "outputs.npy")
        agree(task, outputs["ours"].reshape(theirs_out.shape), theirs_out, converter)
    return result


def as_matrices(task: Any) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Codes (M, K) and patches (K, windows), K as taps × channels; for ungrouped layers."""
    geometry = task.layer.layer.geometry
    q = codes(task.layer)
    matrix = q.reshape(*q.shape[:2], -1).swapaxes(1, 2).reshape(len(q), -1)
    base, offsets = addresses(geometry, 1)
    every = (np.arange(q.shape[1]),)
    values = padded_pixels(geometry, task.x, 0, every)[0, : q.shape[1]]
    patches = np.concatenate([values[:, base + offset] for offset in offsets])
    return matrix, patches


def in_numpy(
    matrix: NDArray[np.int32], patches: NDArray[np.int32], spec: CrossbarSpec, converter: Converter
) -> NDArray[np.float64]:
    """A crossbar in a few lines: slices of weights and activations, arrays of rows, a converter."""
    size = np.abs(matrix).max()
    cell = spec.bits_per_cell or int(size).bit_length()
    width = spec.dac_bits or spec.activation_bits
    out = np.zeros((len(matrix), patches.shape[1]))
    for low in range(0, int(size).bit_length(), cell):
        digits = (np.sign(matrix) * (np.abs(matrix) >> low & (1 << cell) - 1)).astype(np.float32)
        for bit in range(0, spec.activation_bits, width):
            driven = (patches >> bit & (1 << width) - 1).astype(np.float32)
            for row in range(0, matrix.shape[1], spec.rows):
                part = digits[:, row : row + spec.rows]
                scale = part.shape[1] if converter.per_row else 1
                step, shift = float(converter.step) * scale, float(converter.shift) * scale
                code = np.rint((part @ driven[row : row + spec.rows] - shift) / np.float32(step))
                np.clip(code, converter.first, converter.last, out=code)
                out += (shift + step * code) * 2.0 ** (low + bit)
    return out


def agree(task: Any, ours: NDArray[Any], theirs: NDArray[Any], converter: Converter) -> None:
    """Raise where more than a few outputs differ: float32 rounds ties of sums its own way."""
    apart = np.abs(ours - theirs) > 0.1 * float(converter.step)
    check(apart.mean() <= 0.02, f"{task.title}: {apart.mean():.1%} of the outputs differ")


def in_crosssim(
    python: str, matrix: NDArray[np.int32], patches: NDArray[np.int32], folder: Path, clock: Clock
) -> Spread:
    """Seconds of CrossSim's product, in a process of its own."""
    np.save(folder / "matrix.npy", matrix)
    np.save(folder / "patches.npy", patches)
    script = Path(__file__).parent / "crosssim.py"
    done = run((python, str(script), str(folder), str(ROUNDS), clock.__name__), folder, os.environ)
    if done.code:
        raise RuntimeError(f"CrossSim failed: {done.failure}")
    return spread(json.loads(done.output.splitlines()[-1]))
