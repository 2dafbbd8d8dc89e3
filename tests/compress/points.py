"""Made-up points: what a sweep would have found."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from esnsim import Scheme, cost, quantize, read_onnx
from esnsim.costs.figures import Weightings
from esnsim.evaluate.scores import Evaluation, Scored
from esnsim.sweeps.frontier import Sweep
from esnsim.sweeps.points import Baseline, Candidate, Point

IMAGES = 1000
SCORED = Scored(
    output="y",
    kind="classes",
    batch_axis=0,
    class_axis=1,
    classes=10,
    threshold=None,
    places=(6, 5),
)
TOTAL = cost(quantize(read_onnx("builtin:resnet8"), Scheme(bits=4))).total


def evaluation(accuracy: float, labels: bool = True) -> Evaluation:
    """What an accuracy on 1,000 images looks like; the interval is some 3 points wide."""
    top1 = accuracy if labels else None
    low, high = max(0.0, accuracy - 0.015), min(1.0, accuracy + 0.015)
    return Evaluation(
        images=IMAGES, top1=top1, top5=top1, agreement=accuracy, sqnr_db=10.0,
        interval=(low, high), chance=0.0,
    )  # fmt: skip


def point(
    spent: int, accuracy: float, ratio: float = 0.0, bits: int = 4, *,
    model: str = "builtin:resnet8", policy: str = "uniform", rule: str = "layer-max",
    labels: bool = True,
) -> Point:  # fmt: skip
    """A point of that ESNd~ (MACs); its other metrics are in proportion."""
    total = replace(
        TOTAL, esn_d_tilde=Weightings(spent // 7, spent), esn_a_x4=Weightings(spent, 9 * spent)
    )
    candidate = Candidate(model=model, ratio=ratio, policy=policy, rule=rule, bits=bits)
    return Point(
        candidate=candidate, total=total, evaluation=evaluation(accuracy, labels),
        histogram={0: 10, bits: 30}, seconds=0.5,
    )  # fmt: skip


def baseline(accuracy: float = 0.94, model: str = "builtin:resnet8") -> Baseline:
    return Baseline(
        model=model, sha256="0" * 64, macs=TOTAL.macs, filters=TOTAL.filters,
        evaluation=evaluation(accuracy), scored=SCORED,
    )  # fmt: skip


def sweep(points: Sequence[Point], *baselines: Baseline, drop: float = 0.01) -> Sweep:
    return Sweep(
        images="1,000 images", baselines=baselines or (baseline(),), points=tuple(points),
        drop=drop, grid=len(points), binding={"correct": True},
    )  # fmt: skip


#: Points with many ties in cost and in accuracy.
some_points = st.lists(
    st.builds(
        point,
        st.integers(0, 12).map(lambda n: 1000 * n),
        st.integers(0, 10).map(lambda n: n / 10),
        st.sampled_from([0.0, 0.25, 0.5]),
        st.integers(1, 8),
    ),
    max_size=30,
)
