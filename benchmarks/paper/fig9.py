"""Figure 9: steps from the ESNa of each layer during training, against one width (Appendix B)."""

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any

from torch import nn

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, Runs, widths
from benchmarks.paper.statistics import accuracy_at, curve, percent, spread
from esnsim.quantization.scheme import Scheme
from esnsim.training.layers import weighted_layers

ESN_A = [4.0 ** (e / 2) for e in range(16, 31)]  # of all layers together, 65 k to 1 G
NARROW = 5  # the paper's sixth layer
UNIFORM, PAPERS = "the same width in all layers", "one bit less in the sixth layer"
Points = list[dict[str, Any]]
QUICK, EPOCHS = Quick(epochs=8, images=5000), 20


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    (name,) = o.models or ["vgg7-0.25x"]
    repeats = [{"seed": seed, **policies(runs, name, seed)} for seed in o.seeds]
    statements = {
        label: compare([(r["policies"][label], r["policies"][UNIFORM]) for r in repeats])
        for label in repeats[0]["policies"]
        if label != UNIFORM
    }
    yield {"model": name, "statements": statements, "repeats": repeats}


def policies(runs: Runs, name: str, seed: int) -> dict[str, Any]:
    """A trained network under one width, under the paper's policy and under those of epochs."""
    model = runs.build(name, seed)
    recipe = runs.recipe(seed=seed, nesterov=False)
    epochs = runs.tracked(f"fig9-{name}", model, recipe)
    found = {
        UNIFORM: runs.points(model, widths("layer-max")),
        PAPERS: runs.points(model, one_bit_less(runs, model)),
    }
    for index in (recipe.epochs // 4 - 1, recipe.epochs // 2 - 1, recipe.epochs - 2):
        targets = epochs[index]["esn_a_per_layer"]
        schemes = [as_targets(model, targets, total) for total in ESN_A]
        found[f"ESNa of epoch {index + 1}"] = runs.points(model, schemes)
    return {"epochs": epochs, "policies": found}


def as_targets(model: nn.Module, targets: list[float], total: float) -> Scheme:
    """The steps under which layers have the targets' shares of an ESNa: Δ = ‖W‖/√ESNa."""
    share = total / sum(targets)
    return Scheme(
        given_steps={
            f"{name}.weight": float(module.weight.detach().norm()) / sqrt(share * target)
            for (name, module), target in zip(weighted_layers(model).items(), targets, strict=True)
        }
    )


def one_bit_less(runs: Runs, model: nn.Module) -> list[Scheme]:
    """Each width in all layers but the sixth, which has a bit less."""
    names = [layer.name for layer in runs.network(model).layers]
    return [
        Scheme(rule="layer-max", widths={n: bits - (i == NARROW) for i, n in enumerate(names)})
        for bits in range(8, 1, -1)
    ]


def compare(pairs: list[tuple[Points, Points]]) -> dict[str, Any]:
    """How much more accurate a policy is at the ESNa of each uniform width, over all seeds.

    Widths that cost less than the policy's cheapest are left out.
    """
    gains: dict[int, list[float]] = {}
    for policy, uniform in pairs:
        found = curve(policy, "esn_a", "weights")
        cheapest = min(cost for cost, _ in found)
        for point in uniform:
            if (cost := point["esn_a"]["weights"]) >= cheapest:
                gain = accuracy_at(found, cost) - point["accuracy"]
                gains.setdefault(point["bits"], []).append(gain)
    every = [gain for found in gains.values() for gain in found]
    return {
        "accuracy more than the same width's, at its ESNa, by its bits": {
            bits: spread(found) for bits, found in gains.items()
        },
        "points where the policy is better": f"{sum(g > 0 for g in every)} of {len(every)}",
    }


def draw(document: Mapping[str, Any]) -> list[Panel]:
    first = document["repeats"][0]
    curves = {"during training": [(e["esn_a"], e["accuracy"]) for e in first["epochs"]]}
    curves |= {k: curve(points, "esn_a", "weights") for k, points in first["policies"].items()}
    drawn = {label: percent(found) for label, found in curves.items()}
    shown = Panel(drawn, "ESNa", "accuracy, %", log="x", marks_only=["during training"])
    return [shown, *(layer(first, index) for index in (0, NARROW))]


def layer(repeat: Mapping[str, Any], index: int) -> Panel:
    """Accuracy against the ESNa of one layer, as in the paper's right panel."""
    curves = {"during training": repeat["epochs"], UNIFORM: repeat["policies"][UNIFORM]}
    return Panel(
        {
            label: [(p["esn_a_per_layer"][index], 100 * p["accuracy"]) for p in points]
            for label, points in curves.items()
        },
        f"ESNa of layer {index + 1}", "accuracy, %", log="x", marks_only=["during training"],
    )  # fmt: skip
