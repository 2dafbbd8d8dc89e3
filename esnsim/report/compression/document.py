"""What a compression did: in words, and as the report beside the model (docs/compress.md)."""

import json
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

import esnsim
from esnsim.compression.allocate.budget import spent
from esnsim.compression.compress import Compressed
from esnsim.compression.job import CALIBRATION, RANGES
from esnsim.compression.policies import POLICIES
from esnsim.costs.cost import Cost
from esnsim.evaluate.scores import Evaluation
from esnsim.model.network import Layer
from esnsim.report.cost.document import totals
from esnsim.report.scored import evaluation_document, scored_document, scored_words, sqnr_words
from esnsim.report.sweep.table import metric_name
from esnsim.report.units import printable
from esnsim.units import human

SCHEMA = "esnsim.compress/1"


def words(result: Compressed, output: Path, size: int) -> str:
    """Cost and accuracy before and after, and what was done."""
    before, after = result.before, result.after
    old, new = before.total, after.total
    source = before.network.source
    name = printable(source.path or "model")
    metric = result.job.recipe.metric
    lines = [
        f"{name} → {printable(str(output))} ({result.job.recipe.form}, {human(size)}B, "
        f"was {human(source.size_bytes)}B)",
        f"cost      {_change(metric, before, after)}; before at 8 bits, layer-max",
        f"          live MACs {human(old.live_macs)} → {human(new.live_macs)}, weights not zero "
        f"{human(old.nonzero_weights)} → {human(new.nonzero_weights)}, mean width "
        f"{_mean(before):.2f} → {_mean(after):.2f} bits",
        *_accuracy(result),
        *(f"{'done' if not i else '':<10}{text}" for i, text in enumerate(done(result))),
    ]
    return "\n".join(lines) + "\n"


def done(result: Compressed) -> list[str]:
    """The steps in words."""
    job, recipe = result.job, result.job.recipe
    steps = []
    if recipe.ratio:
        steps.append(
            f"{100 * recipe.ratio:g}% of filters pruned by {recipe.criterion}, in each "
            f"{recipe.scope}: {job.removed:,} of {result.before.total.filters:,} are gone"
        )
    if recipe.scheme is not None:
        widths = "given" if recipe.scheme.widths is not None else "of the rule"
        steps.append(f"widths {widths}, {recipe.scheme.resolved_rule} steps")
    elif recipe.quantize:
        aim = "" if recipe.budget is None else f": a budget of {human(recipe.budget)}"
        if recipe.drop is not None:
            aim = f": at most {100 * recipe.drop:g} points lost, {len(result.trials)} tried"
        if recipe.sqnr is not None:
            aim = f": an SQNR of {recipe.sqnr:g} dB at least, {len(result.trials)} tried"
        steps.append(f"{POLICIES[recipe.policy].words}{aim}")
    if corrected(result):
        steps.append(f"statistics corrected with {corrected(result):,} images")
    if calibrated(result):
        steps.append(f"activations in 8 bits, ranges over {calibrated(result):,} images")
    return steps


def corrected(result: Compressed) -> int:
    """How many images statistics were corrected with."""
    bench, calibration = result.job.bench, result.job.calibration
    if bench is None or bench.corrector is None or calibration is None:
        return 0
    return min(CALIBRATION, calibration.count)


def calibrated(result: Compressed) -> int:
    """How many images the ranges of activations are of."""
    calibration = result.job.calibration
    return min(RANGES, calibration.count) if result.job.recipe.activations and calibration else 0


def document(result: Compressed, output: Path, size: int) -> dict[str, Any]:
    """The report as plain dicts, lists, ints and floats."""
    job, recipe = result.job, result.job.recipe
    source = result.before.network.source
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "model": {"path": source.path, "bytes": source.size_bytes},
        "output": {"path": str(output), "bytes": size, "format": recipe.form},
        "metric": recipe.metric,
        "scored": scored_document(job.bench.evaluator.scored) if job.bench else None,
        "before": {"cost": totals(result.before), "evaluation": evaluation_document(job.floats)},
        "after": {"cost": totals(result.after), "evaluation": evaluation_document(result.found)},
        "ratio": _ratio(recipe.metric, result.before, result.after),
        "tie": _tie(result),
        "done": {
            "pruned": {
                "ratio": recipe.ratio, "criterion": recipe.criterion, "scope": recipe.scope,
                "filters": job.removed, "unpruned": _reasons(job.unpruned),
            },
            "quantized": recipe.quantize,
            "policy": recipe.policy if recipe.scheme is None and recipe.quantize else None,
            "rule": recipe.scheme.resolved_rule if recipe.scheme else recipe.rule,
            "budget": recipe.budget,
            "drop": recipe.drop,
            "sqnr_db": recipe.sqnr,
            "images": job.images.count if job.images else 0,
            "corrected_with": corrected(result),
            "activation_bits": 8 if recipe.activations else None,
            "activations_over": calibrated(result),
        },
        "trials": [
            {"cost": trial.spent, "evaluation": evaluation_document(trial.evaluation)}
            for trial in result.trials
        ],
        "layers": [
            {
                "name": row.layer.name,
                "bits_per_filter": row.bits.tolist(),
                "steps": [None if isnan(step) else step for step in row.quantized.steps.tolist()],
            }
            for row in result.after.layers
        ],
        "left_alone": _reasons(job.left),
    }  # fmt: skip


def as_json(result: Compressed, output: Path, size: int) -> str:
    """The report as text."""
    found = document(result, output, size)
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _reasons(layers: Sequence[tuple[Layer, str]]) -> list[dict[str, str]]:
    return [{"name": layer.name, "op": layer.op, "reason": reason} for layer, reason in layers]


def _accuracy(result: Compressed) -> list[str]:
    floats, found = result.job.floats, result.found
    if floats is None or found is None:
        return []
    assert result.job.bench is not None
    scored = scored_words(result.job.bench.evaluator.scored, found.images)
    return [
        *_change_of_accuracy(floats, found),
        f"scored    {scored}",
        f"          {sqnr_words(found)}",
    ]


def _change_of_accuracy(floats: Evaluation, found: Evaluation) -> list[str]:
    if floats.accuracy is None or found.accuracy is None:
        return []
    low, high = found.interval
    what = "top-1" if found.top1 is not None else "agreement"
    lost = 100 * (floats.accuracy - found.accuracy)
    verdict = f"{abs(lost):.2f} points {'lost' if lost > 0 else 'won'}"
    if floats.ties(found):
        verdict = "a tie"
    elif found.at_chance:
        verdict += f", no better than always the same answer ({100 * (found.chance or 0):.1f}%)"
    return [
        f"accuracy  {what} {100 * floats.accuracy:.2f}% → {100 * found.accuracy:.2f}% on "
        f"{found.images:,} images (95%: {100 * low:.1f} to {100 * high:.1f}%): {verdict}"
    ]


def _tie(result: Compressed) -> bool | None:
    floats, found = result.job.floats, result.found
    return None if floats is None or found is None else floats.ties(found)


def _change(metric: str, before: Cost, after: Cost) -> str:
    ratio = _ratio(metric, before, after)
    less = "" if ratio is None else f": {ratio:.3g} times less"
    old, new = (human(spent(cost, metric)) for cost in (before, after))
    return f"{metric_name(metric)} {old} → {new}{less}"


def _ratio(metric: str, before: Cost, after: Cost) -> float | None:
    cost = spent(after, metric)
    return spent(before, metric) / cost if cost else None


def _mean(cost: Cost) -> float:
    macs = cost.total.live_macs
    return cost.total.esn_d_tilde.macs / macs if macs else 0.0
