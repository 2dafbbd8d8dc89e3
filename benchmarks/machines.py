"""Networks on all machines by name: `python -m benchmarks machines` (docs/machines.md).

The embedded ResNet-20 on an image, and a ResNet-50 with random weights on a random image behind the
memory `bitsim`: every filter at 8 bits, at 4, mixed (filter-sigma), and at 8 with the smaller half
of each layer's weights zero; and at each without the half of its filters that has the smaller norm.
Then the widths that the embedded networks get in a budget half way between a machine's cycles at
two widths.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

import esnsim
from benchmarks.harness import Benchmark, Document, say, table
from benchmarks.models import resnet50
from esnsim.compression.compress import compress
from esnsim.compression.recipe import Recipe
from esnsim.evaluate.comparison import captured
from esnsim.graph.model import open_model
from esnsim.images.sets import ImageSet, embedded, embedded_training
from esnsim.machines.named.aim import read_aim
from esnsim.machines.named.comparison import Comparison
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme
from esnsim.run.cut import cut

Array = NDArray[Any]
EMBEDDED = Path(esnsim.__file__).parent / "embedded"
MEMORY = "bitsim"
EIGHT = Scheme("filter-max", 8)
SIDE = 224
FOUR, MIXED = Scheme("filter-max", 4), Scheme("filter-sigma")
#: Machines whose widths are looked at, and the two widths half way between which a budget is.
BUDGETS = (
    ("bitfusion", 8, 4), ("bitfusion", 4, 2), ("maki", 8, 4), ("maki-serial", 8, 4), ("bismo", 8, 4)
)  # fmt: skip
MORE = 1.0001  # where both widths cost alike, costs of filters that are rounded up fit too
PREFERRING = ("resnet8", "resnet20", "resnet20_05x")


def smaller_zero(weight: Array) -> Array:
    """A weight whose smaller half is zero."""
    return np.where(np.abs(weight) < np.median(np.abs(weight)), np.float32(0), weight)


def filters_zero(weight: Array) -> Array:
    """A weight without the half of its filters that has the smaller norm; two classes stay."""
    norms = np.square(weight.reshape(len(weight), -1)).sum(axis=1)
    out = weight.copy()
    out[np.argsort(norms)[: len(weight) // 2]] = 0
    return out


#: Variant -> its scheme, and what is done to each weight.
VARIANTS: dict[str, tuple[Scheme, Callable[[Array], Array] | None]] = {
    "8 bits": (EIGHT, None),
    "4 bits": (FOUR, None),
    "mixed": (MIXED, None),
    "half of the weights zero": (EIGHT, smaller_zero),
    "half of the filters pruned": (EIGHT, filters_zero),
    "pruned, 4 bits": (FOUR, filters_zero),
    "pruned, mixed": (MIXED, filters_zero),
}


def changed(proto: ModelProto, weights: set[str], change: Callable[[Array], Array]) -> ModelProto:
    """The model with other weights of these names."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    for tensor in copy.graph.initializer:
        if tensor.name in weights:
            new = change(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))
    return copy


def networks() -> Iterator[tuple[str, ModelProto, ImageSet, str | None]]:
    """Name, model, images, and the memory behind machines."""
    yield "resnet20", onnx.load(EMBEDDED / "resnet20.onnx"), embedded(), None
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, SIDE, SIDE)).astype(np.float32) / 255
    images = ImageSet("random", 2, lambda start, stop: pixels[start:stop])
    yield "resnet50", resnet50(), images, MEMORY


def figures(found: Comparison) -> dict[str, dict[str, Any]]:
    """Of each machine what the tables have."""
    return {
        taken.name: {
            "cycles": float(taken.cycles), "of_ideal": found.of_ideal(taken), "used": taken.used,
            "of_dense": found.of_dense(taken),
            "layers": len(taken.bounds), "wait": sum(b != "compute" for b in taken.bounds),
        }
        for taken in found.taken
    }  # fmt: skip


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every network in every variant on every machine, then the widths of budgets."""
    found: dict[str, Any] = {}
    for name, proto, images, memory in networks():
        weights = {layer.weight.name for layer in esnsim.read_onnx(proto).layers}
        found[name] = {}
        for variant, (scheme, change) in VARIANTS.items():
            made = changed(proto, weights, change) if change else proto
            started = time.process_time()
            compared = esnsim.simulate(
                made, machines="all", memory=memory, scheme=scheme, images=images, count=1
            )
            seconds = time.process_time() - started
            found[name][variant] = {"seconds": seconds, "machines": figures(compared)}
            say(f"{name}, {variant}: {seconds:.1f} s of processor time")
    rows: list[dict[str, Any]] = []
    for net in PREFERRING:
        rows += preferred(net)
        say(f"widths of {net}")
    return {"found": found, "widths": rows}


def preferred(name: str) -> Iterator[dict[str, Any]]:
    """The widths of the filters of an embedded network within a budget of each machine."""
    model = open_model(f"builtin:{name}")
    activations = captured(cut(model), embedded_training().first(64))
    for machine, high, low in BUDGETS:
        metric = f"cycles@{machine}"
        aim = read_aim(metric, activations)
        ends = (Scheme("filter-max", bits) for bits in (high, low))
        budget = sum(aim.of(quantize(model.network, scheme)) for scheme in ends) / 2 * MORE
        recipe = Recipe(budget=budget, metric=metric, effort="quick", rounding="nearest")
        made = compress(model, recipe, embedded(), embedded_training())
        yield {
            "network": name, "machine": machine, "budget": budget, "between": [high, low],
            "cycles": made.spent[1],
            "filters": {str(bits): count for bits, count in made.after.histogram.items() if count},
            "top1": made.evaluation.accuracy if made.evaluation else None,
        }  # fmt: skip


def render(found: Document) -> str:
    """The tables of docs/machines.md."""
    parts = [absolute(found["found"]["resnet20"])]
    parts += [relative(found["found"][name]) for name in ("resnet20", "resnet50")]
    seconds = found["found"]["resnet50"]["mixed"]["seconds"]
    return "\n\n".join([
        *parts, widths(found["widths"]),
        f"ResNet-50 on all machines: {seconds:.1f} s of processor time, without import",
    ])  # fmt: skip


def absolute(network: Document) -> str:
    """÷ 8×8 bits of a MAC · ÷ ideal of each machine at 8, 4 and mixed bits, the least first."""
    runs = [network[variant]["machines"] for variant in ("8 bits", "4 bits", "mixed")]
    order = sorted(runs[2], key=lambda name: (runs[2][name]["of_dense"] is None,
                                              runs[2][name]["of_dense"] or 0.0))  # fmt: skip
    rows = []
    for name in order:
        if runs[2][name]["of_dense"] is None:
            rows.append([f"`{name}`", *(f"{run[name]['cycles']:,.0f} reads" for run in runs), "–"])
            continue
        cells = [f"{run[name]['of_dense']:.3g} · {run[name]['of_ideal']:.3g}" for run in runs]
        rows.append([f"`{name}`", *cells, f"{runs[2][name]['used']:.0%}"])
    return table(["machine", "8 bits", "4 bits", "mixed", "used, mixed"], rows)


def relative(network: Document) -> str:
    """÷ ideal at 8 bits, layers that wait, and cycles of other variants over those at 8 bits."""
    base, others = network["8 bits"]["machines"], [v for v in VARIANTS if v != "8 bits"]
    waits = any(one["wait"] for one in base.values())
    head = ["machine", "÷ ideal, 8 bits", *["layers that wait"][:waits], *others]
    rows = [
        [
            f"`{name}`", "–" if one["of_ideal"] is None else f"{one['of_ideal']:.2f}",
            *[f"{one['wait']} of {one['layers']}"][:waits],
            *(f"{network[v]['machines'][name]['cycles'] / one['cycles']:.2f}" for v in others),
        ]
        for name, one in base.items()
    ]  # fmt: skip
    return table(head, rows)


def widths(rows: Sequence[Document]) -> str:
    """Filters by width, of each network and machine."""
    bits = [str(b) for b in range(1, 9)]
    return table(
        ["network", "machine", "between", *bits, "top-1"],
        [
            [row["network"], f"`{row['machine']}`", "{} and {} bits".format(*row["between"]),
             *(str(row["filters"].get(b, "")) for b in bits), f"{row['top1']:.1%}"]
            for row in rows
        ],
    )  # fmt: skip


def missed(found: Document) -> bool:
    """Whether pruned filters cost more on some digital machine than all of them."""
    runs = found["found"].values()
    return any(
        run["half of the filters pruned"]["machines"][name]["cycles"] > one["cycles"]
        for run in runs for name, one in run["8 bits"]["machines"].items()
    )  # fmt: skip


main = Benchmark(
    name="machines", text=__doc__, measure=measure, render=render, missed=missed,
    libraries=("numpy", "onnxruntime"),
)  # fmt: skip
