"""Hypothesis profiles: `ci` where CI is set, or the one that HYPOTHESIS_PROFILE names.

No profile has a deadline: the first call of a Numba kernel compiles it. Below them the models that
whole commands run on, which tests of every room share.
"""

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Threads of BLAS and of torch wait at full speed for those beside them, and tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that starts tests in the background has them ignore Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Looking for cycles every 700 objects takes a twentieth of the time; the command does it less too.
gc.set_threshold(20_000)

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("local", deadline=None, max_examples=20, print_blob=True)
settings.register_profile(
    "ci", deadline=None, max_examples=100, print_blob=True, derandomize=True, database=None
)
settings.register_profile(
    "mutants", deadline=None, max_examples=20, derandomize=True, database=None
)
settings.register_profile(
    "properties", deadline=None, max_examples=1000, print_blob=True, suppress_health_check=SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "local"))


def pytest_collection_finish() -> None:
    """Modules stay: no look for cycles goes over them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model and images that it classifies, to be read only."""
    from tests.compress.small import furnished

    return furnished(tmp_path_factory.mktemp("small"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Two small convolutions as a file."""
    from tests.samples import saved, two_layers

    return saved(two_layers(), tmp_path)


@pytest.fixture
def few_images(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of the embedded images in place of all."""
    import numpy as np

    from esnsim.images import sets

    folder = tmp_path_factory.mktemp("few")
    for place, count in (("EMBEDDED", 96), ("TRAINING", 16)):
        with np.load(getattr(sets, place)) as whole:
            np.savez(folder / place, **{name: array[:count] for name, array in whole.items()})
        monkeypatch.setattr(sets, place, folder / f"{place}.npz")
