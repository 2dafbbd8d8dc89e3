"""How many filters go: as many as pay, each layer its own share, all at one price."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from esnsim.compression.allocate.weighing import JUDGED, gains_of
from esnsim.compression.prune.noise import order
from esnsim.compression.round.layers import Candidate
from esnsim.compression.workspace import Workspace
from esnsim.errors import UsageError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.model.network import Mask
from esnsim.quantization.filter_sums import Floats

SHARES = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)  # of the MACs that are left, until less pays no more

#: The workspace of a model without the filters (M,) of each layer that are not kept.
Prepare = Callable[[Sequence[Mask]], Workspace]


def pruned(
    workspace: Workspace, prepare: Prepare, effort: str
) -> Iterator[tuple[Workspace, list[Floats]]]:
    """The model as it is, then with ever fewer filters; each with gains of the filters left."""
    images = workspace.calibration
    if images is None or workspace.evaluator is None:
        raise UsageError("what pruning is worth is measured on images: give --data")
    gains = gains_of(workspace, images, effort, workspace.threads)
    yield workspace, gains
    going = order(workspace.model, images, gains, workspace.threads)
    for share in SHARES:
        kept = going.kept(share)
        left = [each[mask] for each, mask in zip(gains, kept, strict=True)]
        yield prepare(kept), left


def worth(workspace: Workspace, candidate: Candidate) -> float:
    """The SQNR in dB that a candidate has on images that calibrate."""
    assert workspace.calibration is not None
    assert workspace.evaluator is not None
    images = replace(workspace.calibration.first(JUDGED), labels=None)
    scored, threads = workspace.evaluator.scored, workspace.threads
    whole = Evaluator(workspace.whole, images, threads=threads, scored=scored).reference
    evaluator = Evaluator(workspace.model, images, whole, threads, scored=scored)
    return evaluator(candidate.changes).sqnr_db
