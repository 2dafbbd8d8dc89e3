"""The engines on all layers of a ResNet-50: `python -m benchmarks engines` (docs/benchmarks.md).

4-bit weights, 8-bit activations, one image. The digital array against ONNX Runtime's float32
inference of the same model, and bit plane by bit plane against the popcount rooflines; the crossbar
against one in NumPy and, where an interpreter that has it is named, against CrossSim. All in one
process, in turns; every answer is checked, and the run fails where one differs. Where others run,
`--processor-time --threads 1` takes the array's part in processor time.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.engines_report import render
from benchmarks.harness import Benchmark, Run, check, python, say, timed, turns

BITS, ACTIVATION_BITS = 4, 8
Job = Callable[[], float]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Task:
    """A layer, its program, and integers that it runs on."""

    layer: Any
    program: Any
    x: Any
    count: int  # layers of this shape in the network

    @property
    def title(self) -> str:
        """Shape of the weight, stride and windows."""
        geometry = self.layer.layer.geometry
        shape = "×".join(map(str, self.layer.layer.weight.shape))
        stride = f" /{geometry.strides[0]}" if set(geometry.strides) - {1} else ""
        return f"{shape}{stride}, {geometry.windows:,} windows"

    @property
    def one_bit_macs(self) -> int:
        """Pairs of a weight bit and an activation bit."""
        sums, windows = self.layer.sums, self.layer.layer.geometry.windows
        return int((sums.weights * sums.width_code).sum() * windows * ACTIVATION_BITS)


def measure(arguments: Namespace) -> dict[str, Any]:
    """All results; an exception where an answer is wrong."""
    with TemporaryDirectory(prefix="esnsim-benchmark-") as folder:
        return measure_in(Path(folder), arguments)


def measure_in(folder: Path, arguments: Namespace) -> dict[str, Any]:
    """All results: the whole command first, while this process is small."""
    threads, path = arguments.threads, folder / "resnet50.onnx"
    ended(python(folder, "-m", "benchmarks.models", "resnet50", "."))
    memory = command(folder, threads)

    import esnsim
    from benchmarks.engines_analog import analog
    from benchmarks.engines_widths import widths

    quantized = esnsim.quantize(esnsim.read_onnx(path), esnsim.Scheme(bits=BITS))
    tasks = make_tasks(quantized, threads)
    say(f"{len(tasks)} shapes of layers, {sum(task.count for task in tasks)} layers: checking")
    for task in tasks:
        check_layer(task, threads)
    say(f"digital, {arguments.rounds} rounds")
    clock = time.process_time if arguments.processor_time else time.perf_counter
    jobs = shared_jobs(path, quantized, threads, clock)
    digital = measure_digital(tasks, jobs, threads, arguments.rounds, clock)
    say("widths and schedules")
    every = widths(esnsim.read_onnx(path), tasks, threads, clock)
    crossbars = {}
    if not arguments.no_analog:
        say("analog")
        crossbars = analog(tasks, threads, arguments.crosssim, folder, clock)
    return {
        "threads": threads, "rounds": arguments.rounds,
        "processor_time": arguments.processor_time, "command": memory, "digital": digital,
        "widths": every, "analog": crossbars,
    }  # fmt: skip


def ended(done: Run) -> Run:
    """A process that ended well, or RuntimeError."""
    if done.code:
        raise RuntimeError(done.errors)
    return done


def command(folder: Path, threads: int) -> dict[str, Any]:
    """Seconds and peak memory of the whole command, one image end to end."""
    np.save(folder / "image.npy", np.random.default_rng(0).random((1, 3, 224, 224), np.float32))
    words = (
        "simulate resnet50.onnx --bits 4 --end-to-end --data image.npy -q --json -o run.json "
        f"--threads {threads}"
    )
    arguments = ("-m", "esnsim", *words.split())
    python(folder, *arguments)  # fills Numba's cache
    done = ended(python(folder, *arguments, sample=True))
    return {"seconds": done.seconds, "peak_rss": done.peak_rss, "anonymous": done.peak_anonymous}


def make_tasks(quantized: Any, threads: int) -> list[Task]:
    """A task for each shape of layers."""
    engine = digital_engine(threads)
    counts: dict[Any, list[Any]] = {}
    for layer in quantized.layers:
        counts.setdefault((layer.layer.weight.shape, layer.layer.geometry), []).append(layer)
    tasks = []
    for index, (layer, *others) in enumerate(counts.values()):
        shape = (1, len(layer.layer.channels), *layer.layer.geometry.input_size)
        x = np.random.default_rng(index).integers(0, 1 << ACTIVATION_BITS, shape, np.uint8)
        tasks.append(Task(layer, engine.prepare(layer), x, 1 + len(others)))
    return tasks


def check_layer(task: Task, threads: int) -> None:
    """Raise unless outputs are NumPy's and the count of MAC×bit the closed form's."""
    from esnsim.machines.reference import integer_convolution

    run, serial = (digital_job(task, threads, planes)() for planes in (False, True))
    wanted = integer_convolution(task.layer, task.x)
    right = np.array_equal(run.outputs, wanted) and np.array_equal(serial.outputs, wanted)
    check(right, f"{task.title}: the outputs are wrong")
    counted = run.counts.active * ACTIVATION_BITS
    right = counted == task.one_bit_macs and run.counts == serial.counts
    check(right, f"{task.title}: the counts are wrong")


def digital_job(task: Task, threads: int, planes: bool = False) -> Callable[[], Any]:
    """Run a layer: packing, outputs and counts, everything but its program."""
    engine = digital_engine(threads, planes)
    program = engine.prepare(task.layer) if planes else task.program
    return lambda: engine.run(task.layer, task.x, program=program)


def digital_engine(threads: int, planes: bool = False) -> Any:
    """The array, loaded late: the whole command is measured before."""
    from esnsim.machines.array.engine import DigitalEngine
    from esnsim.machines.array.spec import ArraySpec

    return DigitalEngine(ArraySpec(activation_bits=ACTIVATION_BITS), threads, planes)


def shared_jobs(path: Path, quantized: Any, threads: int, clock: Clock) -> dict[str, Job]:
    """ONNX Runtime, the whole network, and the rooflines, with adding and of popcounts alone."""
    from esnsim.selfcheck.bench import popcount_roofline

    float_model, network = network_jobs(path, quantized, threads)
    return {
        "roofline": lambda: popcount_roofline(threads, 0.1, clock=clock),
        "bare roofline": lambda: popcount_roofline(threads, 0.1, bare=True, clock=clock),
        "ONNX Runtime": timed(float_model, 3, clock),
        "network": timed(network, 3, clock),
    }


def measure_digital(
    tasks: Sequence[Task], shared: dict[str, Job], threads: int, rounds: int, clock: Clock
) -> dict[str, Any]:
    """Layers beside what is measured with them, in turns."""
    jobs = dict(shared)
    for index, task in enumerate(tasks):
        jobs[f"layer {index}"] = timed(digital_job(task, threads), 3, clock)
        jobs[f"planes {index}"] = timed(digital_job(task, threads, planes=True), 3, clock)
    times = turns(jobs, rounds, warm=1)
    layers = [
        {
            "title": task.title, "count": task.count, "one_bit_macs": task.one_bit_macs,
            "macs": task.one_bit_macs // BITS // ACTIVATION_BITS,
            "seconds": times[f"layer {index}"], "planes": times[f"planes {index}"],
        }
        for index, task in enumerate(tasks)
    ]  # fmt: skip
    return {name: times[name] for name in shared} | {"layers": layers}


def network_jobs(path: Path, quantized: Any, threads: int) -> tuple[Any, Any]:
    """Float32 inference in ONNX Runtime, and the network end to end on the array."""
    from benchmarks.runtime import session
    from esnsim.graph.model import open_model
    from esnsim.run import activation_scales, cut, quantized_compute

    runtime = session(path, threads=threads)
    image = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
    feed = {runtime.get_inputs()[0].name: image}
    graph = cut(open_model(path), threads)
    engine = digital_engine(threads)
    programs = {id(layer): engine.prepare(layer) for layer in quantized.layers}

    def on_array(layer: Any, x: Any, zero_point: int, signed: bool) -> Any:
        return engine.run(layer, x, zero_point, signed, programs[id(layer)])

    compute = quantized_compute(quantized, on_array, activation_scales(graph, [feed]))
    return (lambda: runtime.run(None, feed)), (lambda: graph.run(feed, compute))


main = Benchmark(
    name="engines", text=__doc__, measure=measure, render=render,
    libraries=("esnsim", "numpy", "numba", "onnxruntime"),
    options={
        "--rounds": 7,
        "--threads": 2,
        "--no-analog": {"action": "store_true"},
        "--processor-time": {"action": "store_true"},
        "--crosssim": {"metavar": "PYTHON", "help": "an interpreter that has CrossSim"},
    },
)  # fmt: skip
