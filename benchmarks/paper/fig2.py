"""Figure 2: ESNa and accuracy over epochs for three weight decays, steps in the learning rate."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.paper.plots import Panel, over_epochs
from benchmarks.paper.runs import Quick, Runs
from benchmarks.paper.statistics import rank_correlation, spread

DECAYS = (5e-4, 1e-3, 2e-3)
QUICK, EPOCHS = Quick(epochs=12, images=5000), 40


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    (name,) = o.models or ["resnet8" if o.quick else "resnet20"]
    half, later = o.epochs // 2, o.epochs * 3 // 4
    curves = []
    for seed in o.seeds:
        for decay in DECAYS:
            recipe = runs.recipe(seed=seed, weight_decay=decay, drops=(half, later), nesterov=False)
            epochs = runs.tracked(f"fig2-{name}-{decay:g}", runs.build(name, seed), recipe)
            curves.append({"weight_decay": decay, "seed": seed, "epochs": epochs})
    jumps = [c["epochs"][half]["esn_a"] / c["epochs"][half - 1]["esn_a"] for c in curves]
    last = [[c["epochs"][-1]["esn_a"] for c in curves if c["seed"] == s] for s in o.seeds]
    statements = {
        "ESNa after the first drop of the learning rate, over ESNa before": spread(jumps),
        "larger weight decay, lower ESNa at the end (share of seeds)": sum(
            a > b > c for a, b, c in last
        ) / len(last),
        "rank correlation of ESNa and accuracy over epochs": spread(
            [
                rank_correlation([(e["esn_a"], e["accuracy"]) for e in c["epochs"]])
                for c in curves
            ]
        ),
    }  # fmt: skip
    yield {"model": name, "statements": statements, "curves": curves}


def draw(document: Mapping[str, Any]) -> list[Panel]:
    shown = {"esn_a": ("ESNa", "y"), "accuracy": ("accuracy", "")}
    return over_epochs(document["curves"], "weight_decay", "weight decay", shown)
