"""What models that are compared are worth on the same images, as their files run."""

from collections.abc import Sequence
from dataclasses import replace

from esnsim.comparison.compare import Compared, Side, compare
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.evaluate.scores import Scored
from esnsim.graph.model import Model
from esnsim.images.sets import ImageSet
from esnsim.images.split import OF_SCORED, first_of, split
from esnsim.model.network import Array


def compare_on(
    images: ImageSet, sides: Sequence[Side], models: Sequence[Model | None],
    calibration: ImageSet | None = None, count: int | None = None, scoring: Scoring = GUESS,
    threads: int = 0,
) -> Compared:  # fmt: skip
    """Models compared, with the accuracy of each on `count` of the images that `compress` scores.

    Without `calibration` the first images are left out: `compress` calibrates with them. A side
    without a model has no evaluation; the first that has one is the reference of the others. Float
    weights run as floats. Raises UsageError for models whose outputs differ in shape.
    """
    _, chosen = split(images, OF_SCORED, calibration)
    chosen = first_of(chosen, count) if count else chosen
    reference: Array | None = None
    scored: Scored | None = None
    rated = list[Side]()
    for side, model in zip(sides, models, strict=True):
        if model is not None:
            evaluator = Evaluator(model, chosen, reference, threads, scored=scoring)
            found = evaluator.floats if reference is None else evaluator({})
            reference, scored = evaluator.reference, scored or evaluator.scored
            side = replace(side, evaluation=found)
        rated.append(side)
    return compare(rated, scored, chosen.count)
