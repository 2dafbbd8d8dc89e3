"""Figure 4: accuracy against ESNa and ESNd for depths and widths of network."""

from collections.abc import Mapping
from typing import Any

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import Quick, Runs, start, widths
from benchmarks.paper.statistics import accuracy_at, spread

NAMES = ["resnet8", "resnet14", "resnet20", "vgg7-0.25x", "vgg7-0.5x", "vgg7"]
FAMILIES = (("resnet8", "resnet14", "resnet20"), ("vgg7-0.25x", "vgg7-0.5x", "vgg7"))
RADICAL = 2  # bits
METRICS = {"esn_a": "ESNa, by MACs", "esn_d": "ESNd, by MACs (bits)"}


def main(argv: list[str]) -> int:
    runs = start(argv, __doc__, Quick(epochs=6, images=5000, test_images=1000), epochs=12)
    o = runs.options
    names = o.models or (NAMES[:-1] if o.quick else NAMES)
    repeats: list[dict[str, Any]] = [{"seed": seed, "models": {}} for seed in o.seeds]
    for name in names:
        for repeat in repeats:
            repeat["models"][name] = measured(runs, name, repeat["seed"])
        statements = gather([compare(repeat["models"]) for repeat in repeats])
        runs.save("fig4", {"statements": statements, "repeats": repeats}, draw)
    return 0


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


def curve(points: list[dict[str, Any]], metric: str) -> list[tuple[float, float]]:
    return [(p[metric]["macs"], p["accuracy"]) for p in points]


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
    return [
        Panel(
            {
                name: [(c, 100 * a) for c, a in curve(found["quantized"], metric)]
                for name, found in document["repeats"][0]["models"].items()
            },
            label, "accuracy, %", log="x",
        )
        for metric, label in METRICS.items()
    ]  # fmt: skip
