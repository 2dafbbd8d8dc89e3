"""The cost side of a sweep of steps, from sorted weights and by passes over them.

A part of `python -m benchmarks pareto`. Both sides take the weights of ResNet-50 from memory, run
on one core, and are measured in processor time, so that other processes do not count. Of the
passes only some are timed, and as many as there are steps extrapolated from them; their answers
are compared with those of the sorted weights, to the unit.
"""

import time
from typing import Any

import numpy as np

from benchmarks.harness import check, spread
from esnsim.compression.allocate.rate import Rates, rates, sort_layer
from esnsim.model.network import Layer, Network
from esnsim.quantization.filter_sums import FilterSums, midrise_sums

STEPS = 1000
DIRECT = 5  # steps that are timed by passes
BITS = (1, 8)  # of a layer's widest filter: from the largest step to the smallest


def measure(network: Network, steps: int = STEPS, direct: int = DIRECT) -> dict[str, Any]:
    """Seconds of `steps` steps of every layer, sorting included, beside passes for each step."""
    _warm_up(network)
    started = time.process_time()
    swept = [sweep(layer, steps) for layer in network.layers]
    seconds = time.process_time() - started
    passes = []
    for index in np.linspace(0, steps - 1, direct).astype(int).tolist():
        started = time.process_time()
        sums = [one_pass(found.layer, float(found.steps[index])) for found in swept]
        passes.append(time.process_time() - started)
        _compare(swept, sums, index)
    taken = spread(passes)
    return {
        "weights": sum(layer.weight.size for layer in network.layers),
        "steps": steps,
        "sorted_seconds": seconds,
        "direct_passes_timed": direct,
        "pass_seconds": taken,
        "direct_seconds_extrapolated": taken["median"] * steps,
        "ratio": taken["median"] * steps / seconds,
    }


def sweep(layer: Layer, steps: int) -> Rates:
    """All costs of a layer at steps from that of one bit to that of eight."""
    ordered = sort_layer(layer)
    top = 2 * float(ordered.tops.max())
    return rates(ordered, np.geomspace(top / 2 ** BITS[0], top / 2 ** BITS[1], steps))


def one_pass(layer: Layer, step: float) -> FilterSums:
    """The same at one step, as the quantiser does it."""
    every = np.full(layer.filters, step), np.full(layer.filters, (1 << 16) - 1)
    return midrise_sums(layer, np.ones(len(layer.channels), np.bool_), *every, True)


def _compare(swept: list[Rates], sums: list[FilterSums], index: int) -> None:
    for found, direct in zip(swept, sums, strict=True):
        ours = [found.esn_a_x4, found.esn_d, found.esn_d_tilde, found.pruned_filters]
        theirs = [
            direct.squares_x4.sum(), direct.bits_code.sum(),
            (direct.weights * direct.width_code).sum(), (direct.width_code == 0).sum(),
        ]  # fmt: skip
        same = [int(column[index]) for column in ours] == [int(value) for value in theirs]
        check(same, f"sorted weights and a pass differ in '{found.layer.name}'")
        close = np.isclose(found.noise[index], direct.noise.sum(), rtol=1e-6)
        check(close, f"sorted weights and a pass err apart in '{found.layer.name}'")


def _warm_up(network: Network) -> None:
    """Compile the kernels of both sides, and bring the weights into memory."""
    from esnsim_kernels import midrise

    assert midrise.statistics  # loaded, so that passes are Numba's
    for layer in network.layers:
        layer.weight.load().sum()
    smallest = min(network.layers, key=lambda layer: layer.weight.size)
    one_pass(smallest, sweep(smallest, 3).steps[0])
