"""What tests of whole commands share."""

from pathlib import Path

import pytest

from tests.compress.small import furnished


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model and images that it classifies, to be read only."""
    return furnished(tmp_path_factory.mktemp("small"))
