"""A result of each kind, made once of a small network."""

from pathlib import Path
from typing import Any

import pytest

import esnsim
from esnsim.images import sets

MODEL = "builtin:resnet8"


@pytest.fixture(scope="session")
def results(place: Path) -> dict[str, Any]:
    model, images = place / "model.onnx", sets.load(place / "images.npz")
    return {
        "cost": esnsim.cost(model),
        "simulate": esnsim.simulate(model),
        "machines": esnsim.simulate(model, machines="stripes,isaac", memory="bitsim"),
        "compress": esnsim.compress(model, budget=20e3, images=images),
        "sweep": esnsim.sweep(model, ratios=[0], bits=[2, 4], images=images),
        "compare": esnsim.compare(MODEL, "builtin:resnet20"),
    }


@pytest.fixture(scope="session")
def pages(results: dict[str, Any]) -> dict[str, str]:
    """The pages of the results."""
    for needed in ("jinja2", "matplotlib"):
        pytest.importorskip(needed)
    from esnsim.page.html import html

    return {kind: html(result) for kind, result in results.items()}
