"""The passes over the weights against the memory's read bandwidth, in one process.

`python -m benchmarks.bandwidth MODEL ROUNDS ENGINE`, ENGINE being numba or numpy, prints as JSON
the bytes per second of each round: of a plain sum over an array far larger than any cache, of
the fused pass (`esnsim_kernels.midrise.statistics`, or NumPy's form of it) and of the search
for the largest weight, both as `esnsim.quantize` runs them, and in as many threads.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
from numba import njit
from numpy.typing import NDArray

import esnsim
from benchmarks.timing import interleave
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


def reader() -> Callable[[], int]:
    """A function that reads an array in as many threads as there are cores; gives its bytes."""
    threads = cpu_count() or 1
    values = np.ones(READ // 4, np.float32)
    parts: list[NDArray[np.float32]] = np.array_split(values, threads)
    pool = ThreadPoolExecutor(threads)

    def read() -> int:
        if sum(pool.map(_sum, parts)) != len(values):
            raise ArithmeticError("the sum over the array is wrong")
        return values.nbytes

    return read


def fused(layers: tuple[QuantizedLayer, ...]) -> int:
    """The sums of every layer once more; the bytes of their weights."""
    for quantized in layers:
        layer, delta = quantized.layer, np.nan_to_num(quantized.steps, nan=1.0)
        midrise_sums(layer, quantized.live, delta, quantized.limit, quantized.keep_zeros)
    return size(layers)


def largest(layers: tuple[QuantizedLayer, ...]) -> int:
    """The largest weight of every filter once more; the bytes of the weights."""
    for quantized in layers:
        steps.largest(quantized.layer.weight)
    return size(layers)


def size(layers: tuple[QuantizedLayer, ...]) -> int:
    """Bytes of the weights as they lie in the file."""
    return sum(quantized.layer.weight.load().nbytes for quantized in layers)


def rate(work: Callable[[], int]) -> float:
    """Bytes per second of a function that says how many bytes it read."""
    started = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - started)


def main() -> None:
    path, rounds, engine = sys.argv[1:]
    if engine == "numba":
        passes.load_fused(passes.PAYS + 1)
    layers = esnsim.quantize(esnsim.read_onnx(path)).layers
    read = reader()
    jobs = {
        "read": lambda: rate(read),
        "fused": lambda: rate(lambda: fused(layers)),
        "largest": lambda: rate(lambda: largest(layers)),
    }
    interleave(jobs, 1)  # compiles, and brings the file into memory
    print(json.dumps(interleave(jobs, int(rounds))))


if __name__ == "__main__":
    main()
