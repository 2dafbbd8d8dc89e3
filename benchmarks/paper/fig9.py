"""Figure 9: a policy of widths from the ESNa of each layer during training (Appendix B)."""

from collections.abc import Mapping
from math import log2
from typing import Any

from torch import nn

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, Runs, start, widths
from benchmarks.paper.statistics import accuracy_at, frontier
from esnsim.quantizer import Scheme

SHIFTS = range(-6, 7)  # targets from training, times 4^shift: one bit each


def main(argv: list[str]) -> int:
    runs = start(argv, __doc__, Quick(epochs=8, images=5000), epochs=20)
    o = runs.options
    (name,) = o.models or ["vgg7-0.25x"]
    model = runs.build(name)
    epochs = runs.tracked(f"fig9-{name}", model, runs.recipe(nesterov=False))
    uniform = runs.points(model, widths("layer-max"))
    policy = runs.points(model, schemes(runs, model, epochs[-2]["esn_a_per_layer"]))
    gains = [
        {"esn_a": cost, "uniform": top1, "policy": accuracy_at(cost_and_accuracy(policy), cost)}
        for cost, top1 in frontier(cost_and_accuracy(uniform))
    ]
    better = sum(g["policy"] > g["uniform"] for g in gains)
    statements = {
        "points of uniform width at whose ESNa the policy is better": f"{better} of {len(gains)}",
        "accuracy of both": gains,
    }
    results = {
        "model": name, "statements": statements, "epochs": epochs,
        "uniform": uniform, "policy": policy,
    }  # fmt: skip
    runs.save("fig9", results, draw)
    return 0


def draw(document: Mapping[str, Any]) -> list[Panel]:
    curves = {
        "during training": [(e["esn_a"], e["accuracy"]) for e in document["epochs"]],
        "the same width in all layers": cost_and_accuracy(document["uniform"]),
        "widths from ESNa during training": cost_and_accuracy(document["policy"]),
    }
    drawn = {label: [(c, 100 * a) for c, a in curve] for label, curve in curves.items()}
    return [Panel(drawn, "ESNa", "accuracy, %", log="x", marks_only=["during training"])]


def cost_and_accuracy(points: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(p["esn_a"]["weights"], p["accuracy"]) for p in points]


def schemes(runs: Runs, model: nn.Module, targets: list[float]) -> list[Scheme]:
    """Whole widths for each layer whose ESNa come closest to the targets, shifted together.

    The width of a layer moves its ESNa by 4 a bit; its ESNa at 8 bits is measured.
    """
    layers = runs.network(model).layers
    (eight,) = runs.costs(model, widths("layer-max", [8]))
    found = {}
    for shift in SHIFTS:
        chosen = {
            layer.name: min(
                8, max(1, round(8 + log2(target / row.metrics.esn_a_x4.weights * 4) / 2 + shift))
            )
            for layer, target, row in zip(layers, targets, eight.layers, strict=True)
        }
        found[tuple(chosen.values())] = Scheme(rule="layer-max", widths=chosen)
    return list(found.values())
