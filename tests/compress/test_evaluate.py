"""Evaluation: accuracy, agreement, noise and intervals, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto

from esnsim.errors import EsnsimError, UsageError
from esnsim.evaluate import feeds as feeding
from esnsim.evaluate.evaluator import Evaluator
from esnsim.evaluate.feeds import Feeds, fitting
from esnsim.evaluate.scores import Evaluation, Scored, evaluation, wilson
from esnsim.graph.model import open_model
from esnsim.graph.sites import sites
from esnsim.images import sets as data
from esnsim.images.sets import DataError, ImageSet
from esnsim.progress import listening
from tests.execute.models import model, normal, whole

CLASSIFIER = "t = Conv<strides = [1, 2]>(x, w)\n p = GlobalAveragePool(t)\n y = Flatten(p)"


def classifier(classes: int = 7, batch: str = "N") -> ModelProto:
    return model(CLASSIFIER, f"float[{batch},3,6,5] x", w=normal(classes, 3, 3, 2))


def images(count: int = 10, labels: NDArray[np.int64] | None = None, size=(3, 6, 5)) -> ImageSet:
    x = normal(count, *size)
    return ImageSet(name="made", count=count, read=lambda start, stop: x[start:stop], labels=labels)


def scored(
    kind: str = "classes", batch: int | None = 0, classes: int | None = 1,
    threshold: float | None = None, places: tuple[int, ...] = (),
) -> Scored:  # fmt: skip
    return Scored(
        output="y", kind=kind, batch_axis=batch, class_axis=classes, classes=None,
        threshold=threshold, places=places,
    )  # fmt: skip


CLASSES = scored()


def test_the_embedded_network_has_the_accuracy_that_its_card_states() -> None:
    found = Evaluator(open_model("builtin:resnet8"), data.embedded().first(300))({})
    assert found.agreement == 1
    assert found.sqnr_db == np.inf
    scores = whole("builtin:resnet8", {"image": data.embedded().read(0, 300)})["logits"]
    labels = data.embedded().first(300).labels
    assert found.top1 == (scores.argmax(axis=1) == labels).mean()
    best = np.argsort(-scores, axis=1)[:, :5]
    assert found.top5 == (best == labels[:, None]).any(axis=1).mean()


@pytest.mark.parametrize("batch", ["N", "4"])
def test_other_weights_are_compared_with_the_float_model(batch: str) -> None:
    proto = classifier(batch=batch)
    graph = open_model(proto)
    [site] = sites(graph)
    evaluator = Evaluator(graph, images(), batch=3)
    other = normal(7, 3, 3, 2, seed=5)
    told: list[str] = []
    with listening(told.append):
        found = evaluator({site.slot: other})
    x = images().read(0, 10)
    free = {"x": x}
    before = whole(classifier(), free)["y"]
    after = whole(model(CLASSIFIER, "float[N,3,6,5] x", w=other), free)["y"]
    np.testing.assert_allclose(evaluator.reference, before, rtol=1e-4, atol=1e-5)
    assert found.agreement == (before.argmax(axis=1) == after.argmax(axis=1)).mean()
    noise = ((after - before) ** 2).sum()
    assert found.sqnr_db == pytest.approx(10 * np.log10((before**2).sum() / noise), abs=1e-3)
    assert (found.top1, found.top5) == (None, None)
    assert found.interval == wilson(found.agreement * 10, 10)
    done = [3, 6, 9, 10] if batch == "N" else [4, 8, 10]
    assert told == [f"{count} of 10 images" for count in done]


def test_a_batch_that_is_written_as_minus_one_is_free() -> None:
    proto = classifier()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    assert Evaluator(open_model(proto), images(), batch=3)({}).images == 10


def test_the_reference_of_another_model_is_compared_with() -> None:
    graph, some = open_model(classifier()), images()
    reference = Evaluator(graph, some).reference
    assert Evaluator(graph, some, -reference)({}).sqnr_db == pytest.approx(-10 * np.log10(4))
    with pytest.raises(UsageError, match="outputs for 9 images, not for 10"):
        Evaluator(graph, some, reference[:9])
    with pytest.raises(UsageError, match="same classes"):
        Evaluator(graph, some, reference[:, :6])({})


def test_images_are_prepared_once_where_they_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    some = images()
    counted = replace(some, read=lambda a, b: (reads.append(a), some.read(a, b))[1])
    graph = open_model(classifier())
    for kept in (1 << 28, 0):
        monkeypatch.setattr(feeding, "KEPT_BYTES", kept)
        feeds = Feeds(graph, counted, 4)
        first = [feed["x"] for feed, _ in feeds]
        reads.clear()
        again = [feed["x"] for feed, _ in feeds]
        np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))
        assert [r for r in reads if r] == ([] if kept else [4, 8])


def test_a_batch_is_as_large_as_memory_allows() -> None:
    graph = open_model(classifier())
    assert fitting(graph, 7 * 4 * 2 * 5, 99) == 5
    assert fitting(graph, 1, 99) == 1
    assert fitting(graph, 1 << 40, 99) == 99


@pytest.mark.parametrize(
    ("shape", "places"), [((4, 7), 1), ((4, 6, 7), 6), ((4, 7, 3, 2), 6), ((4, 7, 1, 1), 1)]
)
def test_classes_lie_along_the_axis_that_the_rank_tells(shape, places: int) -> None:
    scores = normal(*shape)
    found = scored(classes=2 if len(shape) == 3 else 1).answers(scores)
    assert found is not None
    assert found.shape == (4, places)
    moved = scores if len(shape) == 3 else np.moveaxis(scores, 1, -1)
    np.testing.assert_array_equal(found, moved.argmax(axis=-1).reshape(4, -1))


# Newcombe 1998, Table I, method 3 (Statist. Med. 17, 857–872).
@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)  # fmt: skip
def test_intervals_are_those_of_newcombe(right: int, count: int, low: float, high: float) -> None:
    assert wilson(right, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_an_interval_holds_the_share_and_shrinks_with_images(count: int, draw) -> None:
    right = draw.draw(st.integers(0, count))
    low, high = wilson(right, count)
    assert 0 <= low <= right / count <= high <= 1
    narrow = wilson(4 * right, 4 * count)
    assert narrow[1] - narrow[0] < high - low
    mirrored = wilson(count - right, count)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


def of(right: int, count: int = 1000) -> Evaluation:
    share = right / count
    return Evaluation(
        images=count, top1=share, top5=None, agreement=1.0, sqnr_db=10.0,
        interval=wilson(right, count), chance=0.1,
    )  # fmt: skip


def test_a_difference_inside_the_interval_is_a_tie() -> None:
    assert of(955).ties(of(955))
    assert of(955).ties(of(945))
    assert of(945).ties(of(955))
    assert not of(955).ties(of(935))
    assert not of(935).ties(of(955))
    assert of(60, 100).ties(of(520))
    assert replace(of(5, 10), top1=None, agreement=0.5).accuracy == 0.5
    chance = replace(of(955), chance=0.95)
    assert not chance.ties(of(955))
    assert not of(955).ties(chance)


@given(st.integers(2, 9), st.integers(1, 5), st.integers(0, 2**32 - 1), st.data())
def test_scores_of_parts_add_up(count: int, places: int, seed: int, data: st.DataObject) -> None:
    """Over any split of the images: what is right is counted, and divided where it is printed."""
    rng, cut = np.random.default_rng(seed), data.draw(st.integers(1, count - 1))
    outputs, reference = rng.normal(size=(2, count, 7, places))
    labels = rng.integers(0, 7, (count, places))
    kind = scored(places=(places,))
    whole = evaluation(outputs, reference, kind, labels)
    parts = [
        evaluation(outputs[part], reference[part], kind, labels[part])
        for part in (slice(None, cut), slice(cut, None))
    ]
    for name in ("top1", "agreement", "top5"):
        if getattr(whole, name) is None:
            continue
        right = [getattr(each, name) * each.images * places for each in (whole, *parts)]
        assert round(right[0]) == round(right[1]) + round(right[2])
        assert right == pytest.approx(np.rint(right))


def test_labels_count_and_top5_needs_more_than_five_classes() -> None:
    scores = np.eye(6)[[0, 1, 2, 3]] - 2 * np.eye(6)[[5, 5, 5, 4]]
    found = evaluation(scores, scores, CLASSES, np.array([0, 1, 5, 0]))
    assert (found.top1, found.top5, found.agreement) == (0.5, 0.75, 1.0)
    assert evaluation(scores[:, :5], scores[:, :5], CLASSES, np.array([0, 1, 2, 3])).top5 is None


def test_outputs_that_are_not_finite_are_all_noise() -> None:
    scores = normal(4, 7)
    broken = scores.copy()
    broken[2] = np.nan
    found = evaluation(broken, scores, CLASSES)
    assert (found.sqnr_db, found.agreement) == (-np.inf, 0.75)
    assert evaluation(broken, broken, CLASSES).agreement == 0.75
    assert evaluation(scores, np.zeros_like(scores), CLASSES).sqnr_db == -np.inf


BAD = {
    "labels of more classes": (images(labels=np.arange(10)), "from 0 to 9, but the model has 7"),
    "negative labels": (images(labels=np.arange(-1, 9) // 2), "from -1 to 4"),
    "another size": (images(size=(3, 5, 6)), "are 3×5×6, but input 'x' takes 3×6×5"),
    "no image": (images(0), "has no images"),
}


@pytest.mark.parametrize("name", BAD)
def test_images_that_do_not_fit_are_refused(name: str) -> None:
    some, message = BAD[name]
    with pytest.raises(DataError, match=message) as error:
        Evaluator(open_model(classifier()), some)
    assert "\n" not in str(error.value)


MODELS = {
    "two inputs": ("y = Add(x, z)\n t = MatMul(x, w)", "float[N,5] x, float[N,5] z", "'x', 'z'"),
    "integers": ("c = Cast<to = 1>(x)\n y = MatMul(c, w)", "int32[N,5] x", "takes int32"),
    "no batch": ("t = MatMul(x, w)\n y = ReduceSum(t)", "float[N,5] x", "no axis of it"),
    "wrong for more than one image": (
        "t = MatMul(x, w)\n y = Reshape(t, s)", "float[N,5] x", "ONNX Runtime stopped"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models_that_images_cannot_run_through_are_refused(name: str) -> None:
    nodes, inputs, message = MODELS[name]
    proto = model(nodes, inputs, w=normal(5, 7), s=np.array([1, 7]))
    with pytest.raises(EsnsimError, match=message) as error:
        Evaluator(open_model(proto), images(size=(5,)))({})
    assert "\n" not in str(error.value)
