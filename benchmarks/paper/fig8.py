"""Figure 8: networks pruned to 0.25 to 1 of their width, tuned, quantised, against ACIQ."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from benchmarks.embedded.__main__ import SHIPPED
from benchmarks.embedded.slim import slim_name
from benchmarks.paper.plots import Panel, over_cost
from benchmarks.paper.runs import BUILTIN, Quick, Runs, widths
from benchmarks.paper.statistics import accuracy_at, cost_at, curve
from esnsim.quantization.scheme import Scheme
from esnsim.training.export import load_onnx
from esnsim.training.masks import prune_by_norm
from esnsim.training.shrink import shrink

KEPT = (0.25, 0.5, 0.75, 1.0)
TUNING = 4  # epochs
ALPHAS = [2.0**e for e in (-4, -3, -2, -1, -0.5, 0, 0.5, 1, 1.5)]
METRICS = {
    "esn_a": "ESNa, by MACs", "esn_d": "ESNd, by MACs (bits)", "esn_d_tilde": "MAC×bit",
}  # fmt: skip
ACIQ, WHOLE = "ACIQ (1x)", "ours (1.0x)"
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.87, 0.9, 0.92, 0.93, 0.94)
QUICK, EPOCHS = Quick(epochs=6, images=5000), 30


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    seeds = runs.options.seeds
    models, others = {}, {}
    for name in runs.options.models or ["resnet8", "resnet20"]:
        models[name], *again = [sweep(runs, name, seed) for seed in seeds]
        others[name] = dict(zip(seeds[1:], map(factors, again), strict=True))
        yield {
            "statements": {n: factors(m) for n, m in models.items()},
            "slim less whole": {n: gains(m) for n, m in models.items()},
            "slim networks that ship": [n for n in models if ships(runs, n)],
            "models": models,
            "factors of other seeds": others,
        }


def draw(document: Mapping[str, Any]) -> list[Panel]:
    return [
        panel
        for name, found in document["models"].items()
        for panel in over_cost(found, {key: f"{title}, {name}" for key, title in METRICS.items()})
    ]


def sweep(runs: Runs, name: str, seed: int) -> dict[str, list[dict[str, Any]]]:
    """All points: ours at each width of the network, and ACIQ on the whole one.

    Both have the statistics of BatchNormalization corrected with unlabelled images.
    """
    found = {}
    for keep in KEPT:
        model = tuned(runs, name, keep, seed)
        if keep == 1:
            found[ACIQ] = runs.points(model, widths("aciq"), correct=True)
        schemes = [Scheme(rule="filter-sigma", alpha=alpha) for alpha in ALPHAS]
        found[f"ours ({keep}x)"] = runs.points(model, schemes, correct=True)
    return found


def tuned(runs: Runs, name: str, keep: float, seed: int) -> nn.Module:
    """The trained network without the filters of least norm, tuned for 4 epochs (Section 3).

    With --start builtin the slim networks that ship are taken, which were tuned for longer.
    """
    model = runs.pretrained(name, seed)
    if keep == 1:
        return model
    smaller = shrink(prune_by_norm(model, runs.example, keep), runs.example)
    if ships(runs, name):
        load_onnx(smaller, f"builtin:{slim_name(name, keep)}")
        return smaller
    recipe = runs.recipe(seed=seed, epochs=TUNING, batch=64, drops=(2, 3), warmup=0, nesterov=False)
    return runs.fit(f"fig8-{name}-{keep}", smaller, recipe)


def ships(runs: Runs, name: str) -> bool:
    """Whether the slim networks are the embedded ones."""
    return runs.options.start == BUILTIN and (SHIPPED / f"{slim_name(name, KEPT[0])}.onnx").exists()


def factors(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """How many times less ours costs than ACIQ at each level of accuracy that both reach.

    `factor_unpruned` is that of our steps on the whole network: what pruning adds is the rest.
    """
    slim = [p for label, points in found.items() if label != ACIQ for p in points]
    rows: dict[str, Any] = {}
    for metric in METRICS:
        curves = [curve(points, metric) for points in (found[ACIQ], slim, found[WHOLE])]
        rows[metric] = []
        for level in LEVELS:
            aciq, ours, whole = (cost_at(each, level) for each in curves)
            if aciq and ours:
                row = {"accuracy": level, "aciq": aciq, "ours": ours, "factor": aciq / ours}
                rows[metric].append(row | {"factor_unpruned": aciq / whole if whole else None})
    return rows


def gains(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, float]]]:
    """Accuracy of pruned and quantised networks less that of the whole one quantised.

    At the cost of each point of the whole one that the slimmest network's cheapest undercuts.
    """
    slim = [p for label, points in found.items() if label not in (ACIQ, WHOLE) for p in points]
    return {
        metric: [
            {"cost": cost, "whole": top1, "slim_minus_whole": best - top1}
            for cost, top1 in curve(found[WHOLE], metric)
            if (best := accuracy_at(curve(slim, metric), cost))
        ]
        for metric in METRICS
    }
