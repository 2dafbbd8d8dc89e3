"""Compared models as the versioned document that `--json` prints (docs/compare.md), and as CSV."""

from dataclasses import asdict
from typing import Any

import esnsim
from esnsim.comparison.causes import layer_causes
from esnsim.comparison.compare import Compared, Difference, Side, quotient
from esnsim.comparison.match import Pair
from esnsim.comparison.reported import Row
from esnsim.costs.figures import Figures
from esnsim.report.compare.table import as_markdown
from esnsim.report.forms import Form, csv_text, json_text
from esnsim.report.scored import evaluation_document, scored_document

SCHEMA = "esnsim.compare/1"
RATIOS = ("macs", "live_macs", "weights", "esn_d_tilde", "esn_d_tilde.weights", "esn_d", "esn_a")


def document(compared: Compared) -> dict[str, Any]:
    """Everything as plain dicts, lists, ints and floats."""
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "images": compared.images,
        "scored": scored_document(compared.scored) if compared.scored else None,
        "models": [_side(side) for side in compared.sides],
        "differences": [_difference(difference) for difference in compared.differences],
    }


def rows(compared: Compared) -> list[dict[str, Any]]:
    """A row a layer of each model but the first."""
    return [
        {"model": difference.after.name, **_layer(pair)}
        for difference in compared.differences
        for pair in difference.pairs
    ]


#: By name, of compared models.
FORMS = {
    "json": Form("everything (docs/compare.md)", lambda found: json_text(document(found))),
    "csv": Form("a row a layer, all columns", lambda found: csv_text(rows(found), "model")),
    "md": Form("Markdown, as a comment of a pull request", as_markdown),
}


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "quantizer": asdict(side.reported.quantizer),
        "totals": _figures(side.totals),
        "evaluation": evaluation_document(side.evaluation),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    before, after = difference.before, difference.after
    return {
        "model": after.name,
        "ratios": _ratios(before.totals, after.totals),
        "causes": list(difference.causes),
        "tie": difference.tie,
        "notes": list(difference.notes),
        "layers": [_layer(pair) for pair in difference.pairs],
    }


def _layer(pair: Pair) -> dict[str, Any]:
    before, after = pair.before, pair.after
    return {
        "name": before.name if before else None,
        "name_after": after.name if after else None,
        "matched_by": pair.by,
        "causes": list(layer_causes(pair)),
        "ratios": _ratios(before, after) if before and after else None,
        "before": _row(before),
        "after": _row(after),
    }


def _ratios(before: Figures, after: Figures) -> dict[str, float | None]:
    found = {name.replace(".", "_"): quotient(before, after, name) for name in RATIOS}
    return found | {"packed_bytes": found.pop("esn_d_tilde_weights")}


def _row(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "op": row.op, "weight_shape": list(row.weight_shape),
        "macs_per_weight": row.macs_per_weight, **_figures(row),
    }  # fmt: skip


def _figures(of: Figures) -> dict[str, Any]:
    return {
        "filters": of.filters,
        "pruned_filters": of.pruned_filters,
        "weights": of.weights,
        "live_weights": of.live_weights,
        "macs": of.macs,
        "live_macs": of.live_macs,
        "mean_width_by_macs": of.mean_width_by_macs,
        "esn_d_tilde": asdict(of.esn_d_tilde),
        "esn_d": asdict(of.esn_d),
        "esn_a": asdict(of.esn_a),
        "packed_bytes": of.packed_bytes,
    }
