"""The same on a Dask cluster of two workers on this machine."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from esnsim.errors import EsnsimError
from esnsim.sweeps.cluster import spread
from tests.commandline import esnsim, report
from tests.compress.errands import die_once, square


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture
def address(cluster: Any) -> str:
    return str(cluster.scheduler_address)


def test_every_item_is_done_once(address: str) -> None:
    found = sorted(spread(square, range(7), address))
    assert [f[:2] for f in found] == [(i, i * i) for i in range(7)]


def test_an_item_whose_worker_is_killed_is_done_by_another(address: str, tmp_path: Path) -> None:
    found = sorted(spread(partial(die_once, tmp_path), range(7), address))
    assert [f[:2] for f in found] == [(i, i * i) for i in range(7)]
    assert (tmp_path / "died").exists()


def test_a_sweep_finds_the_same_points_although_a_worker_dies(
    cluster: Any, address: str, place: Path, tmp_path: Path
) -> None:
    grid = ("--ratios", "0,0.25", "--bits", "1-4", "--images", 40, "-q", "--json")
    words = ("pareto", place / "model.onnx", "--data", place / "images.npz", *grid, "--results")
    with one_dies_at_the_first_point(cluster, tmp_path / "a"):
        spread_out = report(esnsim(*words, tmp_path / "a", "--scheduler", address))
    here = report(esnsim(*words, tmp_path / "b"))
    for found in (spread_out, here):
        found["points"] = [{**point, "seconds": None} for point in found["points"]]
    assert len(here["points"]) == 8
    assert spread_out["points"] == here["points"]


@contextmanager
def one_dies_at_the_first_point(cluster: Any, results: Path) -> Iterator[None]:
    """Kill one worker of a cluster as soon as the first point is kept."""
    pid = next(iter(cluster.workers.values())).pid
    over = Event()

    def kill() -> None:
        while not over.wait(0.01):
            if results.exists() and results.read_bytes().count(b'"point"'):
                os.kill(pid, signal.SIGKILL)
                return

    thread = Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_an_address_without_a_scheduler_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("esnsim.sweeps.cluster.PATIENCE", "0.2s")
    with pytest.raises(EsnsimError, match=f"no Dask scheduler answers at '{kind}://127.0.0.1:1'"):
        list(spread(square, [1], f"{kind}://127.0.0.1:1"))
