"""The passes over the weights against the memory's read bandwidth, in one process.

`python -m benchmarks.bandwidth MODEL ROUNDS ENGINE`, ENGINE being numba or numpy, prints as JSON
the bytes per second of each round: of a plain sum over an array far larger than any cache, of
the fused pass (`esnsim_kernels.midrise.statistics`, or NumPy's form of it) and of the search
for the largest weight, both as `esnsim.quantize` runs them, and in as many threads.
"""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
from numba import njit
from numpy.typing import NDArray

import esnsim
from benchmarks.harness import check, interleave, timed
from esnsim.quantization import rules as steps
from esnsim.quantization import weight_kernels as passes
from esnsim.quantization.filter_sums import midrise_sums
from esnsim.quantization.quantizer import QuantizedLayer

READ = 1 << 30  # bytes


@njit(nogil=True, fastmath=True)
def _sum(values):  # type: ignore[no-untyped-def]
    total = 0.0
    for index in range(values.shape[0]):
        total += values[index]
    return total


def reader() -> Callable[[], None]:
    """A function that reads an array of `READ` bytes in as many threads as there are cores."""
    threads = cpu_count() or 1
    values = np.ones(READ // 4, np.float32)
    parts: list[NDArray[np.float32]] = np.array_split(values, threads)
    pool = ThreadPoolExecutor(threads)

    def read() -> None:
        check(sum(pool.map(_sum, parts)) == len(values), "the sum over the array is wrong")

    return read


def fused(layers: tuple[QuantizedLayer, ...]) -> None:
    """The sums of every layer once more."""
    for quantized in layers:
        layer, delta = quantized.layer, np.nan_to_num(quantized.steps, nan=1.0)
        midrise_sums(layer, quantized.live, delta, quantized.limit, quantized.keep_zeros)


def largest(layers: tuple[QuantizedLayer, ...]) -> None:
    """The largest weight of every filter once more."""
    for quantized in layers:
        steps.largest(quantized.layer.weight)


def main() -> None:
    path, rounds, engine = sys.argv[1:]
    if engine == "numba":
        passes.load_fused(passes.PAYS + 1)
    layers = esnsim.quantize(esnsim.read_onnx(path)).layers
    weights = sum(quantized.layer.weight.load().nbytes for quantized in layers)
    work = {
        "read": (READ, timed(reader())),
        "fused": (weights, timed(lambda: fused(layers))),
        "largest": (weights, timed(lambda: largest(layers))),
    }
    jobs = {name: lambda read=read, time=time: read / time() for name, (read, time) in work.items()}
    interleave(jobs, 1)  # compiles, and brings the file into memory
    print(json.dumps(interleave(jobs, int(rounds))))


if __name__ == "__main__":
    main()
