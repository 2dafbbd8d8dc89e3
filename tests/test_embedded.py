"""The embedded models are as small and as accurate as `accuracy.json` says."""

import json

import numpy as np
import onnxruntime
import pytest

from esnsim import read_onnx
from esnsim.images.sets import EMBEDDED, TRAINING
from esnsim.importer import find

MEASURED = json.loads((EMBEDDED.parent / "accuracy.json").read_text())
SLIM = {name: found for name, found in MEASURED.items() if "pruned_from" in found}


def test_every_model_has_its_accuracy() -> None:
    assert set(MEASURED) == {path.stem for path in EMBEDDED.parent.glob("*.onnx")}
    assert {"resnet8", "resnet20"} <= set(MEASURED)


@pytest.mark.parametrize("name", MEASURED)
def test_accuracy_on_the_embedded_images_is_the_one_measured(name: str) -> None:
    sample = np.load(EMBEDDED)
    session = onnxruntime.InferenceSession(find(f"builtin:{name}"))
    (logits,) = session.run(None, {"image": sample["images"].astype(np.float32) / 255})
    found = float((logits.argmax(1) == sample["labels"]).mean())
    assert found == pytest.approx(MEASURED[name]["accuracy_1000"], abs=0.0011)  # an image


def test_images_that_calibrate_are_few_bytes_unlabelled_and_none_of_those_that_are_scored() -> None:
    train, sample = np.load(TRAINING), np.load(EMBEDDED)
    assert TRAINING.stat().st_size < 300_000
    assert (set(train), train["images"].shape) == ({"images"}, (512, *sample["images"].shape[1:]))
    scored = {image.tobytes() for image in sample["images"]}
    assert not [image for image in train["images"] if image.tobytes() in scored]


def test_the_slim_models_take_less_than_2_mb_together() -> None:
    assert sum(find(f"builtin:{name}").stat().st_size for name in SLIM) < 2_000_000


@pytest.mark.parametrize("name", SLIM)
def test_slim_models_keep_their_share_of_each_layers_filters(name: str) -> None:
    share = float(name.rpartition("_")[2].rstrip("x").replace("0", "0.", 1))
    slim, whole = (read_onnx(f"builtin:{n}").layers for n in (name, SLIM[name]["pruned_from"]))
    assert [layer.name for layer in slim] == [layer.name for layer in whole]
    kept = [a.filters / b.filters for a, b in zip(slim[:-1], whole[:-1], strict=True)]
    assert kept == [share] * len(kept)
    assert slim[-1].filters == whole[-1].filters == 10
