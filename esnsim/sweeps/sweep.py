"""From a candidate to its point: prune, quantise, correct, evaluate, price.

All that candidates of one pruning ratio share (the smaller graph, its images, what allocation has
to know) is made once in each process and kept until another ratio comes.
"""

import hashlib
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

from esnsim.compression.allocate.targets import read_targets
from esnsim.compression.policies import Plan, Problem, find_policy
from esnsim.compression.prune.prune import choose
from esnsim.compression.workspace import CALIBRATION, Workspace, prepare
from esnsim.costs.cost import cost
from esnsim.errors import EsnsimError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.graph.model import Model, open_model
from esnsim.graph.sites import unquantisable_layers
from esnsim.images.sets import ImageSet, Preparation, embedded
from esnsim.images.sets import load as load_images
from esnsim.images.split import calibrating
from esnsim.importer import find
from esnsim.model.network import Network
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import DEFAULT_BITS, Scheme
from esnsim.sweeps import cluster, workers
from esnsim.sweeps.pareto import Baseline, Candidate, Point
from esnsim.sweeps.results import Results, ResultsError

MODELS = 8  # that stay open; their weights are in their files
SAMPLED = 32  # images at each end of a set that tell it from others

_ONE_AT_A_TIME = Lock()  # the threads of a Dask worker share what is kept


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where images come from; None is the embedded ones.

    The first `skipped` are left out, and of the rest `count` taken.
    """

    path: Path | None = None
    labels: Path | None = None
    preparation: Preparation = field(default_factory=Preparation)
    count: int | None = None
    skipped: int = 0

    def open(self) -> ImageSet:
        """The images. Raises DataError."""
        if self.path is None:
            found = embedded()
        else:
            found = load_images(self.path, self.preparation, self.labels)
        found = found.after(self.skipped) if self.skipped else found
        return found if self.count is None else found.first(self.count)


def split_pictures(pictures: Pictures) -> tuple[Pictures, Pictures]:
    """Those that are scored, and the ones before them, which calibrate."""
    count = pictures.open().count
    few = calibrating(count, CALIBRATION)
    first = replace(pictures, count=few)
    return (replace(pictures, count=count - few, skipped=few) if count > 1 else pictures), first


@dataclass(frozen=True, slots=True)
class Task:
    """What a process has to know to evaluate any candidate.

    `targets` is the file of ESNa that the policy `esna-targets` takes. `threads` run the operators
    of a model.
    """

    images: Pictures = field(default_factory=Pictures)
    calibration: Pictures = field(default_factory=Pictures)
    correct: bool = True
    criterion: str = "norm"
    scope: str = "layer"
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    targets: Path | None = None
    threads: int = 0
    scoring: Scoring = GUESS
    values: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A candidate that there is no point of, and why."""

    candidate: Candidate
    reason: str


def binding(task: Task) -> dict[str, Any]:
    """What all points of a task depend on, for the results file: images and options."""
    shapes = {name: list(shape) for name, shape in task.shapes}
    targets = None if task.targets is None else read_targets(task.targets)
    return {
        "images": _fingerprint(task.images.open()),
        "options": {
            "correct": task.correct,
            "calibration": _fingerprint(_calibration(task)),
            "criterion": task.criterion,
            "scope": task.scope,
            "input_shapes": shapes,
            **({"input_values": dict(task.values)} if task.values else {}),
            **({} if task.scoring == GUESS else {"scoring": asdict(task.scoring)}),
            "targets": None if targets is None else _hash(repr(targets).encode()),
        },
    }


def described(task: Task) -> str:
    """The images in words."""
    images, used = task.images.open(), _calibration(task)
    text = f"{images.count:,} images of {images.name}"
    if not task.correct:
        return f"{text}; statistics not corrected"
    own = f"{used.count:,} images of {used.name}"
    if task.images.skipped:
        own = f"the {used.count:,} before them, labels unseen"
    return f"{text}; statistics corrected with {own}"


def measured(task: Task, model: str, results: Results) -> Baseline:
    """A model in float, out of the results or measured now and added to them.

    Raises ResultsError where the results are of another file of that name.
    """
    digest = _digest(model, _opened(task, model).network)
    known = results.baselines.get(model)
    if known is not None and known.sha256 != digest:
        raise ResultsError(
            f"'{results.path}' was made with another '{model}', whose contents differ: give the "
            "same, or another --results"
        )
    if known is None:
        network, whole = _opened(task, model).network, _float(task, model)
        filters = sum(layer.filters for layer in network.layers)
        macs = sum(layer.macs for layer in network.layers)
        known = Baseline(model, digest, macs, filters, whole.floats, whole.scored)
        results.add(known)
    return known


def stay_float(task: Task, model: str) -> list[str]:
    """Which layers of a model no candidate changes, a sentence for each reason."""
    names: dict[str, list[str]] = {}
    for layer, reason in unquantisable_layers(_opened(task, model)):
        if layer.weight.codes is None:
            names.setdefault(reason, []).append(layer.name)
    return [
        f"{model}: layer '{found[0]}'{f' and {len(found) - 1} more' if len(found) > 1 else ''} "
        f"stays float, counted at {DEFAULT_BITS} bits: {reason}"
        for reason, found in names.items()
    ]


def run_candidates(
    task: Task, todo: Sequence[Candidate], jobs: int = 1, scheduler: str | None = None
) -> Generator[Point | Refused, None, None]:
    """The points of candidates as they finish: here, on processes, or on a Dask cluster."""
    work = partial(point, task)
    if scheduler is not None:
        return cluster.spread(work, todo, scheduler)
    return workers.spread(work, todo, jobs) if jobs > 1 else (work(each) for each in todo)


def point(task: Task, candidate: Candidate) -> Point | Refused:
    """Prune, quantise, correct, evaluate and price a candidate."""
    started = time.perf_counter()
    try:
        with _ONE_AT_A_TIME:
            workspace = _workspace(task, candidate.model, candidate.ratio)
            quantized = quantize(workspace.network, _scheme(task, candidate))
            found = workspace.evaluate(quantized)
    except EsnsimError as error:
        return Refused(candidate, str(error))
    priced = cost(quantized)
    histogram = priced.histogram
    histogram[0] = histogram.get(0, 0) + workspace.removed
    return Point(candidate, priced.total, found, histogram, time.perf_counter() - started)


def _scheme(task: Task, candidate: Candidate) -> Scheme:
    if find_policy(candidate.policy).nominal:
        return Scheme(rule=candidate.rule, bits=int(candidate.bits))
    network = _workspace(task, candidate.model, candidate.ratio).network
    plan = _plan(task, candidate.model, candidate.ratio, candidate.policy)
    return plan(candidate.bits * sum(layer.macs for layer in network.layers))


@lru_cache(maxsize=MODELS)
def _opened(task: Task, model: str) -> Model:
    return open_model(model, dict(task.shapes), dict(task.values))


@lru_cache(maxsize=1)
def _float(task: Task, model: str) -> Evaluator:
    """A model as it is on the images."""
    return Evaluator(
        _opened(task, model), task.images.open(), threads=task.threads, scored=task.scoring
    )


@lru_cache(maxsize=1)
def _workspace(task: Task, model: str, ratio: float) -> Workspace:
    opened, kept, floats = _opened(task, model), None, _float(task, model)
    if ratio:
        kept = choose(opened, ratio, criterion=task.criterion, scope=task.scope)
    return prepare(
        opened, floats.images, _calibration(task), kept, correct=task.correct, floats=floats,
        threads=task.threads,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _plan(task: Task, model: str, ratio: float, policy: str) -> Plan:
    targets = None if task.targets is None else read_targets(task.targets)
    workspace = _workspace(task, model, ratio)
    return find_policy(policy).plan(Problem(workspace=workspace, targets=targets))


def _calibration(task: Task) -> ImageSet:
    return task.calibration.open().first(CALIBRATION)


def _digest(model: str, network: Network) -> str:
    """SHA-256 of a model's file and, as they may lie elsewhere, of its weights."""
    weights = (layer.weight.load().tobytes() for layer in network.layers)
    return _hash(find(model).read_bytes(), *weights)


def _hash(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def _fingerprint(images: ImageSet) -> Mapping[str, Any]:
    """What tells images from others: how many, labels, some at each end as they are fed."""
    ends = [(0, min(SAMPLED, images.count)), (max(0, images.count - SAMPLED), images.count)]
    labels = b"" if images.labels is None else images.labels.tobytes()
    digest = _hash(*(images.read(start, stop).tobytes() for start, stop in ends), labels)
    return {"count": images.count, "labels": images.labels is not None, "sha256": digest}
