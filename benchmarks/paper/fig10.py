"""Figure 10: the two networks of figure 8 on the same axes, from its results."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.paper.fig8 import ACIQ
from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, Runs
from benchmarks.paper.statistics import Curve, accuracy_at, curve, frontier, percent
from esnsim.errors import EsnsimError

METRICS = {"esn_a": "ESNa, by MACs", "esn_d_tilde": "MAC×bit"}
QUICK, EPOCHS = Quick(epochs=1, images=1), 1


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    source = o.output / f"fig8{'-quick' if o.quick else ''}.json"
    if not source.exists():
        raise EsnsimError(f"there is no '{source}': run fig8 with the same options first")
    document = json.loads(source.read_text())
    first, second = list(document["models"])[:2]
    statements = {
        metric: ranges(*(points(document, name, metric) for name in (first, second)))
        for metric in METRICS
    }
    frontiers = {
        name: {metric: frontier(points(document, name, metric)) for metric in METRICS}
        for name in (first, second)
    }
    results = {"source": source.name, "statements": statements, "frontiers": frontiers}
    yield {"options": document["options"], **results}


def draw(document: Mapping[str, Any]) -> list[Panel]:
    return [
        Panel(
            {name: percent(found[metric]) for name, found in document["frontiers"].items()},
            title, "accuracy, %", log="x",
        )
        for metric, title in METRICS.items()
    ]  # fmt: skip


def points(document: dict[str, Any], name: str, metric: str) -> Curve:
    found = document["models"][name]
    return [p for label, ps in found.items() if label != ACIQ for p in curve(ps, metric)]


def ranges(first: Curve, second: Curve) -> dict[str, Any]:
    """Below which cost the first network is the more accurate one, if anywhere."""
    costs = sorted(cost for cost, _ in (*first, *second))
    better = [c for c in costs if accuracy_at(first, c) > accuracy_at(second, c)]
    return {
        "costs compared": [costs[0], costs[-1]],
        "the first network is better up to": max(better, default=None),
        "share of costs where the first is better": len(better) / len(costs),
    }
