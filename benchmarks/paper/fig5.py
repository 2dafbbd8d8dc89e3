"""Figure 5: loss, ESNa and filters pruned by the noise, for six learning rates."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.paper.plots import Panel, over_epochs
from benchmarks.paper.runs import Quick, Runs
from benchmarks.paper.statistics import rank_correlation, spread

RATES = (0.32, 0.45, 0.64, 0.91, 1.28, 1.81)
QUICK, EPOCHS = Quick(epochs=12, images=10000), 20


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
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
    yield {"model": name, "statements": statements, "curves": curves}


def draw(document: Mapping[str, Any]) -> list[Panel]:
    shown = {
        "loss": ("training loss", ""), "esn_a": ("ESNa", "y"),
        "pruned_filters": ("filters below the noise", ""),
    }  # fmt: skip
    return over_epochs(document["curves"], "learning_rate", "LR", shown)
