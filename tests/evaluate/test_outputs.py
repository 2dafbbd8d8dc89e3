"""What of a model's outputs is scored, for every layout, and what that gives."""

from math import prod

import numpy as np
import pytest

from esnsim.errors import UsageError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.outputs import Scoring
from esnsim.graph.model import open_model
from esnsim.graph.sites import sites
from esnsim.images.sets import DataError
from tests.evaluate.layouts import IMAGES, LAYOUTS, POOLED, STEM, answers, images, network
from tests.execute.models import model, normal, whole


@pytest.mark.parametrize("name", LAYOUTS)
def test_axes_are_found(name: str) -> None:
    layout = LAYOUTS[name]
    found = Evaluator(open_model(network(layout)), images()).scored
    assert (found.output, found.kind, found.batch_axis, found.class_axis, found.threshold) == (
        "y", layout.kind, layout.batch, layout.classes, layout.threshold
    )  # fmt: skip
    assert prod(found.places) == prod(layout.places)


@pytest.mark.parametrize("batch", ["N", "4", "5", "1"])  # as many as classes, as steps
@pytest.mark.parametrize("name", LAYOUTS)
def test_agreement_is_what_onnx_runtime_gives(name: str, batch: str) -> None:
    layout = LAYOUTS[name]
    proto, some = network(layout, batch), images()
    graph = open_model(proto)
    change = {
        site.slot: site.to_operand(site.layer.weight.load() + normal(*site.layer.weight.shape) / 9)
        for site in sites(graph)
    }
    evaluator = Evaluator(graph, some)
    found = evaluator(change)
    before = whole(network(layout), {"x": some.read(0, IMAGES)})["y"]
    after = evaluator.outputs(change)
    if layout.kind == "values":
        assert found.accuracy is None
        assert np.isfinite(found.sqnr_db)
        return
    after = np.moveaxis(after, 0, layout.batch or 0)
    same = answers(layout, before) == answers(layout, after)
    assert found.agreement == same.mean()
    assert evaluator.floats.agreement == 1


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_weights_of_zero_are_no_better_than_the_largest_class(name: str, labelled: bool) -> None:
    layout = LAYOUTS[name]
    if labelled and layout.kind == "values":
        return
    labels = np.arange(IMAGES * prod(layout.places)).reshape(IMAGES, *layout.places) % 2
    some = images(labels if labelled else None)
    whole_model = Evaluator(open_model(network(layout)), some)
    zeros = Evaluator(
        open_model(network(layout, zero=True)), some, whole_model.reference,
        scored=whole_model.scored,
    )  # fmt: skip
    zero, same = zeros({}), zeros.scored.answers(zeros.outputs({}))
    if zero.accuracy is None or same is None:
        assert zero.sqnr_db < 3
        return
    assert len(np.unique(same)) == 1  # so it is right for one class alone
    assert zero.chance is not None
    assert zero.accuracy <= zero.chance
    assert not zero.ties(whole_model.floats)


def test_one_logit_is_a_class_where_there_are_labels() -> None:
    graph = open_model(network(LAYOUTS["N 1 of anything"]))
    labels = np.arange(IMAGES) % 2
    found = Evaluator(graph, images(labels))
    assert (found.scored.kind, found.scored.threshold) == ("threshold", 0)
    logits = found.outputs({})[:, 0]
    assert found({}).top1 == ((logits > 0) == labels).mean()
    with pytest.raises(DataError, match="from 1 to 2, but the model has 2"):
        Evaluator(graph, images(labels + 1))


@pytest.mark.parametrize(
    ("ending", "threshold"),
    [
        ("y = Squeeze(z, one)", 0),
        ("y = Clip(z, low, high)", 0.5),  # all between 0 and 1
        ("c = Clip(z, low, high)\n y = Add(c, c)", 0),  # and up to 2
    ],
)
def test_a_single_score_is_a_logit_unless_it_lies_between_0_and_1(
    ending: str, threshold: float
) -> None:
    nodes = f"{STEM}{POOLED}z = MatMul(f, w2)\n {ending}"
    proto = model(
        nodes, "float[N,3,6,5] x", w1=normal(8, 3, 3, 3), w2=normal(8, 1), one=np.array([1]),
        low=np.float32(0), high=np.float32(1),
    )  # fmt: skip
    found = Evaluator(open_model(proto), images(np.arange(IMAGES) % 2)).scored
    assert (found.kind, found.threshold) == ("threshold", threshold)


def test_the_user_says_what_is_scored() -> None:
    graph = open_model(network(LAYOUTS["two heads"]))
    assert Evaluator(graph, images(), scored=Scoring(output="u")).scored.output == "u"
    silent = Evaluator(graph, images(), scored=Scoring(class_axis="none"))
    assert silent.floats.accuracy is None
    pixels = Evaluator(
        open_model(network(LAYOUTS["N 3 H W, a picture"])), images(), scored=Scoring(class_axis=-3)
    ).scored
    assert (pixels.kind, pixels.classes, pixels.places) == ("classes", 3, (6, 5))


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        (Scoring(output="z"), "no output 'z': give one of 'u', 'y'"),
        (Scoring(class_axis=2), "--class-axis 2: output 'y' has the axes 0 to 1"),
        (Scoring(class_axis=0), "axis 0 of output 'y' is that of the images"),
        (Scoring(batch_axis=1), "axis 1 of output 'y' has the size 4 for 2 images"),
    ],
)
def test_what_is_not_there_cannot_be_scored(scoring: Scoring, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        Evaluator(open_model(network(LAYOUTS["two heads"])), images(), scored=scoring)
    assert "\n" not in str(error.value)


def test_pixels_have_labels_too() -> None:
    labels = np.arange(IMAGES * 30).reshape(IMAGES, 6, 5) % 4
    evaluator = Evaluator(open_model(network(LAYOUTS["N K H W"])), images(labels))
    found = evaluator({})
    assert found.top1 == (evaluator.reference.argmax(1) == labels).mean()
    assert found.top5 is None
    with pytest.raises(DataError, match=r"has 1 labels an image, but .* classifies 30 places"):
        Evaluator(open_model(network(LAYOUTS["N K H W"])), images(labels[:, 0, 0]))


def test_outputs_of_a_batch_of_one_may_have_no_axis_for_it() -> None:
    proto = model(
        "t = Conv(x, w)\n p = GlobalAveragePool(t)\n y = Squeeze(p)", "float[1,3,6,5] x",
        w=normal(4, 3, 3, 3),
    )  # fmt: skip
    evaluator = Evaluator(open_model(proto), images(), scored=Scoring(class_axis=0))
    assert evaluator.scored.batch_axis is None
    assert evaluator.reference.shape == (IMAGES, 4)
    assert evaluator({}).agreement == 1
