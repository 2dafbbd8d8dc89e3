"""Of allocations that weigh noise differently, the one that measures best.

No weighing of the filters' errors is best for every network and every budget: gains are measured
one filter at a time, and the noise of many is not quite their sum (docs/allocate.md). So a budget
is spent under each, and what is kept leaves the least noise at the output for calibration images.
"""

from dataclasses import dataclass, replace

from esnsim.compression.allocate.allocate import Allocation, Choices, allocate, choices, every_width
from esnsim.compression.allocate.effort import EFFORTS, Effort
from esnsim.compression.allocate.sensitivity import PROBES, drawn, sensitivity
from esnsim.compression.round.methods import NEAREST
from esnsim.compression.workspace import Workspace
from esnsim.errors import UsageError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.images.sets import ImageSet
from esnsim.quantization.quantizer import quantize

PROBED = 64  # images that gains are measured with
JUDGED = 128  # images that allocations are compared on
JOINED = 3.0  # probes of its layer's average that count beside a filter's own


@dataclass(frozen=True, slots=True)
class Allocator:
    """The choices of one network's filters under several weighings, and images to judge by."""

    offers: tuple[Choices, ...]
    judge: Workspace

    def __call__(self, budget: float) -> Allocation:
        """The allocation of most SQNR within a budget, in units of the metric.

        Raises WidthError where the budget is below the least possible.
        """
        able = [offer for offer in self.offers if budget >= offer.least]
        found = [allocate(offer, budget) for offer in able or self.offers]
        return found[0] if len(found) == 1 else max(found, key=self._sqnr)

    def _sqnr(self, found: Allocation) -> float:
        return self.judge.evaluate(quantize(self.judge.network, found.scheme)).sqnr_db


def allocator(
    workspace: Workspace,
    images: ImageSet,
    metric: str = "esn_d_tilde",
    rule: str = "mse",
    threads: int = 0,
    effort: str | int = "normal",
) -> Allocator:
    """Weigh by gains with pruning, by gains as measured without, and by squared error alone.

    `images` calibrate, their labels unseen; the workspace has images, too. `effort` is one of
    EFFORTS, or the most MACs of all probes. Raises UsageError for another.
    """
    given = Effort(PROBES, effort, "given") if isinstance(effort, int) else EFFORTS.get(effort)
    if given is None:
        raise UsageError(f"no effort '{effort}': use one of {', '.join(EFFORTS)}")
    if workspace.evaluator is None:
        raise UsageError("there is nothing to measure noise on: prepare the model with images")
    model, network, scored = workspace.model, workspace.network, workspace.evaluator.scored
    threads = threads or workspace.threads
    gains = sensitivity(
        model, images.first(PROBED), threads=threads, centred=workspace.corrector is not None,
        trust=1.0, scored=scored, probes=given.probes, effort=given.macs, joined=JOINED,
    )  # fmt: skip
    runs = every_width(network, rule)
    offers = (
        choices(network, metric, rule, drawn(gains), runs=runs),
        choices(network, metric, rule, gains, prune=False, runs=runs),
        choices(network, metric, rule, runs=runs),
    )
    judged = replace(images.first(JUDGED), labels=None)
    whole = Evaluator(workspace.whole, judged, threads=threads, scored=scored).reference
    evaluator = Evaluator(model, judged, whole, threads, scored=scored)
    return Allocator(offers, replace(workspace, evaluator=evaluator, rounding=NEAREST))
