"""A result of each kind, made once of a small network."""

from pathlib import Path
from typing import Any

import pytest

import esnsim
from esnsim.images import sets
from tests.compress.small import furnished
from tests.samples import saved, two_layers

MODEL = "builtin:resnet8"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model and images that it classifies, to be read only."""
    return furnished(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def results(small: Path) -> dict[str, Any]:
    model, images = small / "model.onnx", sets.load(small / "images.npz")
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


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Two small convolutions as a file."""
    return saved(two_layers(), tmp_path)
