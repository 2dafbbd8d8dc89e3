"""What the commands do, as functions of Python: cost, simulate, compress, sweep, compare."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from inspect import signature
from math import inf
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, cast, overload

from esnsim.costs import cost as costs
from esnsim.costs.cost import Cost
from esnsim.costs.equations import WidthRule
from esnsim.errors import UsageError
from esnsim.model.network import Layer, Network
from esnsim.quantization.quantizer import QuantizedNetwork, quantize
from esnsim.quantization.scheme import Scheme
from esnsim.sources import apart, files_of, name_of, opened_from, path_of, to_onnx

if TYPE_CHECKING:
    from esnsim.comparison.compare import Compared
    from esnsim.compression.compressed import Compressed
    from esnsim.evaluate.outputs import Scoring
    from esnsim.graph.model import Model
    from esnsim.images.sets import ImageSet
    from esnsim.machines.base import Machine
    from esnsim.machines.named.comparison import Comparison
    from esnsim.machines.named.description import Described
    from esnsim.machines.simulator import Simulation
    from esnsim.sources import Shapes, Source
    from esnsim.sweeps.frontier import Sweep
    from esnsim.sweeps.task import Pictures

#: What people write, and what the functions here call it.
HINTS = {
    "bits": "scheme=Scheme(bits=…)", "rule": "scheme=Scheme(rule=…)",
    "step": "scheme=Scheme(rule=…)", "widths": "scheme=Scheme(widths=…)", "array": "machine=",
    "data": "images=", "input_shape": "input_shapes=", "shapes": "input_shapes=",
    "input": "example=",
}  # fmt: skip
Called = TypeVar("Called", bound=Callable[..., Any])


def _telling(call: Called) -> Called:
    """The function, with an error that names the right argument for one that it does not have."""
    known = [p for p in signature(call).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    names = [p.name for p in known]

    @wraps(call)
    def told(*given: Any, **named: Any) -> Any:
        _check_names(call.__name__, named, names)
        return call(*given, **named)

    return cast(Called, told)


def _check_names(call: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise UsageError for the first name that a call does not know."""
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        hint = HINTS.get(unknown, f"some of {', '.join(known)}")
        raise UsageError(f"{call} takes no '{unknown}': give {hint}")


@_telling
def cost(
    source: "Source | Network | QuantizedNetwork",
    width: WidthRule = "code",
    include: Callable[[Layer], bool] = lambda layer: True,
    *,
    scheme: Scheme | None = None,
    activation_bits: int | None = None,
    bops: Sequence[str] = (),
    input_shapes: "Shapes | None" = None,
    input_values: Mapping[str, float] | None = None,
    example: Any = None,
) -> Cost:
    """The closed-form cost (Eq. 2, 3 and 7) of a model, of the layers that `include` accepts.

    `source` is a path, `builtin:NAME`, a ModelProto, a torch module with an `example` input, a
    Network, which are quantised by `scheme`, or a QuantizedNetwork. `activation_bits` is the width
    of activations that the model does not quantise itself, `bops` are definitions of BOPs besides
    ours. Raises ModelError for what cannot be read, WidthError for widths that do not fit,
    UsageError for a definition that there is not.
    """
    bits = activation_bits
    if isinstance(source, QuantizedNetwork):
        return costs.cost(source, width, include, activation_bits=bits, bops=bops)
    network = source if isinstance(source, Network) else None
    if network is None:
        from esnsim.importer.read import read_onnx

        network = read_onnx(to_onnx(source, example), input_shapes, input_values)
    quantized = quantize(network, scheme)
    return costs.cost(quantized, width, include, activation_bits=bits, bops=bops)


class Given(TypedDict, total=False):
    """What `simulate` takes beside the model and its machines."""

    scheme: Scheme | None
    images: "ImageSet | None"
    count: int | None
    end_to_end: bool
    clock: float | None
    seed: int
    input_shapes: "Shapes | None"
    input_values: Mapping[str, float] | None
    example: Any
    threads: int


@overload
def simulate(
    source: "Source", machine: "str | Machine" = "maki", **given: Unpack[Given]
) -> "Simulation": ...


@overload
def simulate(
    source: "Source", *, machines: "str | Sequence[str | Described]", memory: str | None = None,
    node: str | None = None, density: str | None = None, **given: Unpack[Given],
) -> "Comparison": ...  # fmt: skip


@_telling
def simulate(
    source: "Source",
    machine: "str | Machine" = "maki",
    *,
    machines: "str | Sequence[str | Described] | None" = None,
    memory: str | None = None,
    node: str | None = None,
    density: str | None = None,
    scheme: Scheme | None = None,
    images: "ImageSet | None" = None,
    count: int | None = None,
    end_to_end: bool = False,
    clock: float | None = None,
    seed: int = 0,
    input_shapes: "Shapes | None" = None,
    input_values: Mapping[str, float] | None = None,
    example: Any = None,
    threads: int = 0,
) -> "Simulation | Comparison":
    """What a machine spends on a model, counted layer by layer, or end to end with its accuracy.

    `machine` is a name, a size or a file, as `--array` takes it, or a description; `machines` are
    names, files, descriptions or "all", as `--machines` takes them, behind a `memory` of `--memory`
    or none, at the prices of a `node` or a file as `--node`, and give a Comparison;
    without images `density` says how their activations are drawn, as `--density`. Layers run on
    the float model's activations for `count` of the `images`, or on random integers without any.
    A `clock` in Hz adds speeds. Raises UsageError, ModelError.
    """
    from esnsim.evaluate.simulation import Activations, simulate_graph
    from esnsim.graph.branches import specialised
    from esnsim.machines import presets
    from esnsim.run.cut import cut

    if clock is not None and not 0 < clock < inf:
        raise UsageError(f"a clock of {clock:g} Hz is none: give clock=500e6, say, for 500 MHz")
    if machines is not None and (machine != "maki" or end_to_end):
        raise UsageError("machines= goes with neither machine= nor end_to_end=: leave one out")
    for option, value in (("memory", memory), ("node", node), ("density", density)):
        if value is not None and machines is None:
            raise UsageError(f"{option}= is about machines by name: give machines=")

    _check_images(images)
    model = specialised(opened_from(source, example, input_shapes, input_values))
    described = presets.machine(machine) if isinstance(machine, str) else machine
    if not hasattr(described, "prepare"):
        raise UsageError(f"a {type(machine).__name__} is no machine: give a name such as 'maki'")
    given = Activations(images=images, count=count, end_to_end=end_to_end, seed=seed)
    quantized = quantize(model.network, scheme)
    if machines is not None:
        from esnsim.evaluate.comparison import Choice, compare_model
        from esnsim.machines.named.catalog import choose
        from esnsim.machines.named.memories import find_memory
        from esnsim.machines.named.prices import find_prices

        choice = Choice(
            machines=choose(machines), memory=find_memory(memory) if memory else None,
            prices=find_prices(node) if node else None, density=density, threads=threads,
        )  # fmt: skip
        return replace(compare_model(model, quantized, choice, given), clock=clock)
    found = simulate_graph(cut(model, threads), quantized, described, given, threads)
    return replace(found, clock=clock)


def compress(
    source: "Source",
    *,
    images: "ImageSet | None" = None,
    calibration: "ImageSet | None" = None,
    input_shapes: "Shapes | None" = None,
    input_values: Mapping[str, float] | None = None,
    example: Any = None,
    threads: int = 0,
    **recipe: Any,
) -> "Compressed":
    """A cheaper model: `recipe` are the fields of `Recipe`, such as budget=20e6 or drop=0.01.

    The images that calibrate are the first of `images`, which are then not scored, or those of
    `calibration`. Raises UsageError for what does not go together, WidthError for a budget below
    the least possible.
    """
    from esnsim.compression.compress import compress as compressed
    from esnsim.compression.recipe import Recipe

    _check_images(images, calibration)
    _check_names("compress", recipe, list(Recipe.__dataclass_fields__))
    model = opened_from(source, example, input_shapes, input_values)
    return compressed(model, Recipe(**recipe), images, calibration, threads)


@_telling
def sweep(
    *sources: "Source",
    ratios: Sequence[float] = (0.0, 0.25, 0.5, 0.75),
    bits: Sequence[float] = tuple(range(1, 9)),
    policies: Sequence[str] = ("uniform",),
    rules: Sequence[str] = ("layer-max",),
    images: "ImageSet | Pictures | None" = None,
    calibration: "ImageSet | Pictures | None" = None,
    count: int | None = None,
    metric: str = "esn_d_tilde",
    drop: float = 0.01,
    correct: bool = True,
    rounding: str | None = None,
    criterion: str = "norm",
    scope: str = "layer",
    targets: Path | None = None,
    results: Path | None = None,
    resume: bool = False,
    jobs: int = 1,
    scheduler: str | None = None,
    scoring: "Scoring | None" = None,
    input_shapes: "Shapes | None" = None,
    input_values: Mapping[str, float] | None = None,
    example: Any = None,
    watch: "Callable[[Sweep], None]" = lambda found: None,
) -> "Sweep":
    """Accuracy against cost: models at every point of a grid, and the points that no other beats.

    `sources` as for `cost`. Of each model a share of filters goes, one of `ratios`; the rest gets
    `bits`, as each of `policies` shares them, `uniform` under each of `rules`. Points are scored
    on `count` of the `images`, by default all embedded ones for embedded models; what calibrates
    is never scored. Codes are of a `rounding`, as of `compress`. `results` is a file that keeps
    each finished point, which `resume` goes on with. `jobs` are processes of this machine,
    `scheduler` the address of a Dask cluster. `watch` sees the sweep as it stands,
    before its first point and after each. Raises UsageError, ModelError, DataError, WidthError
    where no point can be made.
    """
    from esnsim.compression.round.methods import resolved
    from esnsim.evaluate.outputs import GUESS
    from esnsim.machines.named.aim import known_metric
    from esnsim.sweeps import sweep as sweeps
    from esnsim.sweeps.points import candidates
    from esnsim.sweeps.results import opened
    from esnsim.sweeps.task import Pictures, Task, checked, split_pictures

    known_metric(metric)
    _check_images(*(x for x in (images, calibration) if not isinstance(x, Pictures)))
    grid = (ratios, policies, rules, bits)
    with files_of(sources, example) as files:
        given = checked(files, policies, targets, images, calibration, jobs, scheduler)
        scored, used = split_pictures(*given, count)
        task = Task(
            files=files, images=scored, calibration=used, correct=correct,
            rounding=resolved(rounding, True), criterion=criterion, scope=scope,
            shapes=tuple((input_shapes or {}).items()), targets=targets,
            values=tuple((input_values or {}).items()), scoring=scoring or GUESS,
            threads=max(1, (cpu_count() or 1) // jobs), metric=metric,
        )  # fmt: skip
        todo = candidates([name for name, _ in files], *grid)
        with opened(results, task.binding, resume) as finished:
            return sweeps.sweep(task, todo, finished, metric, drop, jobs, scheduler, watch)


@_telling
def compare(
    *sources: "Source | Cost",
    scheme: Scheme | None = None,
    images: "ImageSet | None" = None,
    calibration: "ImageSet | None" = None,
    count: int | None = None,
    scoring: "Scoring | None" = None,
    input_shapes: "Shapes | None" = None,
    input_values: Mapping[str, float] | None = None,
    example: Any = None,
    threads: int = 0,
    watch: Callable[[str], None] = lambda name: None,
) -> "Compared":
    """Models beside the first: which layers changed, how, and what made the difference.

    `sources` as for `cost`, or costs, or paths of its JSON reports; `input_shapes` and
    `input_values` are for the models that have these inputs. Float weights are quantised by
    `scheme`. With images each model runs as it is on `count` of those that `compress` scores, given
    the same `images` and `calibration`. `watch` is told each name before its turn. Raises
    UsageError for fewer than two sources, ModelError where one has no layer in common with the
    first.
    """
    from esnsim.comparison.accuracy import compare_on
    from esnsim.comparison.compare import Side
    from esnsim.comparison.compare import compare as compared
    from esnsim.comparison.reported import SUFFIX, read_report, reported
    from esnsim.evaluate.outputs import GUESS
    from esnsim.onnxfile.path import ModelPath

    if len(sources) < 2:
        raise UsageError("compare takes two models or more: give another")
    _check_images(images, calibration)
    sources = tuple(source if path_of(source) is None else ModelPath(source) for source in sources)
    shapes, values = apart(sources, input_shapes or {}), apart(sources, input_values or {})
    sides, models = list[Side](), list["Model | None"]()
    for place, source in enumerate(sources):
        name, model = name_of(source), None
        watch(name)
        if isinstance(source, Cost):
            found = reported(source)
        elif name.lower().endswith(SUFFIX):
            found = read_report(Path(name))
        else:
            model = opened_from(source, example, shapes[place], values[place])
            found = reported(costs.cost(quantize(model.network, scheme)))
        sides.append(Side(name, found, path_of(source)))
        models.append(model)
    result = compared(sides)  # before images are run: it tells of models that share no layer
    if images is None or not any(models):
        return result
    return compare_on(images, sides, models, calibration, count, scoring or GUESS, threads)


def _check_images(*given: Any) -> None:
    """Raise UsageError for what is neither None nor images that are read already."""
    from esnsim.images.sets import ImageSet

    for images in given:
        if not isinstance(images, ImageSet | None):
            raise UsageError(
                f"a {type(images).__name__} is no set of images: give that of "
                "esnsim.images.sets.load(Path(FILE))"
            )
