"""Kernels run where Numba may write to none of its folders, as in a container without a home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
from pathlib import Path
from numba import config
from numba.core import caching

def refuse(self):
    raise OSError("read-only")

for name, locator in vars(caching).items():  # with or without "_" before it, as versions have it
    if not WRITABLE and name.endswith(("InTreeCacheLocator", "FsAgnostic", "UserWideCacheLocator")):
        locator.ensure_cache_path = refuse
config.CACHE_DIR = ""

import numpy as np
from esnsim_kernels import magnitude

out = np.zeros(2)
magnitude.largest(np.float32([[1, -3], [2, 0]]), out)
assert out.tolist() == [3, 2]
print(config.CACHE_DIR, len(list(Path(config.CACHE_DIR or "/nowhere").rglob("*.nbi"))))
"""


def run(writable: bool, temporary: Path) -> list[str]:
    """The folder that was set for the cache, and the number of kernels cached there."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        (sys.executable, "-c", RUN.replace("WRITABLE", repr(writable))),
        capture_output=True, text=True, check=False, cwd=root,
        env={"PYTHONPATH": f"{root}:{root / 'kernels'}", "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_process_caches_in_a_folder_of_its_own_and_removes_it(tmp_path: Path) -> None:
    folder, cached = run(False, tmp_path)
    assert Path(folder).parent == tmp_path
    assert int(cached) >= 1
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    if not os.access(Path(__file__).parents[1] / "kernels", os.W_OK):
        pytest.skip("the kernels' folder is read-only")
    assert run(True, tmp_path) == ["0"]
