"""A sweep: every candidate pruned, quantised, corrected, evaluated and priced.

All that candidates of one pruning ratio share (the smaller graph, its images, what allocation has
to know) is made once in each process and kept until another ratio comes.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import lru_cache, partial
from threading import Lock

from esnsim.compression.policies import Plan, Problem, find_policy
from esnsim.compression.prune.prune import choose
from esnsim.compression.round.reference import Reference
from esnsim.compression.workspace import Workspace, prepare
from esnsim.costs.cost import cost
from esnsim.errors import EsnsimError, WidthError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.graph.branches import specialised
from esnsim.graph.model import Model, open_model
from esnsim.graph.sites import unquantisable_layers
from esnsim.importer import find
from esnsim.machines.named.aim import AT
from esnsim.quantization.scheme import DEFAULT_BITS, Scheme
from esnsim.sweeps import cluster, workers
from esnsim.sweeps.frontier import Sweep
from esnsim.sweeps.points import Baseline, Candidate, Point, Refused
from esnsim.sweeps.results import Finished, ResultsError
from esnsim.sweeps.task import Task, sha256

MODELS = 8  # that stay open; their weights are in their files

_ONE_AT_A_TIME = Lock()  # the threads of a Dask worker share what is kept

#: Sees a sweep as it stands: before its first point, and after each.
Watch = Callable[[Sweep], None]


def sweep(
    task: Task,
    grid: Sequence[Candidate],
    finished: Finished,
    metric: str = "esn_d_tilde",
    drop: float = 0.01,
    jobs: int = 1,
    scheduler: str | None = None,
    watch: Watch = lambda found: None,
) -> Sweep:
    """The points of a grid: those that are finished already, and the others, as they are taken.

    Here, on `jobs` processes of this machine, or on a Dask cluster at `scheduler`. Raises
    WidthError where no point of the grid can be made, ResultsError where what is finished is of
    another model.
    """
    for kept in (_opened, _floats, _workspace, _plan):
        kept.cache_clear()  # files may have changed since
    images, binding, refused = task.described, task.binding, list[Refused]()
    stay, baselines = list[str](), list[Baseline]()

    def found() -> Sweep:
        points = tuple(finished.points[c] for c in grid if c in finished.points)
        return Sweep(
            images=images, baselines=tuple(baselines), points=points, metric=metric, drop=drop,
            grid=len(grid), refused=tuple(refused), binding=binding, stay_float=tuple(stay),
        )  # fmt: skip

    for name, _ in task.files:
        stay += [f"{name}: {edit}" for edit in _opened(task, name).edits]
        stay += _stay_float(task, name)
        baselines.append(_measured(task, name, finished))
    watch(found())
    todo = [candidate for candidate in grid if candidate not in finished.points]
    with closing(run_candidates(task, todo, jobs, scheduler)) as items:
        for item in items:
            if isinstance(item, Refused):
                refused.append(item)
            else:
                finished.add(item)
            watch(found())
    result = found()
    if not result.points:
        reason = f": {refused[0].reason}" if refused else ""
        raise WidthError(f"no point of the grid can be made{reason}; give other --bits")
    return result


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
            found = workspace.candidate(_scheme(task, candidate))
            evaluation = workspace.judged(found.changes)
    except EsnsimError as error:
        return Refused(candidate, str(error))
    priced = cost(found.quantized)
    histogram = priced.histogram
    histogram[0] = histogram.get(0, 0) + workspace.removed
    return Point(
        candidate=candidate, total=priced.total, evaluation=evaluation, histogram=histogram,
        seconds=time.perf_counter() - started,
        on_machine=workspace.spent(found.quantized, task.metric) if AT in task.metric else None,
    )  # fmt: skip


def _measured(task: Task, name: str, finished: Finished) -> Baseline:
    """A model in float: what is finished, or measured now and added to it.

    Raises ResultsError where what is finished is of another file of that name.
    """
    layers = _opened(task, name).network.layers
    weights = (layer.weight.load().tobytes() for layer in layers)  # they may lie elsewhere
    digest = sha256(find(dict(task.files)[name]).read_bytes(), *weights)
    known = finished.baselines.get(name)
    if known is None:
        whole = _floats(task, name)
        known = Baseline(
            model=name, sha256=digest, macs=sum(layer.macs for layer in layers),
            filters=sum(layer.filters for layer in layers), evaluation=whole.floats,
            scored=whole.scored,
        )  # fmt: skip
        finished.add(known)
    if known.sha256 != digest:
        raise ResultsError(
            f"'{finished.path}' was made with another '{name}', whose contents differ: give the "
            "same, or another --results"
        )
    return known


def _stay_float(task: Task, name: str) -> list[str]:
    """Which layers of a model no candidate changes, a sentence for each reason."""
    layers: dict[str, list[str]] = {}
    for layer, reason in unquantisable_layers(_opened(task, name)):
        if layer.weight.codes is None:
            layers.setdefault(reason, []).append(layer.name)
    return [
        f"{name}: layer '{found[0]}'{f' and {len(found) - 1} more' if len(found) > 1 else ''} "
        f"stays float, counted at {DEFAULT_BITS} bits: {reason}"
        for reason, found in layers.items()
    ]


def _scheme(task: Task, candidate: Candidate) -> Scheme:
    if find_policy(candidate.policy).nominal:
        return Scheme(rule=candidate.rule, bits=int(candidate.bits))
    network = _workspace(task, candidate.model, candidate.ratio).network
    plan = _plan(task, candidate.model, candidate.ratio, candidate.policy)
    return plan(candidate.bits * sum(layer.macs for layer in network.layers))


@lru_cache(maxsize=MODELS)
def _opened(task: Task, name: str) -> Model:
    model = open_model(dict(task.files)[name], dict(task.shapes), dict(task.values))
    return specialised(model)


@lru_cache(maxsize=1)
def _floats(task: Task, name: str) -> Evaluator:
    """A model as it is on the images."""
    images = task.images.open()
    return Evaluator(_opened(task, name), images, threads=task.threads, scored=task.scoring)


@lru_cache(maxsize=1)
def _reference(task: Task, name: str) -> Reference:
    """What a model gives on the images that calibrate."""
    return Reference(_opened(task, name), task.calibrating, task.threads)


@lru_cache(maxsize=1)
def _workspace(task: Task, name: str, ratio: float) -> Workspace:
    model, kept, floats = _opened(task, name), None, _floats(task, name)
    if ratio:
        kept = choose(model, ratio, criterion=task.criterion, scope=task.scope)
    return prepare(
        model, floats.images, task.calibrating, kept, correct=task.correct,
        rounding=task.rounding, floats=floats, threads=task.threads,
        reference=_reference(task, name),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _plan(task: Task, name: str, ratio: float, policy: str) -> Plan:
    workspace = _workspace(task, name, ratio)
    return find_policy(policy).plan(Problem(workspace=workspace, targets=task.target))
