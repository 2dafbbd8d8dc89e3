"""What an allocation is worth before anything is rounded: all weights with noise as of their codes.

Gains are measured one filter at a time, and the noise of many is not quite their sum. White noise
on every weight at once, as large as the error that its filter's codes leave, takes few runs of the
model, a fraction of what rounding takes, and ranks allocations as codes do (docs/allocate.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esnsim.compression.allocate.allocate import Allocation, names_of
from esnsim.compression.correct.recalibrate import Corrector
from esnsim.compression.round.reference import Reference
from esnsim.compression.workspace import Workspace, float_targets
from esnsim.evaluate.evaluator import Evaluator
from esnsim.graph.sites import first_uses
from esnsim.model.network import Array, Layer
from esnsim.quantization.filter_sums import Floats, Ints

IMAGES, FEWEST = 128, 16  # that are run, at most and at least
MACS = 5 * 10**10  # of a run, unless the fewest images take more


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """A model whose weights get noise, and what it is measured with.

    `errors` are each layer's squared error of a filter (M, widths) from 1 bit on. Statistics follow
    the `corrector`, None where they stay; the `evaluator` compares with the whole model in float.
    """

    workspace: Workspace
    errors: Sequence[Floats]
    evaluator: Evaluator
    corrector: Corrector | None

    def __call__(self, allocation: Allocation) -> float:
        """The SQNR in dB of the output under the noise that an allocation's codes leave."""
        places, names = self.workspace.sites, names_of(self.workspace.network)
        drawn, changes = dict[int, Array](), {}
        for site, first in zip(places, first_uses(places).values(), strict=True):
            if first not in drawn:  # layers that share a weight share its noise
                rng = np.random.default_rng(len(drawn))
                widths = allocation.widths[names[site.index]]
                drawn[first] = noisy(site.layer, self.errors[site.index], widths, rng)
            changes[site.slot] = site.to_operand(drawn[first])
        found = self.corrector(changes) if self.corrector else changes
        return self.evaluator(found).sqnr_db


def injection(workspace: Workspace, errors: Sequence[Floats]) -> Injection:
    """Noise on a workspace's model: statistics follow the first images that calibrate, the last
    ones tell what it does.
    """
    images = workspace.calibration
    assert images is not None
    macs = max(1, sum(layer.macs for layer in workspace.network.layers))
    count = min(IMAGES, max(FEWEST, MACS // macs))
    floats = workspace.floats_on(images.after(max(0, images.count - count)))
    corrector = None
    if workspace.corrector is not None:
        few = images.first(count)
        reference = Reference(workspace.whole, few, workspace.threads)
        targets = float_targets(workspace.whole, workspace.kept, reference)
        corrector = Corrector(workspace.model, few, targets, workspace.threads)
    return Injection(
        workspace=workspace, errors=errors, evaluator=floats.of(workspace.model),
        corrector=corrector,
    )  # fmt: skip


def noisy(layer: Layer, errors: Floats, widths: Ints, rng: np.random.Generator) -> Array:
    """A layer's weights (M, C/g, *kernel) with white noise of the squared error that each filter
    has at its width (M, widths), a folded BatchNormalization's gain included; at 0 bits it is 0.

    Weights of 0 stay.
    """
    weights = layer.weight.load().astype(np.float64)
    flat = weights.reshape(len(weights), -1)
    energy = np.take_along_axis(errors, np.maximum(widths - 1, 0)[:, None], axis=1)
    noise = rng.standard_normal(flat.shape) * (flat != 0)
    found = np.square(noise).sum(axis=1, keepdims=True)
    if layer.weight.gain is not None:
        found = found * np.square(layer.weight.gain)[:, None]
    noise *= np.sqrt(np.divide(energy, found, out=np.zeros_like(found), where=found > 0))
    return np.asarray(np.where(widths[:, None] > 0, flat + noise, 0).reshape(weights.shape))
