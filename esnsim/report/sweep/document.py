"""A sweep as the versioned document that `esnsim pareto --json` prints, and as CSV."""

from dataclasses import asdict
from typing import Any

import esnsim
from esnsim.report.forms import Form, csv_text, json_text
from esnsim.report.scored import evaluation_document, scored_document
from esnsim.sweeps.compare import (
    METHODS,
    Comparison,
    by_method,
    by_model,
    chosen_of_each,
    compare,
    levels,
)
from esnsim.sweeps.frontier import Sweep
from esnsim.sweeps.points import Baseline, Point

SCHEMA = "esnsim.pareto/1"


def document(sweep: Sweep) -> dict[str, Any]:
    """The whole sweep as plain dicts, lists, ints and floats.

    Places are those of `points`, which stand cheapest first.
    """
    points = sweep.cheapest_first
    places = {id(point): place for place, point in enumerate(points)}
    chosen = sweep.chosen
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "metric": sweep.metric,
        "drop": sweep.drop,
        "images": sweep.images,
        "options": sweep.binding,
        "models": [_baseline(baseline) for baseline in sweep.baselines],
        "points": rows(sweep),
        "frontier": [places[id(point)] for point in sweep.frontier],
        "cheapest_within_drop": None if chosen is None else places[id(chosen)],
        "chosen": {name: places[id(p)] for name, p in chosen_of_each(sweep).items()},
        "equal_accuracy": [
            item for baseline in sweep.baselines for item in _equal(sweep, baseline)
        ],
    }


def rows(sweep: Sweep) -> list[dict[str, Any]]:
    """A row a point, cheapest first."""
    on_frontier = {id(point) for point in sweep.frontier}
    return [_point(sweep, point, id(point) in on_frontier) for point in sweep.cheapest_first]


#: By name, of a sweep.
FORMS = {
    "json": Form("everything (docs/pareto.md)", lambda found: json_text(document(found))),
    "csv": Form(
        "a row a point, all columns",
        lambda sweep: csv_text(rows(sweep), first="model", missing="0"),
    ),
}


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {
        "model": baseline.model,
        "sha256": baseline.sha256,
        "macs": baseline.macs,
        "filters": baseline.filters,
        "accuracy": baseline.accuracy,
        "evaluation": evaluation_document(baseline.evaluation),
        "scored": None if baseline.scored is None else scored_document(baseline.scored),
    }


def _point(sweep: Sweep, point: Point, frontier: bool) -> dict[str, Any]:
    total = point.total
    return {
        **asdict(point.candidate),
        "cost": sweep.price(point),
        "budget_used": point.budget_used,
        "accuracy": point.accuracy,
        "frontier": frontier,
        "evaluation": evaluation_document(point.evaluation),
        "esn_a": asdict(total.esn_a),
        "esn_a_x4": asdict(total.esn_a_x4),
        "esn_d": asdict(total.esn_d),
        "esn_d_tilde": asdict(total.esn_d_tilde),
        "mac_bits_layerwise": total.mac_bits_layerwise,
        "macs": total.macs,
        "live_macs": total.live_macs,
        "weights": total.weights,
        "bits_histogram": {str(bits): count for bits, count in sorted(point.histogram.items())},
        "seconds": point.seconds,
    }


def _equal(sweep: Sweep, baseline: Baseline) -> list[dict[str, Any]]:
    groups, mixed = by_method(by_model(sweep)[baseline.model]), METHODS[-1]
    accuracies = levels(baseline, sweep.drop)
    return [
        {"model": baseline.model, "ours": mixed, "theirs": method, **_comparison(sweep, item)}
        for method in METHODS[:-1]
        for item in compare(groups[mixed], groups[method], accuracies, sweep.price)
    ]


def _comparison(sweep: Sweep, item: Comparison) -> dict[str, Any]:
    return {
        "accuracy": item.accuracy,
        "cost": sweep.price(item.ours),
        "their_cost": sweep.price(item.theirs),
        "ratio": item.ratio,
        "tie": item.tie,
    }
