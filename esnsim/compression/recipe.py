"""What is to be done to a model."""

from dataclasses import dataclass
from math import isfinite
from numbers import Real
from pathlib import Path

from esnsim.compression.allocate.budget_metrics import check_metric
from esnsim.compression.allocate.effort import EFFORTS
from esnsim.compression.export.formats import FORMATS
from esnsim.compression.policies import find_policy
from esnsim.compression.round.methods import ROUNDINGS
from esnsim.errors import UsageError, check_known
from esnsim.machines.named.aim import AT
from esnsim.quantization.scheme import Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is compressed.

    A share `ratio` of its filters goes, the first by `criterion` in each `scope`; None: as many as
    pay for the aim, each layer its own share, by the noise that they leave at the output. Then
    weights become codes: by `scheme`, or where that is None by `policy` within a `budget` of
    `metric`, or
    for the least of it whose accuracy is at most `drop` (0 to 1) below the float model's, or whose
    outputs have an SQNR of `sqnr` dB at least. `rule` is the step rule of a policy that takes one,
    `effort` what the policy allocate spends on measuring. Codes are of a `rounding`, one of
    ROUNDINGS; None compensates where images calibrate.
    `targets` is the file of esna-targets, which can do without an aim, and `epoch` the one to take
    (None: the last). Statistics are corrected where `correct`. The model is written as `form`, with
    activations in eight bits where `activations`. Without `quantize` it is only pruned.
    """

    ratio: float | None = 0.0
    criterion: str = "norm"
    scope: str = "layer"
    scheme: Scheme | None = None
    policy: str = "allocate"
    rule: str | None = None
    targets: Path | None = None
    epoch: int | None = None
    metric: str = "esn_d_tilde"
    effort: str = "normal"
    budget: float | None = None
    drop: float | None = None
    sqnr: float | None = None
    correct: bool = True
    rounding: str | None = None
    form: str = "qdq"
    activations: bool = False
    quantize: bool = True

    @property
    def searches(self) -> bool:
        """Whether candidates are tried until one is good enough."""
        return self.drop is not None or self.sqnr is not None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", check_metric(self.metric))
        for name in ("budget", "drop", "sqnr"):
            aim = getattr(self, name)
            if aim is not None and not (isinstance(aim, Real) and isfinite(aim)):
                raise UsageError(f"{name} {aim!r}: give a finite number")
        ways = sum(way is not None for way in (self.scheme, self.budget, self.drop, self.sqnr))
        least = int(self.quantize and self.targets is None)
        if not least <= ways <= self.quantize:
            raise UsageError("give one of a budget, a drop of accuracy, an SQNR, and codes")
        if find_policy(self.policy).needs_targets != (self.targets is not None):
            raise UsageError("the policy esna-targets takes a file of targets, and no other does")
        if AT in self.metric and self.policy != "allocate":
            raise UsageError("a machine's budget is shared by the policy allocate alone")
        check_known("effort", self.effort, EFFORTS)
        if self.rounding is not None:
            check_known("rounding", self.rounding, ROUNDINGS)
        check_known("format", self.form, FORMATS)
        if self.ratio is None and (
            self.policy != "allocate" or ways != 1 or self.scheme is not None
        ):
            raise UsageError("as many filters as pay go for an aim under the policy allocate alone")
        if self.activations and not FORMATS[self.form].activations:
            raise UsageError("activations in integers are written as qdq alone: give that format")
        if not self.quantize and (self.form != "float" or not self.ratio):
            raise UsageError("without quantisation give a ratio of pruning and the format float")
