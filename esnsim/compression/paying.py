"""How many filters go: as many as pay, each layer its own share, all at one price."""

from collections.abc import Callable, Iterator, Sequence

from esnsim.compression.allocate.weighing import gains_of
from esnsim.compression.journal import recalled
from esnsim.compression.prune.noise import Order, order
from esnsim.compression.prune.units import couple
from esnsim.compression.workspace import Workspace
from esnsim.errors import UsageError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.images.sets import ImageSet
from esnsim.model.network import Mask
from esnsim.quantization.filter_sums import Floats

SHARES = (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)  # of the MACs that are left, until less pays no more
JUDGED, HELD = 512, 4  # images that judge at most, and of how many that calibrate one does

#: The workspace of a model without the filters (M,) of each layer that are not kept.
Prepare = Callable[[Sequence[Mask]], Workspace]


def pruned(
    workspace: Workspace, prepare: Prepare, effort: str
) -> Iterator[tuple[Workspace, list[Floats]]]:
    """The model as it is, then with ever fewer filters; each with gains of the filters left."""
    images = workspace.calibration
    assert images is not None
    model, journal, threads = workspace.model, workspace.journal, workspace.threads
    gains = recalled(journal, "gains", lambda: gains_of(workspace, images, effort, threads))
    yield workspace, gains
    [units] = recalled(journal, "units", lambda: [order(model, images, gains, threads).units])
    going = Order(model=model, coupling=couple(model), units=units)
    for share in SHARES:
        kept = going.kept(share)
        left = [each[mask] for each, mask in zip(gains, kept, strict=True)]
        yield prepare(kept), left


def held_back(images: ImageSet, most: int) -> tuple[ImageSet, ImageSet]:
    """The images that calibrate, at most so many, and others, to judge what pruning is worth by.

    The last quarter judges, up to JUDGED images; fewer than four do both.
    """
    few = min(JUDGED, images.count // HELD)
    calibrate = images.first(min(most, images.count - few))
    return calibrate, images.after(images.count - few) if few else calibrate


def judge(workspace: Workspace, held: ImageSet | None) -> Evaluator:
    """An evaluator on images held back: how far models are from the whole one in float.

    Raises UsageError where there are none.
    """
    if held is None or workspace.evaluator is None:
        raise UsageError("what pruning is worth is measured on images: give --data")
    return workspace.floats_on(held)
