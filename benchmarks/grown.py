"""A model of a given size and what a command takes on it: `python -m benchmarks.grown CASE`.

CASE is JSON: the fields of `Case`. A process a case, so that its peak memory is its own.
"""

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import esnsim
from benchmarks.harness import UNIT, check
from benchmarks.models import stored
from esnsim.images.sets import ImageSet

CALIBRATION = 64  # images beside those that are simulated
HELD = 1 << 28  # bytes of a weight of the model whose external data is a sparse file


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A chain of `depth` convolutions 3×3 over `side`×`side` pixels, the last to `filters`.

    `nodes` Relus come before it; `batch` images are in the file's input, or are simulated. With
    `external` bytes, products whose weights are a file of zeros that takes no room come instead.
    """

    work: str  # cost or simulate
    depth: int = 1
    channels: int = 32
    filters: int = 32
    side: int = 16
    batch: int = 1
    bits: int = 4
    nodes: int = 0
    threads: int = 1
    external: int = 0


def chain(case: Case) -> ModelProto:
    """The convolutions, with random weights."""
    rng = np.random.default_rng(0)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    last = "x"
    for index in range(case.nodes):
        nodes.append(helper.make_node("Relu", [last], [f"r{index}"]))
        last = f"r{index}"
    for index in range(case.depth):
        filters = case.filters if index == case.depth - 1 else case.channels
        values = rng.standard_normal((filters, case.channels, 3, 3), np.float32)
        weights.append(numpy_helper.from_array(values, f"w{index}"))
        nodes.append(helper.make_node("Conv", [last, f"w{index}"], [f"c{index}"], pads=[1] * 4))
        last = f"c{index}"
    shape = (1 if case.work == "simulate" else case.batch, case.channels, case.side, case.side)
    return model_of(nodes, weights, shape, last)


def sparse(case: Case, folder: Path) -> ModelProto:
    """Products whose weights lie in a file that has a size but no blocks."""
    side = int((HELD / 4) ** 0.5)
    count = -(-case.external // HELD)
    with (folder / "zeros.bin").open("wb") as file:
        file.truncate(count * HELD)
    nodes, weights = [], []
    for index in range(count):
        weight = stored(index, side, "zeros.bin")
        weights.append(weight)
        ends = [f"c{index - 1}" if index else "x", weight.name], [f"c{index}"]
        nodes.append(helper.make_node("Gemm", *ends, transB=1))
    return model_of(nodes, weights, (1, side), f"c{count - 1}")


def model_of(
    nodes: list[NodeProto], weights: list[TensorProto], shape: tuple[int, ...], last: str
) -> ModelProto:
    """A model from x to the tensor `last`."""
    ends = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name, sizes in (("x", shape), (last, [None] * len(shape)))
    )
    first, end = ends
    graph = helper.make_graph(nodes, "grown", [first], [end], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def measure(case: Case) -> dict[str, float]:
    """Seconds of processor time and by the clock of the second call, and memory beyond the start.

    The first call fills caches and compiles kernels.
    """
    with TemporaryDirectory(prefix="esnsim-benchmark-") as name:
        path = Path(name) / "grown.onnx"
        onnx.save(sparse(case, Path(name)) if case.external else chain(case), path)
        warm(case, Path(name))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
        processor, clock = time.process_time(), time.perf_counter()
        macs = answer(case, path)
        seconds = {
            "processor": time.process_time() - processor, "clock": time.perf_counter() - clock,
        }  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
    check(macs == expected(case), f"{macs:,} MACs, {expected(case):,} are right: {case}")
    return seconds | {"bytes": after - before}


def warm(case: Case, folder: Path) -> None:
    """Load modules and compile kernels on the least model: narrow outputs, wide ones, images."""
    path = folder / "least.onnx"
    onnx.save(chain(Case(work=case.work)), path)
    for bits, batch in ((4, 1), (16, 1), (4, 2)):
        answer(Case(work=case.work, threads=case.threads, bits=bits, batch=batch), path)


def answer(case: Case, path: Path) -> int:
    """Run the work; the MACs that it counts for one image."""
    scheme = esnsim.Scheme(bits=case.bits)
    if case.work == "cost":
        found = esnsim.cost(path, scheme=scheme).total
        check(found.esn_d_tilde.macs <= case.bits * found.macs, "MAC×bit is above the widths' most")
        return found.macs
    given: dict[str, Any] = {}
    if case.batch > 1:
        shape = (case.batch + CALIBRATION, case.channels, case.side, case.side)
        pixels = np.random.default_rng(0).random(shape, np.float32)
        images = ImageSet("random", len(pixels), lambda first, last: pixels[first:last])
        given = {"images": images, "count": case.batch}
    run = esnsim.simulate(path, scheme=scheme, threads=case.threads, **given)
    return sum(layer.macs for layer in run.layers)


def expected(case: Case) -> int:
    """The MACs of one image, by hand."""
    if case.external:
        return -(-case.external // HELD) * (HELD // 4)
    channels = [case.channels] * (case.depth - 1) + [case.filters]
    return 9 * case.side**2 * case.channels * sum(channels)


def main() -> None:
    print(json.dumps(measure(Case(**json.loads(sys.argv[1])))))


def words(case: Case) -> str:
    """The case as `main` takes it."""
    return json.dumps(asdict(case))


if __name__ == "__main__":
    main()
