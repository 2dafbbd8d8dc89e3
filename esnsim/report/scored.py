"""What of a model's outputs was scored, in words and for documents."""

from dataclasses import asdict
from math import inf, isfinite, prod
from typing import Any

from esnsim.evaluate.scores import EndToEnd, Evaluation, Scored
from esnsim.report.units import printable

PLACES = {0: "image", 1: "step", 2: "pixel"}


def scored_words(scored: Scored, images: int) -> str:
    """Which output, where its classes are, what is classified, and how often."""
    name = f"'{printable(scored.output)}'"
    shape = "×".join(map(str, scored.places))
    if scored.kind == "values":
        return (
            f"output {name}: values without classes, SQNR alone, {shape or 1} of each of "
            f"{images:,} images"
        )
    places, what = prod(scored.places), PLACES.get(len(scored.places), "place")
    how = {
        "classes": f"{scored.classes} classes along axis {scored.class_axis}",
        "threshold": f"class 1 above {scored.threshold or 0:g}",
        "indices": "numbers of classes",
    }[scored.kind]
    if places == 1:
        return f"output {name}: {how}, one an image, {images:,} images"
    return f"output {name}: {how}, one a {what}, {shape} of each of {images:,} images"


def scored_document(scored: Scored) -> dict[str, Any]:
    """What was scored, as a dict."""
    found = asdict(scored)
    return found | {"places": list(scored.places), "places_per_image": prod(scored.places)}


def end_to_end_words(run: EndToEnd | None) -> list[str]:
    """The accuracy of a network on a machine beside the float model's."""
    if run is None:
        return []
    floats, found = run.floats, run.found
    scored = f"scored    {scored_words(run.scored, found.images)}"
    lines = [scored, f"          {sqnr_words(found)}"]
    if found.agreement is None:
        return lines
    chance = f"; always the same answer {found.chance:.1%}" if found.at_chance else ""
    if found.top1 is None:
        first = f"agreement {found.agreement:.1%} with the float model's class (no labels){chance}"
    else:
        first = (
            f"accuracy  {found.top1:.1%} top-1 end to end, float model {floats.top1:.1%}, on "
            f"{found.images:,} images; they agree on {found.agreement:.1%}{chance}"
        )
    return [first, *lines]


def score(found: Evaluation) -> str:
    """An accuracy, or an SQNR where there are no classes, as a cell of a table."""
    return f"{found.sqnr_db:.1f} dB" if found.accuracy is None else f"{found.accuracy:.1%}"


def sqnr_words(found: Evaluation) -> str:
    """How far outputs are from the float model's."""
    if found.sqnr_db == inf:
        return "outputs equal to the float model's"
    return f"outputs with an SQNR of {found.sqnr_db:.1f} dB to the float model's"


def end_to_end_document(run: EndToEnd | None) -> dict[str, Any] | None:
    """The same as a dict."""
    if run is None:
        return None
    found = evaluation_document(run.found)
    assert found is not None
    return found | {
        "simulated": run.found.top1, "float_model": run.floats.top1,
        "scored": scored_document(run.scored),
    }  # fmt: skip


def evaluation_document(found: Evaluation | None) -> dict[str, Any] | None:
    """An evaluation as a dict; an SQNR that is infinite is None."""
    if found is None:
        return None
    values = asdict(found)
    values["sqnr_db"] = found.sqnr_db if isfinite(found.sqnr_db) else None
    return values | {"interval": list(found.interval)}
