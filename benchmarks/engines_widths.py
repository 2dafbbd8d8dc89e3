"""The array at every width and schedule, MAC×bit for MAC×bit, plane by plane and as it runs."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Document, table, timed, turns
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.spec import ArraySpec
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme

BASE, ROUNDS = "4 bits", 3
SCHEMES = {f"{bits} bits": Scheme(bits=bits) for bits in range(1, 9)} | {
    "mixed (filter-sigma)": Scheme("filter-sigma")
}
SCHEDULES = ("sorted", "serial")


def widths(
    network: Any, tasks: Any, threads: int, clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Seconds of all layers by kernel, the least of each layer in turns, and their MAC×bit."""
    results = {}
    chosen = {
        name: {layer.layer.name: layer for layer in quantize(network, scheme).layers}
        for name, scheme in SCHEMES.items()
    }
    for name in (*SCHEMES, *SCHEDULES):
        results[name] = {"planes": 0.0, "engine": 0.0, "mac_bits": 0.0}
    for task in tasks:
        jobs = {}
        for name in results:
            layer = chosen.get(name, chosen[BASE])[task.layer.layer.name]
            spec = ArraySpec(schedule=name if name in SCHEDULES else "bit-parallel")
            for kernel in ("planes", "engine"):
                engine = DigitalEngine(spec, threads, kernel == "planes")
                jobs[name, kernel] = timed(_job(engine, layer, task.x), 2, clock)
            sums, geometry = layer.sums, layer.layer.geometry
            mac_bits = int((sums.weights * sums.width_code).sum()) * geometry.windows
            results[name]["mac_bits"] += task.count * mac_bits
        for (name, kernel), found in turns(jobs, ROUNDS).items():
            results[name][kernel] += task.count * found["least"]
    return results


def _job(engine: DigitalEngine, layer: Any, x: Any) -> Callable[[], object]:
    program = engine.prepare(layer)
    return lambda: engine.run(layer, x, program=program)


def tell(results: Document) -> str:
    """A table: each width's milliseconds, and its speed over that at 4 bits."""
    base = results[BASE]
    rows = []
    for name, found in results.items():
        more = found["mac_bits"] / base["mac_bits"]
        planes, engine = found["planes"], found["engine"]
        rows.append((
            name, f"{1e3 * planes:.0f}", f"{more * base['planes'] / planes:.2f}",
            f"{1e3 * engine:.0f}", f"{more * base['engine'] / engine:.2f}",
        ))  # fmt: skip
    head = ("all layers at", "ms by planes", "speed", "ms as it runs", "speed")
    return table(head, rows)
