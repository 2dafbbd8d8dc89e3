"""What is to be done to a model, and how a budget becomes the codes of its filters."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isinf
from pathlib import Path

from esnsim.compression.allocate.allocate import allocate, choices
from esnsim.compression.allocate.policies import filter_sigma, uniform
from esnsim.compression.allocate.targets import read_targets, target_steps, within_budget
from esnsim.compression.allocate.weighing import allocator
from esnsim.compression.bench import Bench
from esnsim.errors import UsageError
from esnsim.images.sets import ImageSet
from esnsim.model.network import Network
from esnsim.quantization.quantizer import Scheme

POLICIES = ("allocate", "uniform", "filter-sigma", "esna-targets")

#: Gives the codes for a budget.
Planner = Callable[[float], Scheme]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is compressed.

    A share `ratio` of its filters goes, the first by `criterion` in each `scope`. Then weights
    become codes: by `scheme`, or where that is None by `policy` within a `budget` of `metric`, or
    for the least of it whose accuracy is at most `drop` (0 to 1) below the float model's. `rule`
    is the step rule of a policy that takes one. `targets` is the file of esna-targets, which can
    do without an aim, and `epoch` the one to take (None: the last). Statistics are corrected where
    `correct`. The model is written as `form`, with activations in eight bits where `activations`.
    Without `quantize` it is only pruned.
    """

    ratio: float = 0.0
    criterion: str = "norm"
    scope: str = "layer"
    scheme: Scheme | None = None
    policy: str = "allocate"
    rule: str | None = None
    targets: Path | None = None
    epoch: int | None = None
    metric: str = "esn_d_tilde"
    budget: float | None = None
    drop: float | None = None
    correct: bool = True
    form: str = "qdq"
    activations: bool = False
    quantize: bool = True

    def __post_init__(self) -> None:
        ways = sum(way is not None for way in (self.scheme, self.budget, self.drop))
        least = int(self.quantize and self.targets is None)
        if not least <= ways <= self.quantize:
            raise UsageError("give one of a budget, a drop of accuracy, and codes")
        if (self.policy == "esna-targets") != (self.targets is not None):
            raise UsageError("the policy esna-targets takes a file of targets, and no other does")
        if self.policy not in POLICIES:
            raise UsageError(f"no policy '{self.policy}': use one of {', '.join(POLICIES)}")
        if self.activations and self.form != "qdq":
            raise UsageError("activations in integers are written as qdq alone: give that format")
        if not self.quantize and (self.form != "float" or not self.ratio):
            raise UsageError("without quantisation give a ratio of pruning and the format float")


def planner(
    recipe: Recipe, network: Network, made: Bench | None, images: ImageSet | None, threads: int = 0
) -> Planner:
    """The codes of a policy for any budget, inf for none; what budgets share is made here, once.

    `allocate` weighs the noise of each filter by what of it reaches the output on `images`, or
    where there are none takes the squared error of the weights.
    """
    metric = recipe.metric
    if recipe.targets is not None:
        targets = read_targets(recipe.targets, recipe.epoch)
        return lambda budget: (
            Scheme(given_steps=target_steps(network, targets)) if isinf(budget)
            else within_budget(network, targets, budget, metric)
        )  # fmt: skip
    if recipe.policy == "uniform":
        return lambda budget: uniform(network, budget, metric, recipe.rule or "layer-max")
    if recipe.policy == "filter-sigma":
        return lambda budget: filter_sigma(network, budget, metric)
    rule = recipe.rule or "mse"
    if made is not None and images is not None:
        best = allocator(made, images, metric, rule, threads)
        return lambda budget: best(budget).scheme
    offer = choices(network, metric, rule)
    return lambda budget: allocate(offer, budget).scheme
