"""Figure 2: ESNa and accuracy over epochs for three weight decays, steps in the learning rate."""

from collections.abc import Mapping
from typing import Any

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, start
from benchmarks.paper.statistics import rank_correlation, spread

DECAYS = (5e-4, 1e-3, 2e-3)


def main(argv: list[str]) -> int:
    runs = start(argv, __doc__, Quick(epochs=12, images=5000), epochs=40)
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
    results = {"model": name, "statements": statements, "curves": curves}
    runs.save("fig2", results, draw)
    return 0


def draw(document: Mapping[str, Any]) -> list[Panel]:
    shown = [c for c in document["curves"] if c["seed"] == document["curves"][0]["seed"]]
    return [
        Panel(
            {
                f"weight decay {c['weight_decay']:g}": [
                    (e["epoch"], e[key] * scale) for e in c["epochs"]
                ]
                for c in shown
            },
            "epoch", label, log=log,
        )
        for key, label, scale, log in (
            ("esn_a", "ESNa", 1, "y"), ("accuracy", "accuracy, %", 100, "")
        )
    ]  # fmt: skip
