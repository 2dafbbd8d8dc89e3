"""What `esnsim compress` says of an accuracy before and after."""

import pytest

from esnsim.evaluate.scores import Evaluation
from esnsim.report.compression.document import change_of_accuracy


def evaluation(top1: float | None, low: float = 0, high: float = 1) -> Evaluation:
    """Of images of which a tenth are of the most frequent class."""
    return Evaluation(
        images=500, top1=top1, top5=None, agreement=top1, sqnr_db=9.0, interval=(low, high),
        chance=0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((0.9, 0.89, 0.91), (0.895, 0.88, 0.9), "a tie"),
        ((0.9, 0.89, 0.91), (0.8, 0.79, 0.81), "10.00 points lost"),
        ((0.8, 0.79, 0.81), (0.9, 0.89, 0.91), "10.00 points won"),
        ((0.9, 0.89, 0.91), (0.1, 0.0, 1.0),
         "80.00 points lost, no better than always the same answer (10.0%)"),
        ((0.1, 0.0, 1.0), (0.1, 0.0, 1.0),
         "none lost, no better than always the same answer (10.0%)"),
    ],
)  # fmt: skip
def test_a_change_of_accuracy_is_a_verdict(
    before: tuple[float, ...], after: tuple[float, ...], verdict: str
) -> None:
    [said] = change_of_accuracy(evaluation(*before), evaluation(*after))
    assert said.startswith(f"accuracy  top-1 {before[0]:.2%} → {after[0]:.2%} on 500 images (95%:")
    assert said.endswith(f"): {verdict}")


def test_nothing_is_said_where_nothing_has_classes() -> None:
    assert not change_of_accuracy(evaluation(None), evaluation(None))
