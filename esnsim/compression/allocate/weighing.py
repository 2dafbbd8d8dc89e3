"""Of allocations that weigh noise differently, the one that measures best.

No weighing of the filters' errors is best for every network and every budget: gains are measured
one filter at a time, and the noise of many is not quite their sum (docs/allocate.md). So a budget
is spent under each, and what is kept leaves the least noise at the output for calibration images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log2

import numpy as np

from esnsim.compression.allocate.allocate import Allocation, Choices, allocate, choices, every_width
from esnsim.compression.allocate.effort import EFFORTS, Effort
from esnsim.compression.allocate.sensitivity import PROBES, drawn, sensitivity
from esnsim.compression.round.methods import COMPENSATED
from esnsim.compression.round.reference import Reference
from esnsim.compression.round.remaining import remaining
from esnsim.compression.workspace import Workspace, float_targets
from esnsim.errors import UsageError, find_known
from esnsim.images.sets import ImageSet
from esnsim.quantization.filter_sums import Floats
from esnsim.quantization.quantizer import quantize

PROBED = 64  # images that gains are measured with
JUDGED = 128  # images that allocations are compared on
JOINED = 3.0  # probes of its layer's average that count beside a filter's own


@dataclass(frozen=True, slots=True)
class Allocator:
    """The choices of one network's filters under several weighings, and images to judge by.

    `best` is the place of the offer that was found best for budgets of like size, by their `_size`.
    """

    offers: tuple[Choices, ...]
    judge: Workspace
    best: dict[int, int] = field(default_factory=dict)

    def __call__(self, budget: float) -> Allocation:
        """The allocation of most SQNR within a budget, in units of the metric.

        Raises WidthError where the budget is below the least possible.
        """
        able = [offer for offer in self.offers if budget >= offer.least]
        if len(able) < len(self.offers):
            return self._judged(able or self.offers, budget)[1]
        place = self.best.get(_size(budget))
        if place is not None:
            return allocate(self.offers[place], budget)
        self.best[_size(budget)], found = self._judged(able, budget)
        return found

    def offer(self, budget: float) -> Choices:
        """The offer whose allocation within a budget is the best."""
        able = [offer for offer in self.offers if budget >= offer.least] or self.offers[:1]
        return able[self._judged(able, budget)[0]]

    def _judged(self, offers: Sequence[Choices], budget: float) -> tuple[int, Allocation]:
        found = [allocate(offer, budget) for offer in offers]
        if len(found) == 1:
            return 0, found[0]
        worth = [
            self.judge.evaluate(quantize(self.judge.network, each.scheme)).sqnr_db for each in found
        ]
        best = int(np.argmax(worth))
        return best, found[best]


def _size(budget: float) -> int:
    """The same for budgets within a factor of √2."""
    return round(2 * log2(budget))


def allocator(
    workspace: Workspace,
    images: ImageSet,
    metric: str = "esn_d_tilde",
    rule: str = "mse",
    threads: int = 0,
    effort: str | int = "normal",
    gains: Sequence[Floats] | None = None,
) -> Allocator:
    """Weigh by gains with pruning, and by squared error alone.

    Where codes compensate gains are of the noise that they leave; else a third weighing is by gains
    as they were measured, without pruning. `images` calibrate, their labels unseen; the workspace
    has images, too. `gains` are those of `gains_of`, measured here with an `effort` unless given.
    """
    threads, given = threads or workspace.threads, _effort(effort)
    found = gains_of(workspace, images, effort, threads) if gains is None else list(gains)
    model, network = workspace.model, workspace.network
    runs = every_width(network, rule)
    aim = workspace.aim(metric)
    plain = choices(network, metric, rule, runs=runs, aim=aim)
    if workspace.rounding == COMPENSATED:
        centred = workspace.corrector is not None
        noises = remaining(model, images, runs, rule, centred, threads)
        weighed = choices(network, metric, rule, drawn(found), runs=runs, aim=aim, noises=noises)
        if not given.compared:
            return Allocator((weighed,), workspace)
        return Allocator((weighed, plain), _judge(workspace))
    offers = (
        choices(network, metric, rule, drawn(found), runs=runs, aim=aim),
        choices(network, metric, rule, found, prune=False, runs=runs, aim=aim),
        plain,
    )
    return Allocator(offers, _judge(workspace))


def _effort(effort: str | int) -> Effort:
    if isinstance(effort, int):
        return Effort(probes=PROBES, macs=effort, compared=True, help="given")
    return find_known("effort", effort, EFFORTS)


def gains_of(
    workspace: Workspace, images: ImageSet, effort: str | int, threads: int
) -> list[Floats]:
    """The gains of each layer's filters (M, 2) as `sensitivity` measures them.

    `effort` is one of EFFORTS, or the most MACs of all probes. Raises UsageError for another.
    """
    given = _effort(effort)
    if workspace.evaluator is None:
        raise UsageError("there is nothing to measure noise on: prepare the model with images")
    return sensitivity(
        workspace.model, images.first(PROBED), threads=threads,
        centred=workspace.corrector is not None, trust=1.0, scored=workspace.evaluator.scored,
        probes=max(1, given.probes), effort=given.macs, joined=JOINED,
    )  # fmt: skip


def _judge(workspace: Workspace) -> Workspace:
    """The workspace on few of the calibration images; where codes compensate they see as few.

    A journal is for codes that see all.
    """
    images = workspace.calibration
    assert images is not None
    floats = workspace.floats_on(images.after(max(0, images.count - JUDGED)))
    workspace = replace(workspace, evaluator=floats.of(workspace.model), journal=None)
    if workspace.rounding != COMPENSATED:
        return workspace
    few, targets = images.first(JUDGED), workspace.targets
    reference = Reference(workspace.whole, few, workspace.threads)
    if targets is not None:
        targets = float_targets(workspace.whole, workspace.kept, reference)
    return replace(workspace, calibration=few, targets=targets, reference=reference)
