"""A Cost as the versioned document that `--json` prints (docs/json.md, schemas/cost-1.json)."""

from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

import esnsim
from esnsim.costs.bops import DEFINITIONS, layer_bops
from esnsim.costs.cost import Cost, LayerCost, other_width_of
from esnsim.costs.equations import WidthRule
from esnsim.costs.figures import Metrics
from esnsim.quantization.scheme import Scheme
from esnsim.report.forms import Form, csv_text, json_text

SCHEMA = "esnsim.cost/1"


def document(cost: Cost) -> dict[str, Any]:
    """The whole report as plain dicts, lists, ints and floats."""
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "model": _model(cost),
        "quantizer": {"code": "midrise", **quantizer(cost.scheme), "width": cost.width},
        "totals": totals(cost),
        "layers": rows(cost),
        "products": [
            {"name": product.name, "op": product.op, "macs": product.macs}
            for product in cost.network.products
        ],
        "machines": asdict(cost.machines),
        "bops": [_bops(name, total) for name, total in cost.bops.items()],
        "uncounted": [asdict(item) for item in cost.network.uncounted],
        "notes": list(cost.notes),
    }


def rows(cost: Cost, chosen: Sequence[LayerCost] | None = None) -> list[dict[str, Any]]:
    """A row a layer, of all layers or of those that were chosen."""
    return [_layer(row, cost.width) for row in (cost.layers if chosen is None else chosen)]


#: By name, of a cost and the rows that were chosen.
FORMS = {
    "json": Form("the whole report (docs/json.md)", lambda cost, chosen: json_text(document(cost))),
    "csv": Form(
        "a row a layer, all columns", lambda cost, chosen: csv_text(rows(cost, chosen)), True
    ),
}


def _model(cost: Cost) -> dict[str, Any]:
    source = cost.network.source
    return {
        "path": source.path,
        "bytes": source.size_bytes,
        "ir_version": source.ir_version,
        "opsets": dict(source.opsets),
        "producer": source.producer,
        "inputs": {name: list(shape) for name, shape in source.inputs},
        "batchnorms": source.batchnorms,
        "batchnorms_folded": cost.folded,
    }


def _bops(name: str, total: float | None) -> dict[str, Any]:
    definition = DEFINITIONS[name]
    return {
        "definition": name, "formula": definition.help, "source": definition.source,
        "layers": definition.layers, "total": total,
    }  # fmt: skip


def quantizer(scheme: Scheme) -> dict[str, Any]:
    """How weights became codes."""
    return {
        "rule": scheme.resolved_rule,
        "bits": scheme.nominal_bits,
        "alpha": scheme.alpha if scheme.resolved_rule == "filter-sigma" else None,
        "keep_zeros": scheme.keep_zeros,
        "widths_given": scheme.widths is not None,
    }


def totals(cost: Cost) -> dict[str, Any]:
    """What is summed over the network."""
    return {
        **_metrics(cost.total, cost.width),
        "esn_a_from_sn": asdict(cost.esn_a_from_sn),
        "esn_a_over_sn": asdict(cost.esn_a_over_sn),
        "product_macs": cost.product_macs,
        "bits_histogram": {str(bits): count for bits, count in cost.bits_histogram.items()},
    }


def _layer(row: LayerCost, width: WidthRule) -> dict[str, Any]:
    layer, stored = row.layer, row.layer.weight.codes
    return {
        "name": layer.name,
        "op": layer.op,
        "weight": layer.weight.name,
        "weight_type": layer.weight.dtype,
        "weight_shape": list(layer.weight.shape),
        "groups": layer.geometry.groups,
        "macs_per_weight": layer.macs_per_weight,
        "stored_bits": stored.bits if stored else None,
        "stored_code": ("midrise" if stored.midrise else "integer") if stored else None,
        "asymmetric": stored is not None and stored.asymmetric,
        "batchnorm": layer.batchnorm.name if layer.batchnorm else None,
        **_metrics(row.metrics, width),
        "esn_a_from_sn": asdict(row.esn_a_expected),
        "esn_a_over_sn": asdict(row.esn_a_over_sn),
        "sn": row.sn,
        "bits_per_filter": row.bits.tolist(),
        "steps": [None if isnan(step) else step for step in row.quantized.steps.tolist()],
        "macs_per_filter": row.macs_of_filters.tolist(),
        "live_macs_per_filter": row.live_macs_of_filters.tolist(),
        "activation_bits": row.activation_bits,
        "bops": layer_bops(row),
    }


def _metrics(metrics: Metrics, width: WidthRule) -> dict[str, Any]:
    return {
        "filters": metrics.filters,
        "pruned_filters": metrics.pruned_filters,
        "weights": metrics.weights,
        "live_weights": metrics.live_weights,
        "nonzero_weights": metrics.nonzero_weights,
        "macs": metrics.macs,
        "live_macs": metrics.live_macs,
        "mac_bits_layerwise": metrics.mac_bits_layerwise,
        "esn_a": asdict(metrics.esn_a),
        "esn_a_x4": asdict(metrics.esn_a_x4),
        "esn_d": asdict(metrics.esn_d),
        "esn_d_tilde": asdict(metrics.esn_d_tilde),
        "esn_a_class_a": asdict(metrics.esn_a_class_a),
        "other_width": asdict(other_width_of(metrics, width)),
        "packed_bytes": metrics.packed_bytes,
        "stored_bytes": metrics.stored_bytes,
        "intensity": metrics.intensity,
    }
