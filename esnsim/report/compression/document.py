"""What a compression did: in words, and as the report beside the model (docs/compress.md)."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

import esnsim
from esnsim.compression.compressed import Compressed
from esnsim.compression.policies import POLICIES
from esnsim.compression.round.methods import COMPENSATED
from esnsim.costs.metric import metric_title
from esnsim.evaluate.scores import Evaluation
from esnsim.model.network import Skipped
from esnsim.report.cost.document import totals
from esnsim.report.forms import json_text
from esnsim.report.scored import evaluation_document, scored_document, scored_words, sqnr_words
from esnsim.report.units import printable, times
from esnsim.units import human

SCHEMA = "esnsim.compress/1"


def words(result: Compressed, output: Path = Path("model"), size: int | None = None) -> str:
    """Cost and accuracy before and after, and what was done; `size` are the bytes of the file."""
    size = result.model.ByteSize() if size is None else size
    old, new = result.before.total, result.after.total
    source = result.before.network.source
    name = printable(source.path or "model")
    lines = [
        f"{name} → {printable(str(output))} ({result.recipe.form}, {human(size)}B, "
        f"was {human(source.size_bytes)}B)",
        f"cost      {_change(result)}; before at 8 bits, layer-max",
        f"          live MACs {human(old.live_macs)} → {human(new.live_macs)}, weights not zero "
        f"{human(old.nonzero_weights)} → {human(new.nonzero_weights)}, mean width by MACs "
        f"{old.mean_width_by_macs:.2f} → {new.mean_width_by_macs:.2f} bits",
        *_accuracy(result),
        *(f"{'done' if not i else '':<10}{text}" for i, text in enumerate(done(result))),
    ]
    return "\n".join(lines) + "\n"


def done(result: Compressed) -> list[str]:
    """The steps in words."""
    recipe, steps = result.recipe, list[str]()
    if recipe.ratio is None:
        steps.append(
            f"filters pruned as far as that pays: {result.removed:,} of "
            f"{result.before.total.filters:,} are gone"
        )
    if recipe.ratio:
        steps.append(
            f"{100 * recipe.ratio:g}% of filters pruned by {recipe.criterion}, in each "
            f"{recipe.scope}: {result.removed:,} of {result.before.total.filters:,} are gone"
        )
    if recipe.scheme is not None:
        widths = "given" if recipe.scheme.widths is not None else "of the rule"
        steps.append(f"widths {widths}, {recipe.scheme.resolved_rule} steps")
    elif recipe.quantize:
        steps.append(f"{POLICIES[recipe.policy].words}{_aim(result)}")
    if result.rounding == COMPENSATED:
        what = "codes compensate" if recipe.quantize else "weights refitted"
        if recipe.quantize and result.removed:
            what = "weights refitted, and codes compensate,"
        steps.append(f"{what} for the inputs of each layer")
    if result.corrected_with:
        steps.append(f"statistics corrected with {result.corrected_with:,} images")
    if result.activations_over:
        steps.append(f"activations in 8 bits, ranges over {result.activations_over:,} images")
    return steps


def _aim(result: Compressed) -> str:
    recipe, tried = result.recipe, f"{len(result.trials)} tried"
    if recipe.drop is not None:
        return f": at most {100 * recipe.drop:g} points lost, {tried}"
    if recipe.sqnr is not None:
        return f": an SQNR of {recipe.sqnr:g} dB at least, {tried}"
    if recipe.budget is None or result.budget_used is None:
        return ""
    return f": a budget of {human(recipe.budget)}, {100 * result.budget_used:.0f}% of it used"


def document(
    result: Compressed, output: Path | None = None, size: int | None = None
) -> dict[str, Any]:
    """The report as plain dicts, lists, ints and floats; None where no file was written."""
    recipe, workspace = result.recipe, result.workspace
    source, evaluator = result.before.network.source, workspace.evaluator
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "model": {"path": source.path, "bytes": source.size_bytes},
        "output": {
            "path": None if output is None else str(output),
            "bytes": result.model.ByteSize() if size is None else size,
            "format": recipe.form,
        },
        "metric": recipe.metric,
        "scored": scored_document(evaluator.scored) if evaluator else None,
        "before": {
            "cost": totals(result.before), "evaluation": evaluation_document(result.floats),
        },
        "after": {
            "cost": totals(result.after), "evaluation": evaluation_document(result.evaluation),
        },
        "ratio": result.ratio,
        "tie": result.tie,
        "done": {
            "pruned": {
                "ratio": recipe.ratio, "scope": "network" if recipe.ratio is None else recipe.scope,
                "criterion": "noise" if recipe.ratio is None else recipe.criterion,
                "filters": result.removed, "unpruned": _reasons(workspace.unprunable),
            },
            "quantized": recipe.quantize,
            "policy": recipe.policy if recipe.scheme is None and recipe.quantize else None,
            "rule": recipe.scheme.resolved_rule if recipe.scheme else recipe.rule,
            "budget": recipe.budget,
            "budget_used": result.budget_used,
            "drop": recipe.drop,
            "sqnr_db": recipe.sqnr,
            "images": evaluator.images.count if evaluator else 0,
            "rounding": result.rounding,
            "corrected_with": result.corrected_with,
            "calibration": _calibration(result),
            "activation_bits": 8 if recipe.activations else None,
            "activations_over": result.activations_over,
        },
        "trials": [
            {"cost": trial.spent, "evaluation": evaluation_document(trial.evaluation)}
            for trial in result.trials
        ],
        "layers": rows(result),
        "left_alone": _reasons(workspace.unquantisable),
    }  # fmt: skip


def rows(result: Compressed) -> list[dict[str, Any]]:
    """A row a layer: widths and steps of its filters."""
    return [
        {
            "name": row.layer.name,
            "bits_per_filter": row.bits.tolist(),
            "steps": [None if isnan(step) else step for step in row.quantized.steps.tolist()],
        }
        for row in result.after.layers
    ]


def _calibration(result: Compressed) -> dict[str, Any] | None:
    """The images that calibrated, None where none did."""
    used = result.workspace.calibration
    return None if used is None else {"name": used.name, "images": used.count}


def as_json(result: Compressed, output: Path, size: int) -> str:
    """The report as text."""
    found = document(result, output, size)
    return json_text(found)


def _reasons(skipped: Sequence[Skipped]) -> list[dict[str, str]]:
    return [{"name": layer.name, "op": layer.op, "reason": reason} for layer, reason in skipped]


def _accuracy(result: Compressed) -> list[str]:
    floats, after, evaluator = result.floats, result.evaluation, result.workspace.evaluator
    if floats is None or after is None or evaluator is None:
        return []
    return [
        *change_of_accuracy(floats, after),
        f"scored    {scored_words(evaluator.scored, after.images)}",
        f"          {sqnr_words(after)}",
    ]


def change_of_accuracy(floats: Evaluation, found: Evaluation) -> list[str]:
    """A line on what became of the accuracy; none where nothing has classes."""
    if floats.accuracy is None or found.accuracy is None:
        return []
    low, high = found.interval
    what = "top-1" if found.top1 is not None else "agreement"
    lost = 100 * (floats.accuracy - found.accuracy)
    verdict = f"{abs(lost):.2f} points {'lost' if lost > 0 else 'won'}" if lost else "none lost"
    if floats.ties(found):
        verdict = "a tie"
    elif found.at_chance:
        verdict += f", no better than always the same answer ({100 * (found.chance or 0):.1f}%)"
    return [
        f"accuracy  {what} {100 * floats.accuracy:.2f}% → {100 * found.accuracy:.2f}% on "
        f"{found.images:,} images (95%: {100 * low:.1f} to {100 * high:.1f}%): {verdict}"
    ]


def _change(result: Compressed) -> str:
    old, new = map(human, result.spent)
    ratio = "" if result.ratio is None else f": {times(result.ratio)}"
    return f"{metric_title(result.recipe.metric)} {old} → {new}{ratio}"
