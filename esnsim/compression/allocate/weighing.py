"""Of allocations that weigh noise differently, the one that measures best.

No weighing of the filters' errors is best for every network and every budget: gains are measured
one filter at a time, and the noise of many is not quite their sum (docs/allocate.md). So a budget
is spent under each, and what is kept leaves the least noise at the output for calibration images:
of nearest codes themselves, and where codes compensate, of noise as large as they leave.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import log2

import numpy as np

from esnsim.compression.allocate.allocate import (
    Allocation,
    Choices,
    allocate,
    choices,
    errors_of,
    every_width,
)
from esnsim.compression.allocate.effort import EFFORTS, Effort
from esnsim.compression.allocate.injection import injection
from esnsim.compression.allocate.sensitivity import PROBES, drawn, sensitivity
from esnsim.compression.round.methods import COMPENSATED
from esnsim.compression.round.remaining import remaining
from esnsim.compression.workspace import Workspace
from esnsim.errors import UsageError, find_known
from esnsim.images.sets import ImageSet
from esnsim.quantization.filter_sums import Floats
from esnsim.quantization.quantizer import quantize

PROBED = 64  # images that gains are measured with
JUDGED = 128  # images that nearest codes are compared on
JOINED = 3.0  # probes of its layer's average that count beside a filter's own
EVENED = (0.75, 0.5)  # shares of gains as measured, beside one width for all

#: The SQNR in dB that an allocation is worth.
Judge = Callable[[Allocation], float]


@dataclass(frozen=True, slots=True)
class Allocator:
    """The choices of one network's filters under several weighings, and what tells them apart.

    `best` is the place of the offer that was found best for budgets within a factor of √2.
    """

    offers: tuple[Choices, ...]
    judge: Judge | None = None
    best: dict[int, int] = field(default_factory=dict)

    def __call__(self, budget: float) -> Allocation:
        """The allocation of most SQNR within a budget, in units of the metric.

        Raises WidthError where the budget is below the least possible.
        """
        return allocate(self.offer(budget), budget)

    def offer(self, budget: float) -> Choices:
        """The offer whose allocation within a budget is the best. Raises WidthError like it."""
        able = [offer for offer in self.offers if budget >= offer.least]
        if not able:
            allocate(self.offers[0], budget)  # says what the least is
        if self.judge is None or len(able) == 1:
            return able[0]
        if len(able) < len(self.offers):
            return able[_best(self.judge, able, budget)]
        size = round(2 * log2(budget))  # the same for budgets within a factor of √2
        if size not in self.best:
            self.best[size] = _best(self.judge, able, budget)
        return able[self.best[size]]


def _best(judge: Judge, offers: Sequence[Choices], budget: float) -> int:
    """The place of the offer that is judged best."""
    return int(np.argmax([judge(allocate(offer, budget)) for offer in offers]))


def allocator(
    workspace: Workspace,
    images: ImageSet,
    metric: str = "esn_d_tilde",
    rule: str = "mse",
    threads: int = 0,
    effort: str | int = "normal",
    gains: Sequence[Floats] | None = None,
) -> Allocator:
    """Weigh by gains with pruning, in several ways.

    Where codes compensate gains are of the noise that they leave: drawn to their median, or as they
    were measured with widths less unlike. Else a second weighing is by gains as they were measured,
    without pruning, and a third by squared error alone. `images` calibrate, their labels unseen;
    the workspace has images, too. `gains` are those of `gains_of`, measured here with an `effort`
    unless given.
    """
    threads = threads or workspace.threads
    found = gains_of(workspace, images, effort, threads) if gains is None else list(gains)
    model, network = workspace.model, workspace.network
    runs = every_width(network, rule)
    errors, aim = errors_of(runs), workspace.aim(metric)

    def offer(gains: Sequence[Floats] | None, prune: bool | None = None) -> Choices:
        return choices(network, metric, rule, gains, prune, runs=runs, errors=errors, aim=aim)

    if workspace.rounding == COMPENSATED:
        centred = workspace.corrector is not None
        left = remaining(model, images, runs, rule, centred, threads)
        errors = [near if each is None else each for near, each in zip(errors, left, strict=True)]
        measured = offer(found)
        alike = [evened(measured, share) for share in EVENED]
        return Allocator((offer(drawn(found)), *alike), injection(workspace, errors))
    offers = offer(drawn(found)), offer(found, prune=False), offer(None)
    return Allocator(offers, _by_nearest(workspace))


def evened(offer: Choices, share: float) -> Choices:
    """Choices whose widths are less unlike: of 0 one width for all, of 1 as they are.

    Noise is drawn, on a logarithmic scale, to one under which every filter gains as much for what
    its first bit costs.
    """
    widths = np.arange(offer.cost.shape[1])
    even = np.maximum(offer.cost[:, 1:2], 1) * 4.0**-widths
    return replace(offer, noise=offer.noise**share * even ** (1 - share))


def _effort(effort: str | int) -> Effort:
    if isinstance(effort, int):
        return Effort(probes=PROBES, macs=effort, help="given")
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


def _by_nearest(workspace: Workspace) -> Judge:
    """What nearest codes are worth on the last of the images that calibrate."""
    images = workspace.calibration
    assert images is not None
    floats = workspace.floats_on(images.after(max(0, images.count - JUDGED)))
    few = replace(workspace, evaluator=floats.of(workspace.model), journal=None)
    return lambda each: few.evaluate(quantize(few.network, each.scheme)).sqnr_db
