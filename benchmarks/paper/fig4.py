"""Figure 4: accuracy against ESNa and ESNd for depths and widths of network."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.paper.plots import Panel, over_cost
from benchmarks.paper.runs import Quick, Runs, widths
from benchmarks.paper.statistics import accuracy_at, curve, spread

NAMES = ["resnet8", "resnet14", "resnet20", "vgg7-0.25x", "vgg7-0.5x", "vgg7"]
FAMILIES = (("resnet8", "resnet14", "resnet20"), ("vgg7-0.25x", "vgg7-0.5x", "vgg7"))
RADICAL = 2  # bits
METRICS = {"esn_a": "ESNa, by MACs", "esn_d": "ESNd, by MACs (bits)"}
QUICK, EPOCHS = Quick(epochs=6, images=5000, test_images=1000), 12


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    names = o.models or (NAMES[:-1] if o.quick else NAMES)
    repeats: list[dict[str, Any]] = [{"seed": seed, "models": {}} for seed in o.seeds]
    for name in names:
        for repeat in repeats:
            repeat["models"][name] = measured(runs, name, repeat["seed"])
        statements = gather([compare(repeat["models"]) for repeat in repeats])
        yield {"statements": statements, "repeats": repeats}


def measured(runs: Runs, name: str, seed: int) -> dict[str, Any]:
    """A network trained from its initialisation, and quantised to each width."""
    model = runs.build(name, seed)
    runs.fit(f"fig4-{name}", model, runs.recipe(seed=seed, nesterov=False))
    points = runs.points(model, widths("layer-max"), correct=True)
    return {"float": runs.accuracy(model), "quantized": points}


def gather(repeats: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The comparisons with their spread over seeds."""
    return [
        rows[0] | {"slim_minus_fat": spread([row["slim_minus_fat"] for row in rows])}
        for rows in zip(*repeats, strict=True)
    ]


def compare(curves: dict[str, Any]) -> list[dict[str, Any]]:
    """For each slim and fat of a family: the slim one's best at the cost of the radical fat one."""
    rows = []
    for family in FAMILIES:
        known = [name for name in family if name in curves]
        for index, fat in enumerate(known):
            for slim in known[:index]:
                for metric in METRICS:
                    other = curve(curves[slim]["quantized"], metric)
                    for point in curves[fat]["quantized"]:
                        if point["bits"] <= RADICAL:
                            best = accuracy_at(other, point[metric]["macs"])
                            rows.append({
                                "slim": slim, "fat": fat, "fat_bits": point["bits"],
                                "metric": metric, "slim_minus_fat": best - point["accuracy"],
                            })  # fmt: skip
    return rows


def draw(document: Mapping[str, Any]) -> list[Panel]:
    models = document["repeats"][0]["models"]
    return over_cost({name: found["quantized"] for name, found in models.items()}, METRICS)
