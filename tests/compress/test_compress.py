"""Pruned, quantised, corrected and written: what comes out is what was planned.

1. The written model costs what the quantised network does, and its `qdq` computes what its `float`
   does.
2. A budget that any allocation meets is met by the written model.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto

from esnsim import UsageError, cost, quantize, read_onnx
from esnsim.compression.compress import compress
from esnsim.compression.export.build import build
from esnsim.compression.export.export import upgraded
from esnsim.compression.prune.prune import choose
from esnsim.compression.recipe import Recipe
from esnsim.compression.workspace import prepare
from esnsim.costs.metric import metric_value
from esnsim.graph.model import open_model
from esnsim.images.sets import ImageSet, load
from esnsim.quantization.scheme import Scheme
from tests.compress.prunable import prunable
from tests.execute.models import feeds_of, whole

CANCELLED = 1e-9  # what float32 leaves of sums whose terms cancel
SCHEMES = st.sampled_from([Scheme(bits=1), Scheme(bits=3), Scheme("filter-sigma", alpha=1.3)])


def images_of(proto: ModelProto) -> ImageSet:
    """Noise that the model takes."""
    size = tuple(d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim[1:])
    pixels = np.random.default_rng(2).normal(size=(9, *size)).astype(np.float32)
    return ImageSet(name="noise", count=len(pixels), read=lambda start, stop: pixels[start:stop])


@settings(max_examples=12)
@given(prunable(), SCHEMES, st.sampled_from([0.0, 0.4, 0.7]), st.booleans())
def test_the_written_model_is_what_was_planned(
    proto: ModelProto, scheme: Scheme, ratio: float, seen: bool
) -> None:
    images = images_of(proto) if seen else None
    models = {}
    for form in ("qdq", "qonnx", "float"):
        opened = upgraded(open_model(proto), form)
        workspace = prepare(opened, images, images, choose(opened, ratio), threads=1)
        candidate = workspace.candidate(scheme)
        built, found = build(workspace, candidate, form)
        models[form] = built.proto
        assert (found is not None) == seen
        if form != "float":
            read = cost(quantize(read_onnx(models[form])))
            planned = cost(candidate.quantized).total  # without the types that a file has
            assert replace(read.total, stored_bits=planned.stored_bits) == planned
    feeds = feeds_of(models["float"])
    wanted, got = whole(models["float"], feeds), whole(models["qdq"], feeds)
    for name, array in wanted.items():
        noise = 1e-5 * abs(array).max() + CANCELLED
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=noise)


@settings(max_examples=10)
@given(prunable(), st.sampled_from([0.0, 0.5]), st.floats(1.05, 6))
def test_a_budget_is_met(proto: ModelProto, ratio: float, bits: float) -> None:
    opened = open_model(proto)
    pruned = prepare(opened, kept=choose(opened, ratio)).network
    least = cost(quantize(pruned, Scheme("filter-max", bits=1)))
    budget = bits * least.total.esn_d_tilde.macs
    result = compress(open_model(proto), Recipe(ratio=ratio, budget=budget, rule="filter-max"))
    assert metric_value(result.after.total, "esn_d_tilde") <= budget
    assert metric_value(result.after.total, "esn_d_tilde") > 0


@pytest.mark.parametrize("budget", [1300.0, 2000.0])  # of 2,228 MACs: filters go
def test_what_filters_that_go_make_cheaper_is_spent_on_others(place: Path, budget: float) -> None:
    images = load(place / "images.npz").first(48)
    found = compress(open_model(place / "model.onnx"), Recipe(budget=budget), images, images)
    assert 0.9 * budget < found.spent[1] <= budget


@pytest.mark.parametrize(
    "options",
    [
        {}, {"budget": 1.0, "drop": 0.1}, {"scheme": Scheme(), "budget": 1.0},
        {"budget": 1.0, "policy": "guess"}, {"budget": 1.0, "policy": "esna-targets"},
        {"scheme": Scheme(), "activations": True, "form": "qonnx"},
        {"quantize": False, "form": "qdq", "ratio": 0.5}, {"quantize": False, "form": "float"},
    ],
    ids=str,
)  # fmt: skip
def test_a_recipe_that_does_not_go_together_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Recipe(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2])
def test_a_single_image_that_calibrates_and_is_scored_is_told(place: Path, count: int) -> None:
    images = load(place / "images.npz").first(count)
    found = compress(open_model(place / "model.onnx"), Recipe(scheme=Scheme(bits=4)), images)
    said = "the image that is scored calibrates too: give two or more"
    assert (said in found.notes) == (count == 1)
