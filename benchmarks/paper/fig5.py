"""Figure 5: loss, ESNa and filters pruned by the noise, for six learning rates."""

from collections.abc import Mapping
from typing import Any

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, start
from benchmarks.paper.statistics import rank_correlation, spread

RATES = (0.32, 0.45, 0.64, 0.91, 1.28, 1.81)


def main(argv: list[str]) -> int:
    runs = start(argv, __doc__, Quick(epochs=12, images=10000), epochs=20)
    o = runs.options
    (name,) = o.models or ["resnet8" if o.quick else "resnet20"]
    curves = []
    for seed in o.seeds:
        trained = runs.pretrained(name, seed)
        for rate in RATES:
            model = runs.build(name, seed)
            model.load_state_dict(trained.state_dict())
            recipe = runs.recipe(
                seed=seed, learning_rate=rate, constant=True, batch=200, warmup=0, nesterov=False
            )
            epochs = runs.tracked(f"fig5-{name}-{rate}", model, recipe)
            curves.append({"learning_rate": rate, "seed": seed, "epochs": epochs})
    by_seed = [[c for c in curves if c["seed"] == seed] for seed in o.seeds]
    statements: dict[str, Any] = {
        f"rank correlation of learning rate and {label} at the end": spread(
            [
                rank_correlation([(c["learning_rate"], c["epochs"][-1][key]) for c in group])
                for group in by_seed
            ]
        )
        for key, label in (("esn_a", "ESNa"), ("pruned_filters", "pruned filters"))
    }
    statements["pruned filters at the end, by learning rate"] = {
        str(rate): [c["epochs"][-1]["pruned_filters"] for c in curves if c["learning_rate"] == rate]
        for rate in RATES
    }
    results = {"model": name, "statements": statements, "curves": curves}
    runs.save("fig5", results, draw)
    return 0


def draw(document: Mapping[str, Any]) -> list[Panel]:
    shown = [c for c in document["curves"] if c["seed"] == document["curves"][0]["seed"]]
    return [
        Panel(
            {
                f"LR {c['learning_rate']}": [(e["epoch"], e[key]) for e in c["epochs"]]
                for c in shown
            },
            "epoch", label, log=log,
        )
        for key, label, log in (
            ("loss", "training loss", ""), ("esn_a", "ESNa", "y"),
            ("pruned_filters", "filters below the noise", ""),
        )
    ]  # fmt: skip
