"""How filters share a budget: one table of policies, which commands, help and sweeps read.

A plan is made once for a workspace and gives codes for any budget. What a plan needs is imported
when it is made: the table itself is read by every `--help`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING

from esnsim.errors import UsageError, find_known
from esnsim.machines.named.aim import Aim

if TYPE_CHECKING:
    from esnsim.compression.allocate.allocate import Choices
    from esnsim.compression.allocate.targets import Target
    from esnsim.compression.workspace import Workspace
    from esnsim.model.network import Network
    from esnsim.quantization.filter_sums import Floats
    from esnsim.quantization.scheme import Scheme

FITTED = 1.02  # a budget on a machine is met within this factor
FURTHER, FURTHEST = 1.2, 4  # times the budget that is asked for, step by step, and at most

#: The codes for a budget in units of the metric; inf is no budget.
Plan = Callable[[float], "Scheme"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a policy plans for: a workspace, the metric of the budget, and what is known beside it.

    `rule` is the step rule of policies that take one. Noise at the output is measured, with an
    `effort`, where the workspace has images, unless `gains` of the filters are known; `targets` are
    there where training left them.
    """

    workspace: "Workspace"
    metric: str = "esn_d_tilde"
    rule: str | None = None
    targets: "tuple[Target, ...] | None" = None
    effort: str = "normal"
    gains: "Sequence[Floats] | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy: how it plans, what it does in words, and the step rule it goes by.

    `limit` says why it may spend less than a budget. `nominal`: a sweep takes its points at whole
    nominal widths, under any rule, and not at means.
    """

    plan: Callable[[Problem], Plan]
    words: str
    help: str
    rule: str
    limit: str
    nominal: bool = False
    needs_targets: bool = False


def _allocate(problem: Problem) -> Plan:
    """By noise at the output where it is measured, else by the squared error of the weights."""
    from esnsim.compression.allocate.allocate import choices
    from esnsim.compression.allocate.effort import EFFORTS
    from esnsim.compression.allocate.weighing import Allocator, allocator

    workspace, metric, rule = problem.workspace, problem.metric, problem.rule or "mse"
    aim = workspace.aim(metric)
    seen = workspace.evaluator is not None and workspace.calibration is not None
    if seen and (EFFORTS[problem.effort].probes or problem.gains is not None):
        assert workspace.calibration is not None
        best = allocator(
            workspace, workspace.calibration, metric, rule, effort=problem.effort,
            gains=problem.gains,
        )  # fmt: skip
    else:
        best = Allocator((choices(workspace.network, metric, rule, aim=aim),))
    if aim is None or not aim.machine.by_filter:
        return lambda budget: best(budget).scheme
    return lambda budget: _fitted(best.offer(budget), aim, workspace.network, budget)


def _fitted(offer: "Choices", aim: Aim, network: "Network", budget: float) -> "Scheme":
    """The scheme that takes most of a budget on a machine, where filters do not just add up."""
    from esnsim.compression.allocate.allocate import allocate
    from esnsim.quantization.quantizer import quantize

    def scheme(asked: float) -> "Scheme":
        return allocate(offer, max(offer.least, asked)).scheme

    def within(asked: float) -> bool:
        return aim.of(quantize(network, scheme(asked))) <= budget

    low = high = budget
    while within(high) and high < FURTHEST * budget:
        low, high = high, FURTHER * high
    if low == high:
        low = offer.least
    while high > FITTED * low:
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return scheme(low)


def _uniform(problem: Problem) -> Plan:
    from esnsim.compression.allocate.policies import uniform

    network, rule = problem.workspace.network, problem.rule or "layer-max"
    return lambda budget: uniform(network, budget, problem.metric, rule)


def _filter_sigma(problem: Problem) -> Plan:
    from esnsim.compression.allocate.policies import filter_sigma

    return lambda budget: filter_sigma(problem.workspace.network, budget, problem.metric)


def _esna_targets(problem: Problem) -> Plan:
    from esnsim.compression.allocate.targets import target_steps, within_budget
    from esnsim.quantization.scheme import Scheme

    network, targets = problem.workspace.network, problem.targets
    if targets is None:
        raise UsageError("the policy esna-targets needs the ESNa of training: give --targets")
    return lambda budget: (
        Scheme(given_steps=target_steps(network, targets)) if isinf(budget)
        else within_budget(network, targets, budget, problem.metric)
    )  # fmt: skip


POLICIES = {
    "allocate": Policy(
        plan=_allocate, rule="mse", words="widths allocated for least noise",
        help="a width a filter, for the least noise at the output",
        limit="no wider filter fits, or all that there is to offer is taken (8 bits)",
    ),
    "uniform": Policy(
        plan=_uniform, rule="layer-max", nominal=True, words="one nominal width",
        help="one nominal width", limit="a wider uniform width does not fit",
    ),
    "filter-sigma": Policy(
        plan=_filter_sigma, rule="filter-sigma", words="steps of one multiple of σ",
        help="one multiple of σ, our reconstruction of Sasaki et al. 2019",
        limit="a smaller multiple of σ takes codes of more than 16 bits, or costs more",
    ),
    "esna-targets": Policy(
        plan=_esna_targets, rule="given", needs_targets=True, words="steps by targets of ESNa",
        help="the ESNa of each layer in training",
        limit="larger targets take codes of more than 16 bits, or cost more",
    ),
}  # fmt: skip


def find_policy(name: str) -> Policy:
    """A policy by its name. Raises UsageError for one that there is none of."""
    return find_known("policy", name, POLICIES)
