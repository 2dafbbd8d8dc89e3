"""What made a cost change, in words: MAC×bit is live MACs by width, and live MACs live weights by
how often each is used.
"""

from esnsim.comparison.match import Pair
from esnsim.costs.figures import Figures

NOTABLE_PERCENT = 1  # by which a factor has to differ to be called a cause
PRUNED, NARROWER, OTHER_CODES = "pruned", "narrower", "other codes"


def layer_causes(pair: Pair) -> tuple[str, ...]:
    """Why a layer costs other than it did; nothing where all its figures are the same."""
    before, after = pair.before, pair.after
    if before is None or after is None:
        return ("new" if before is None else "gone",)
    uses = before.macs_per_weight, after.macs_per_weight
    found = (
        *_said(before.live_weights, after.live_weights, PRUNED, "more weights"),
        *_said(*uses, "smaller input", "larger input"),
        *_width(before, after),
    )
    return found or ((OTHER_CODES,) if figures(before) != figures(after) else ())


def total_causes(before: Figures, after: Figures, pruned: bool) -> tuple[str, ...]:
    """Why a network costs other than it did; `pruned`: some layer has lost weights."""
    fewer = PRUNED if pruned else "fewer MACs"
    return *_said(before.live_macs, after.live_macs, fewer, "more MACs"), *_width(before, after)


def figures(of: Figures) -> tuple[object, ...]:
    """What two layers have in common where nothing changed."""
    return (
        of.filters, of.pruned_filters, of.weights, of.live_weights, of.macs, of.live_macs,
        of.esn_a_x4, of.esn_d, of.esn_d_tilde,
    )  # fmt: skip


def _width(before: Figures, after: Figures) -> tuple[str, ...]:
    """Mean widths by MACs, compared without a division."""
    was, now = before.esn_d_tilde.macs, after.esn_d_tilde.macs
    return _said(was * after.live_macs, now * before.live_macs, NARROWER, "wider")


def _said(before: int, after: int, less: str, more: str) -> tuple[str, ...]:
    if 100 * abs(after - before) <= NOTABLE_PERCENT * max(before, after):
        return ()
    return (less if after < before else more,)
