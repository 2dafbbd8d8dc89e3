"""Figure 3: accuracy against ESNa, in each epoch of training and after quantisation."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, Runs, widths
from benchmarks.paper.statistics import Curve, accuracy_at, curve, percent, rank_correlation, spread

QUICK, EPOCHS = Quick(epochs=12, images=5000), 30


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    names = o.models or (["resnet8"] if o.quick else ["vgg7-0.25x", "resnet20"])
    results = [result(runs, name, seed) for name in names for seed in o.seeds]
    statements = {name: correlations([r for r in results if r["model"] == name]) for name in names}
    yield {"statements": statements, "models": results}


def result(runs: Runs, name: str, seed: int) -> dict[str, Any]:
    """The epochs of a network, and its points after quantisation."""
    model = runs.build(name, seed)
    epochs = runs.tracked(f"fig3-{name}", model, runs.recipe(seed=seed, nesterov=False))
    points = runs.points(model, widths("layer-max"))
    return {"model": name, "seed": seed, "epochs": epochs, "quantized": points}


def correlations(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The rank correlations of the statements, with their spread over seeds."""
    both = [curves(result) for result in results]
    rows: dict[str, list[Any]] = {
        "ESNa and accuracy during training": [during for during, _ in both],
        "ESNa and accuracy after quantisation": [after for _, after in both],
        "both accuracies at the ESNa of the epochs": [
            [(top1, accuracy_at(after, cost)) for cost, top1 in during] for during, after in both
        ],
    }
    return {
        f"rank correlation of {label}": spread([rank_correlation(p) for p in pairs])
        for label, pairs in rows.items()
    }


def curves(result: Mapping[str, Any]) -> tuple[Curve, Curve]:
    """(ESNa, accuracy) of the epochs, and of the widths after training."""
    during = [(e["esn_a"], e["accuracy"]) for e in result["epochs"]]
    return during, curve(result["quantized"], "esn_a", "weights")


def draw(document: Mapping[str, Any]) -> list[Panel]:
    labels = ("during training", "after quantisation")
    return [
        Panel(
            dict(zip(labels, map(percent, curves(result)), strict=True)),
            f"ESNa, {result['model']}", "accuracy, %", log="x", marks_only=labels[:1],
        )
        for result in document["models"]
        if result["seed"] == document["models"][0]["seed"]
    ]  # fmt: skip
