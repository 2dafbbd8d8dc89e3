"""Figure 3: accuracy against ESNa, in each epoch of training and after quantisation."""

from collections.abc import Mapping
from typing import Any

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, start, widths
from benchmarks.paper.statistics import accuracy_at, rank_correlation


def main(argv: list[str]) -> int:
    runs = start(argv, __doc__, Quick(epochs=12, images=5000), epochs=30)
    o = runs.options
    names = o.models or (["resnet8"] if o.quick else ["vgg7-0.25x", "resnet20"])
    results, statements = [], {}
    for name in names:
        model = runs.build(name)
        epochs = runs.tracked(f"fig3-{name}", model, runs.recipe(nesterov=False))
        result = {
            "model": name, "epochs": epochs, "quantized": runs.points(model, widths("layer-max")),
        }  # fmt: skip
        results.append(result)
        during, after = curves(result)
        statements[name] = {
            "rank correlation of ESNa and accuracy during training": rank_correlation(during),
            "rank correlation of ESNa and accuracy after quantisation": rank_correlation(after),
            "rank correlation of both accuracies at the ESNa of the epochs": rank_correlation(
                [(top1, accuracy_at(after, cost)) for cost, top1 in during]
            ),
        }
    runs.save("fig3", {"statements": statements, "models": results}, draw)
    return 0


def curves(result: Mapping[str, Any]) -> tuple[list[tuple[float, float]], ...]:
    """(ESNa, accuracy) of the epochs, and of the widths after training."""
    return (
        [(e["esn_a"], e["accuracy"]) for e in result["epochs"]],
        [(p["esn_a"]["weights"], p["accuracy"]) for p in result["quantized"]],
    )


def draw(document: Mapping[str, Any]) -> list[Panel]:
    labels = ("during training", "after quantisation")
    return [
        Panel(
            {
                label: [(cost, 100 * top1) for cost, top1 in curve]
                for label, curve in zip(labels, curves(result), strict=True)
            },
            f"ESNa, {result['model']}", "accuracy, %", log="x", marks_only=labels[:1],
        )
        for result in document["models"]
    ]  # fmt: skip
