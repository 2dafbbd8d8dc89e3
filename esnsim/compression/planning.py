"""A policy's plan, made when it is first asked; what a journal knows of it is not made again."""

from collections.abc import Callable, Mapping

import numpy as np

from esnsim.compression.policies import POLICIES, Plan, Problem
from esnsim.model.network import Array
from esnsim.quantization.filter_sums import Ints
from esnsim.quantization.scheme import Scheme

WIDTHS = "widths of "


def planned(problem: Problem, policy: str, begins: Callable[[], None]) -> Plan:
    """The plan of a policy; `begins` is called before it is made."""
    journal, removed = problem.workspace.journal, problem.workspace.removed
    made: list[Plan] = []

    def plan(budget: float) -> Scheme:
        key = f"plan of {budget!r} without {removed} filters"
        known = journal.get(key) if journal else None
        if known is not None:
            return Scheme(rule=str(known["rule"]), widths=_by_layer(known))
        if not made:
            begins()
            made.append(POLICIES[policy].plan(problem))
        scheme = made[0](budget)
        if journal and scheme.rule and isinstance(scheme.widths, Mapping):
            widths = {f"{WIDTHS}{name}": np.asarray(w) for name, w in scheme.widths.items()}
            journal.put(key, {"rule": np.array(scheme.rule), **widths})
        return scheme

    return plan


def _by_layer(arrays: Mapping[str, Array]) -> dict[str, Ints]:
    names = [name for name in arrays if name.startswith(WIDTHS)]
    return {name.removeprefix(WIDTHS): arrays[name] for name in names}
