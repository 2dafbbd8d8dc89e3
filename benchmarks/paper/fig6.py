"""Figure 6: pruning, quantisation, and prune then quantise, with the widths of filters."""

from collections.abc import Iterator, Mapping
from math import log
from typing import Any

from benchmarks.paper.plots import Bars, Panel, over_cost
from benchmarks.paper.runs import Quick, Runs, widths
from benchmarks.paper.statistics import accuracy_at, curve, spread
from esnsim.training.admm import Admm
from esnsim.training.shrink import shrink

KEPT = (0.75, 0.5, 0.35, 0.25)
UNPRUNED = 8  # bits of pruning only
METRICS = {"esn_a": "ESNa, by MACs", "esn_d": "ESNd, by MACs (bits)"}
METHODS = ("pruning only", "quantisation only", "prune then quantise")
Points = list[dict[str, Any]]
QUICK, EPOCHS = Quick(epochs=6, images=5000), 16


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    (name,) = o.models or ["resnet20"]
    repeats = []
    for seed in o.seeds:
        base = runs.pretrained(name, seed)
        found = [{"kept": 1.0, "points": runs.points(base, widths("layer-max"))}]
        found += [{"kept": keep, "points": pruned(runs, name, seed, keep)} for keep in KEPT]
        repeats.append({"seed": seed, "models": found})
    groups = [by_method(repeat["models"]) for repeat in repeats]
    statements = {
        f"prune then quantise, less {other}: accuracy at equal {metric}": spread(
            [gain for group in groups for gain in gains(group, other, metric)]
        )
        for other in METHODS[:2]
        for metric in METRICS
    }
    chosen = at_equal_cost(groups[0])
    results = {"statements": statements, "repeats": repeats, "at_equal_esn_d": chosen}
    yield {"model": name, **results}


def draw(document: Mapping[str, Any]) -> list[Panel | Bars]:
    groups = by_method(document["repeats"][0]["models"])
    curves = over_cost(groups, METRICS, marks_only=METHODS[2:])
    chosen = document["at_equal_esn_d"]
    return [*curves, Bars({method: point["histogram"] for method, point in chosen.items()})]


def pruned(runs: Runs, name: str, seed: int, keep: float) -> Points:
    """ADMM for a quarter of the epochs, fine-tuning of the smaller model, and all widths."""
    o = runs.options
    model = runs.pretrained(name, seed)
    admm = Admm(model, runs.example, keep)
    few = runs.recipe(seed=seed, epochs=max(2, o.epochs // 4), learning_rate=0.02, warmup=0)
    runs.fit(f"fig6-{name}-admm-{keep}", model, few, admm=admm)
    masks = admm.finish()
    model = shrink(masks, runs.example)
    recipe = runs.recipe(seed=seed, batch=100, nesterov=False)
    runs.fit(f"fig6-{name}-tune-{keep}", model, recipe)
    points = runs.points(model, widths("layer-max"))
    for point in points:  # the filters that the smaller model left out
        point["histogram"]["0"] = point["histogram"].get("0", 0) + masks.pruned
    return points


def by_method(models: list[dict[str, Any]]) -> dict[str, Points]:
    slim = [p for m in models for p in m["points"] if m["kept"] < 1]
    groups = (
        [p for m in models for p in m["points"] if p["bits"] == UNPRUNED],
        models[0]["points"],
        [p for p in slim if p["bits"] < UNPRUNED],
    )
    return dict(zip(METHODS, groups, strict=True))


def gains(group: dict[str, Points], other: str, metric: str) -> list[float]:
    """Accuracy of the mixed method less that of another, at the cost of each of its points.

    Points that cost less than the mixed method's cheapest are left out.
    """
    mixed = curve(group[METHODS[2]], metric)
    costs = [cost for cost, _ in mixed]
    return [
        accuracy_at(mixed, cost) - top1
        for cost, top1 in curve(group[other], metric)
        if min(costs) <= cost <= max(costs)
    ]


def at_equal_cost(group: dict[str, Points]) -> dict[str, dict[str, Any]]:
    """The point of each method that costs about what quantisation alone does at its least width."""
    target = min(p["esn_d"]["macs"] for p in group[METHODS[1]])

    def distance(point: dict[str, Any]) -> float:
        return abs(log(point["esn_d"]["macs"] / target))

    near = {m: [p for p in points if distance(p) < 0.1] for m, points in group.items()}
    return {
        method: max(near[method], key=lambda p: p["accuracy"], default=min(points, key=distance))
        for method, points in group.items()
    }
