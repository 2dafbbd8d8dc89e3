"""What is left of noise where codes compensate, of every filter at each width: widths go by it."""

from collections.abc import Sequence

import numpy as np

from esnsim.compression.round.codes import Problem, values
from esnsim.compression.round.filters import problems
from esnsim.compression.round.inputs import moments_in_float
from esnsim.compression.round.moments import Moments
from esnsim.compression.round.steps import Coded, tries
from esnsim.evaluate.feeds import Feeds
from esnsim.graph.model import Model
from esnsim.graph.sites import sites
from esnsim.images.sets import ImageSet
from esnsim.progress import show_progress
from esnsim.quantization.filter_sums import Floats
from esnsim.quantization.quantizer import QuantizedLayer

TRIED = 4  # widths from 1 bit on; at more noise goes as the square of the step


def remaining(
    model: Model, images: ImageSet, runs: Sequence[Sequence[QuantizedLayer]], rule: str,
    centred: bool, threads: int = 0,
) -> list[Floats | None]:  # fmt: skip
    """The noise (M, widths) that compensated codes leave of each layer's filters, inputs in float.

    `runs` are the layers at every width from 1 bit on. Noise at a layer's output is told as the
    squared error of weights that would make as much of it if it were white. `centred` leaves out
    what statistics correct. None for layers whose inputs can't be had.
    """
    found: list[Floats | None] = [None] * len(runs)
    places = sites(model)
    feeds = [feed for feed, _ in Feeds(model, images).whole()]
    for done, (site, moments) in enumerate(moments_in_float(model, places, feeds, threads)):
        show_progress(f"measuring noise, layer {done + 1:,} of {len(places):,}")
        near = [each.centred for each in moments] if centred else moments
        if site.layer.weight.codes is None:
            found[site.index] = _of_layer(runs[site.index], near, rule)
    return found


def _of_layer(runs: Sequence[QuantizedLayer], moments: Sequence[Moments], rule: str) -> Floats:
    noise = np.stack([run.sums.noise for run in runs], axis=1)
    for rows, _, problem in problems(runs[-1], moments, pruned=False):
        energy = float(np.trace(problem.gram)) / len(problem.gram) + problem.factor.ridge
        noise[rows] = _at_widths(problem, rows, runs, rule) / energy
    return noise


def _damped(problem: Problem, tried: Coded) -> Floats:
    """(T − Q)·(H + λI)·(T − Q)ᵀ of each try and filter (…, M)."""
    error = problem.target - values(tried.q, tried.steps)
    damped = error @ problem.gram + problem.factor.ridge * error
    return np.asarray((damped * error).sum(axis=-1))


def _at_widths(problem: Problem, rows: slice, runs: Sequence[QuantizedLayer], rule: str) -> Floats:
    """The error (M, widths) at the output of a group's filters, damped: windows may be few."""
    found: list[Floats] = []
    for width, run in enumerate(runs):
        steps = np.where(run.steps > 0, run.steps, 1.0)[rows]
        if width < TRIED:
            limit = (np.int64(1) << run.sums.width_code[rows]) - 1
            last = _damped(problem, tries(problem, steps, limit, rule)).min(axis=0), steps
            found.append(last[0])
        else:
            found.append(last[0] * (steps / last[1]) ** 2)
    return np.stack(found, axis=1)
