"""The model of these tests."""

from pathlib import Path

import pytest

from tests.samples import saved, two_layers


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Two small convolutions as a file."""
    return saved(two_layers(), tmp_path)
